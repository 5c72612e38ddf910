"""Tests of jobmeter; the folders mirror `src/jobmeter`."""
