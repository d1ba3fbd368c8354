"""The routes that Train Mode is made of, one module a view; any other client may call them too."""
