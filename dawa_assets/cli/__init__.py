"""The command line: one file per command group, each a thin call into the domain."""
