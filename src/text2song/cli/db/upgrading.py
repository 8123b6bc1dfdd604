"""What `db upgrade` does."""

from text2song.cli import opening
from text2song.cli.answer import Answer
from text2song.jobs.queue import SilentQueue
from text2song.studio import open_studio


def upgrade(answer: Answer) -> None:
    """Migrate, and say from where to where.

    Raises:
        SchemaTooNew: when a newer version made the database.
    """
    studio = open_studio(opening.settings_for(answer, is_service=False), queue=SilentQueue())
    try:
        done = opening.upgrade(studio)
    finally:
        studio.engine.dispose()
    if done.before == done.after:
        text = f"The database is at schema {done.after} already."
    elif done.before is None:
        text = f"The database was made, at schema {done.after}."
    else:
        text = f"The database went from schema {done.before} to {done.after}."
    if done.backup is not None:
        text += f" The one before is kept at {done.backup}."
    backup = str(done.backup) if done.backup else None
    answer.give({"before": done.before, "after": done.after, "backup": backup}, text=text)
