"""How many jobs came to which end, in all."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from text2song.jobs.columns import FINAL, JobColumns


def finished(session: Session, table: type[JobColumns]) -> dict[str, int]:
    """Jobs by final state; reads all of an index, so not for each request."""
    query = select(table.status, func.count()).where(table.status.in_(FINAL)).group_by(table.status)
    counts = dict(session.execute(query).all())
    return {state.value: counts.get(state, 0) for state in sorted(FINAL)}
