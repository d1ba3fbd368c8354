"""Adapter files: their card, their format, and where they are published."""
