"""Artists and their profiles (the `master_schema`)."""
