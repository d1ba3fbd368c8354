"""The worker: alone in a GPU container or as a child process here. It knows no Dagster and no database."""
