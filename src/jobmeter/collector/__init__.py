"""The sidecar's life: what it meters, how it resumes, how it ends."""
