"""Backends: one file per music generator that can be fine-tuned, and the registry that names them."""
