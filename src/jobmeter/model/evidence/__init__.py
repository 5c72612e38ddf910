"""What a monitoring system saw during a job, attached to the job: the referee's evidence."""
