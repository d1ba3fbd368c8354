"""Segments of the current dataset: cut, tagged, published as a view."""
