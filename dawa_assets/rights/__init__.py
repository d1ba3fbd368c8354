"""Rights: who permitted what, what is marked as generated, and whether a file was made here."""
