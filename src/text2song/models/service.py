"""Workers announce themselves, beat, and leave."""

import uuid
from dataclasses import asdict

from sqlalchemy import select

from text2song.model.protocol import ModelInfo
from text2song.models.tables import Model, ModelWorker
from text2song.studio import Work


def announce(work: Work, info: ModelInfo, *, worker: str, capacity: int) -> uuid.UUID:
    """Say that `worker` serves this model from now on; the id is for `beat` and `leave`."""
    now = work.clock()
    model = work.session.scalar(select(Model).where(Model.name == info.id))
    if model is None:
        model = Model(name=info.id, created_at=now)
        work.session.add(model)
    described = asdict(info)
    for column in Model.__table__.columns:
        if column.name in described and column.name != "id":
            setattr(model, column.name, described[column.name])
    model.announced_at = now
    work.session.flush()
    last_known_speed = work.session.scalar(
        select(ModelWorker.speed)
        .where(ModelWorker.model_id == model.id, ModelWorker.speed.is_not(None))
        .order_by(ModelWorker.id.desc())
        .limit(1)
    )
    row = ModelWorker(
        model_id=model.id,
        name=worker,
        dtype=info.dtype,
        capacity=capacity,
        speed=last_known_speed,
        started_at=now,
        heartbeat_at=now,
    )
    work.session.add(row)
    work.session.flush()
    return row.id


def beat(work: Work, worker_id: uuid.UUID, *, speed: float | None) -> None:
    """Still here; `speed` in seconds of audio a second, where it was measured."""
    row = work.session.get_one(ModelWorker, worker_id)
    row.heartbeat_at = work.clock()
    if speed is not None:
        row.speed = speed


def leave(work: Work, worker_id: uuid.UUID) -> None:
    """The worker ends: it is no longer counted among the living. Its row stays for its speed."""
    work.session.get_one(ModelWorker, worker_id).left_at = work.clock()
