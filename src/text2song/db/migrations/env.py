"""Run by Alembic: migrates over the connection that `db.schema` hands in."""

from alembic import context

from text2song.db.registry import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata(),
    render_as_batch=True,  # SQLite alters a table by making a new one
    compare_type=True,
)
context.run_migrations()
