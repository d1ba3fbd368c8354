"""ACE-Step 1.5 as a backend."""
