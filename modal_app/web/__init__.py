"""The worker's web endpoints, as plain FastAPI routes: what is asked over HTTP, and how it is answered."""
