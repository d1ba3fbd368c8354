"""Training for a producer whose audio came over HTTP: fetched, cut and trained on in a folder of its own job."""
