"""The `Database` port: embedded or hosted PostgreSQL, and its migrations."""
