"""Questions about stored runs, answered as JSON; the pages for people ask the same functions."""
