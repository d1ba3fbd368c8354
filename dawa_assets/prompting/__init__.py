"""Prompts: what a writer is told, the rules its text must meet, and when a text is stale."""
