"""Taggers: from a segment to words and figures."""
