"""Training, seen from the orchestrator: segments, tags, training runs, and which adapter is published."""
