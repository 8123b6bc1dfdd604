"""The database: engine, base table, pages of rows, migrations."""
