"""Datasets: what belongs in one, the zip, and its manifest."""
