"""The database: one module for each SQL table, with its row types and every read and write of it."""
