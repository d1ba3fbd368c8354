"""Keeping house: rows held against objects, old zips and leftovers removed, rejected uploads sent through again."""
