"""Kernel to sample: the timetable, the sources, and one tick."""
