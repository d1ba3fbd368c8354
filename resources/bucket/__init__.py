"""The `Bucket` port and its implementations."""
