"""Training, seen from the worker: the loop, captions, adapters."""
