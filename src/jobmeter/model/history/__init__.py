"""A job's past runs: what each used, where the level changed, what was reserved for nothing, and what that cost."""
