"""Whom the pipeline talks to: the database, the bucket, the prompt writer, and the machines that compute."""
