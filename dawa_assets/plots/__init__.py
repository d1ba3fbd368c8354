"""Plots on the pages of assets."""
