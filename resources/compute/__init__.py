"""The `Compute` port and its implementations."""
