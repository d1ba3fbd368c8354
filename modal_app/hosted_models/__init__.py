"""Hosted models: metered requests, and what they cost."""
