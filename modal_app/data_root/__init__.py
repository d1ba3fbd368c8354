"""The data root: where things lie below it, and folders of work in progress."""
