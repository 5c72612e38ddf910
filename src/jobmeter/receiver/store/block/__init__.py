"""The records of a run that is over, laid out as columns and compressed: what comes back is what went in."""
