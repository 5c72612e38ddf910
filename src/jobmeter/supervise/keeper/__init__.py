"""Keepers: each starts one runner in a cgroup of its own, under its account and limits, and tells how it ended."""
