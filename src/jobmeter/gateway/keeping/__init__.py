"""What a restart of the gateway needs, on disk: tasks and their runners, and last reports that are not delivered yet.

Tasks hold the secrets of their jobs, and reports the token that they were sent with. This is the one place where a
secret is written down: in files that only the daemon's own user can read, and for no longer than it is needed.
"""
