"""Between runners and one forge: what passes, who waits for work, what is reported."""
