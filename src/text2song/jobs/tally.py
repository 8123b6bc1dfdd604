"""How many jobs came to which end, in all, and by which errors."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from text2song.jobs.columns import FINAL, JobColumns, JobStatus


def finished(session: Session, table: type[JobColumns]) -> dict[str, int]:
    """Jobs by final state; reads all of an index, so not for each request."""
    query = select(table.status, func.count()).where(table.status.in_(FINAL)).group_by(table.status)
    counts = dict(session.execute(query).all())
    return {state.value: counts.get(state, 0) for state in sorted(FINAL)}


def failures(session: Session, table: type[JobColumns]) -> dict[str, int]:
    """Failed jobs by the code of the error that ended them; reads each of them."""
    query = (
        select(table.error_code, func.count())
        .where(table.status == JobStatus.FAILED)
        .group_by(table.error_code)
    )
    return {code: number for code, number in session.execute(query) if code is not None}
