"""Tests of the report room: one run in, text out."""
