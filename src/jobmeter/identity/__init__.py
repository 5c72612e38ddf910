"""Which job is this? One module per forge reads the variables its runner gives to a job."""
