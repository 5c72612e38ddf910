"""Readers of kernel interfaces: pure ``parse_*`` functions beside readers that take their root."""
