"""Takes runs out of a database as files, and into another one."""
