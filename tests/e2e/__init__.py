"""Tests against real components, which they start and stop themselves."""
