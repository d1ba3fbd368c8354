"""How runs are held back, tried again and started: pools, retries, the launcher."""
