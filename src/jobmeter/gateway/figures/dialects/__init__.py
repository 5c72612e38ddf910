"""Whose names series are given: our own, or a runner's, so that what was built on them works unchanged."""

DIALECTS = ("jobmeter", "act_runner", "gitea_runner", "ci_runner", "ephemerd")
