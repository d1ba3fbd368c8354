"""The worker: one process for each job."""
