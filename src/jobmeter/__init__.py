"""jobmeter meters what every CI job really uses, on any runner, and turns it into answers."""

__version__ = "0.1.0"
