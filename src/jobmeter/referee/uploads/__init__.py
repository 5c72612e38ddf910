"""Where evidence goes besides the receiver: to the forge, as an artifact of the job, to a directory, to a storage."""
