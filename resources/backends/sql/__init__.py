"""Runs and issues in an SQL database: SQLite, PostgreSQL, MySQL (and MariaDB)."""
