"""The HTTP face of the domain functions: the dashboard's routes, the worker's endpoints, signed files."""
