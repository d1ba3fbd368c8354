"""Assets: one function each, which calls one domain function and reports what it returns."""
