"""SQL that is shipped: `migrations/` for every database, `embedded/` only for the one started here."""
