"""Who may do what with which runs: tokens, grants, sessions, and the guard before the routes."""
