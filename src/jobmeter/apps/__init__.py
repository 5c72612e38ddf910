"""One wiring file per command: start reading here."""
