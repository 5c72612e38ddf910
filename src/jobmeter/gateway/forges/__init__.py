"""What runners and forges say to one another, one file for each wire; nothing here opens a socket."""
