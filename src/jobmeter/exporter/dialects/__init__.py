"""Whose names series are given: our own, or another exporter's, so that what was built on them works unchanged."""

DIALECTS = ("jobmeter", "ephemerd", "cadvisor")
