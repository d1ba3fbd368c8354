"""A PostgreSQL server in a folder of this machine."""
