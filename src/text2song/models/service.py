"""Workers announce themselves, beat, and leave."""

import datetime as dt
import uuid
from contextlib import suppress
from dataclasses import asdict
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from text2song.errors import InvalidInput
from text2song.model.protocol import ModelInfo
from text2song.models.tables import NAME_LIMIT, WORKER_NAME_LIMIT, Model, ModelWorker
from text2song.studio import Work

FORGET_AFTER: Final = dt.timedelta(days=1)
"""How long a worker that was not heard of is remembered."""


def announce(work: Work, info: ModelInfo, *, worker: str, capacity: int) -> uuid.UUID:
    """Say that `worker` serves this model from now on; the id is for `beat` and `leave`.

    Workers of this model that were not heard of for a day are forgotten; what was learned of its speed
    goes over to the new one.

    Raises:
        InvalidInput: for a name of the model or the worker that is too long.
    """
    _require_short(info.id, limit=NAME_LIMIT, what="the model's name")
    _require_short(worker, limit=WORKER_NAME_LIMIT, what="the worker's name (host and process)")
    now = work.clock()
    model = _described(work, info)
    model.announced_at = now
    work.session.flush()
    last_known_speed = work.session.scalar(
        select(ModelWorker.speed)
        .where(ModelWorker.model_id == model.id, ModelWorker.speed.is_not(None))
        .order_by(ModelWorker.id.desc())
        .limit(1)
    )
    work.session.execute(
        delete(ModelWorker).where(
            ModelWorker.model_id == model.id, ModelWorker.heartbeat_at < now - FORGET_AFTER
        )
    )
    row = ModelWorker(
        model_id=model.id,
        name=worker,
        dtype=info.dtype,
        device=info.device,
        capacity=capacity,
        speed=last_known_speed,
        started_at=now,
        heartbeat_at=now,
    )
    work.session.add(row)
    work.session.flush()
    return row.id


def beat(work: Work, worker_id: uuid.UUID, *, speed: float | None) -> bool:
    """Still here; `speed` in seconds of audio a second, where it was measured.

    False when the worker was silent for so long that it was forgotten: it must announce itself again.
    """
    row = work.session.get(ModelWorker, worker_id, with_for_update=True)
    if row is None:
        return False
    row.heartbeat_at = work.clock()
    if speed is not None:
        row.speed = speed
    return True


def leave(work: Work, worker_id: uuid.UUID) -> None:
    """The worker ends: it is no longer counted among the living. Its row stays a while for its speed."""
    row = work.session.get(ModelWorker, worker_id, with_for_update=True)
    if row is not None:
        row.left_at = work.clock()


def _described(work: Work, info: ModelInfo) -> Model:
    """The model's row, as `info` describes it; of workers that begin at the same time, one makes it."""
    described = asdict(info) | {"vocabulary": info.vocabulary and info.vocabulary.as_json()}
    named = {column.name for column in Model.__table__.columns} - {"id"}
    values = {name: value for name, value in described.items() if name in named}
    query = select(Model).where(Model.name == info.id).with_for_update()
    model = work.session.scalar(query)
    if model is None:
        now = work.clock()
        with suppress(IntegrityError), work.session.begin_nested():
            work.session.add(Model(name=info.id, created_at=now, announced_at=now, **values))
        model = work.session.scalars(query).one()
    for name, value in values.items():
        setattr(model, name, value)
    return model


def _require_short(text: str, *, limit: int, what: str) -> None:
    if len(text) > limit:
        raise InvalidInput(f"{what} has {len(text)} characters; {limit} are the most: choose a shorter one.")
