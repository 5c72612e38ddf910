"""Budgets of jobs: what can be budgeted, what a limit says, and whether a run is within it."""
