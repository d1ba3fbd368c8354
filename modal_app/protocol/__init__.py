"""The job protocol: what is asked of the worker, what it says meanwhile, and what it answers."""
