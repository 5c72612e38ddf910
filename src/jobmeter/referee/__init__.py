"""After a job: asks Prometheus about the job's time range, and makes evidence of the answers."""
