"""Verifying rows against objects, repairing what disagrees, pruning what is old, retrying what was rejected."""
