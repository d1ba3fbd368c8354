"""A bucket that is mounted in the place of the volume."""
