"""Starts a command so that it can be metered: cgroup, subreaper, signals, reaping, clean-up."""
