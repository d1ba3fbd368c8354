"""Jobs that came in over HTTP, kept until they are done."""
