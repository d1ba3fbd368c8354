"""Gemini as a tagger."""
