"""A local socket over which a daemon tells what starts and ends, and hears of tasks: JSON lines, docs/hooks.md.

``events`` is what is said, ``server`` and ``door`` are the daemon's side, ``client`` is who announces tasks.
"""
