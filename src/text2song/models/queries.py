"""Reading models: which there are, which is meant, who serves them."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from text2song.db.pages import RowPage, newest_first
from text2song.errors import InvalidInput, NoModelServed
from text2song.jobs.lifecycle import CLOCK_SLACK
from text2song.models.schemas import ModelOut, ModelWorkerOut, VocabularyOut
from text2song.models.tables import Model, ModelWorker
from text2song.music.vocabulary import Vocabulary
from text2song.studio import Reader

ALIVE_SECONDS: Final = 30.0
"""A worker that was not heard of for longer is not counted."""
LARGER: Final = "run `text2song model add facebook/musicgen-small` and set TEXT2SONG_MODEL to it."
"""What to do, after the words that say for what."""
NOISE_NOTICE: Final = (
    "This model is untrained: what it makes is noise, not music. It shows that everything works. "
    f"For music, {LARGER}"
)


@dataclass(frozen=True, slots=True)
class Understanding:
    """How much of a prompt a model can follow: nothing, a few words, or sentences."""

    is_trained: bool
    vocabulary: Vocabulary | None

    def notice(self, sentence: str = "") -> str | None:
        """What every surface says of it; nothing where it knows some of the sentence's words."""
        if not self.is_trained:
            return NOISE_NOTICE
        if self.vocabulary is None or self.vocabulary.knows_some_of(sentence):
            return None
        *kinds, note = self.vocabulary.as_lines()
        return f"This model is small. It understands {'; '.join(kinds)}. {note} For a larger one, {LARGER}"


def understanding_of(model: Model) -> Understanding:
    """A vocabulary in another form, which a worker of another version may have stored, is none."""
    return Understanding(model.is_trained, Vocabulary.read(model.vocabulary))


def notices(reader: Reader) -> list[str]:
    """What a listener must know of the models that are served now."""
    workers = alive_workers(reader)
    served = [model for model in _served_first(reader) if model.id in workers]
    told = [(model.name, understanding_of(model).notice()) for model in served]
    return [f"{name} is served now. {notice}" for name, notice in told if notice is not None]


def choose(reader: Reader, name: str | None, *, field: str = "model") -> Model:
    """The model of that name; without a name, the one that a worker began to serve last.

    `field` says where the request named it.

    Raises:
        NoModelServed: when no worker has ever served one (it may still be loading).
        InvalidInput: when the name is not among them.
    """
    models = _served_first(reader)
    if not models:
        raise NoModelServed("no worker serves a model yet: it may still be loading. Try again in a moment.")
    if name is None:
        return models[0]
    for model in models:
        if model.name == name:
            return model
    names = ", ".join(model.name for model in models)
    raise InvalidInput(f"no worker serves a model named {name!r}; there is {names}.", field=field)


def alive_workers(reader: Reader) -> dict[uuid.UUID, list[ModelWorker]]:
    """The workers heard of lately, by the id of their model; not those heard of in the future.

    After a clock was set back, a dead worker would else be counted until its time comes.
    """
    now = reader.clock()
    since, until = now - dt.timedelta(seconds=ALIVE_SECONDS), now + CLOCK_SLACK
    workers: dict[uuid.UUID, list[ModelWorker]] = {}
    query = (
        select(ModelWorker)
        .where(ModelWorker.heartbeat_at.between(since, until), ModelWorker.left_at.is_(None))
        .order_by(ModelWorker.id)
    )
    for worker in reader.session.scalars(query):
        workers.setdefault(worker.model_id, []).append(worker)
    return workers


def capacity_beside(reader: Reader, worker: str, *, model: str) -> int:
    """Takes that the other living workers which serve this model make at the same time."""
    model_id = reader.session.scalar(select(Model.id).where(Model.name == model))
    if model_id is None:
        return 0
    return sum(other.capacity for other in alive_workers(reader).get(model_id, []) if other.name != worker)


def _served_first(reader: Reader) -> list[Model]:
    """The models that are served now, then the others; in each group the last announced first.

    A heartbeat changes nothing here: with two workers, the first model would be another one at each.
    """
    workers = alive_workers(reader)
    models = reader.session.scalars(select(Model).order_by(Model.announced_at.desc(), Model.id))
    return sorted(models, key=lambda model: model.id not in workers)


def find(reader: Reader, *, cursor: str | None, limit: int) -> RowPage[Model]:
    """A page of models, the newest first."""
    return newest_first(reader.session, select(Model), by=Model.id, cursor=cursor, limit=limit)


def describe(reader: Reader, found: Sequence[Model]) -> list[ModelOut]:
    """The wire forms, each with its living workers."""
    workers = alive_workers(reader)
    return [_described(model, workers.get(model.id, [])) for model in found]


def _described(model: Model, workers: list[ModelWorker]) -> ModelOut:
    understanding = understanding_of(model)
    vocabulary = understanding.vocabulary
    return ModelOut(
        id=model.id,
        name=model.name,
        revision=model.revision,
        fingerprint=model.fingerprint,
        license=model.license,
        is_trained=model.is_trained,
        notice=understanding.notice(),
        sample_rate=model.sample_rate,
        frame_rate=model.frame_rate,
        channels=model.channels,
        codebooks=model.codebooks,
        codebook_size=model.codebook_size,
        max_duration_seconds=model.max_duration_seconds,
        module_shapes=model.module_shapes,
        vocabulary=VocabularyOut.model_validate(vocabulary.as_json()) if vocabulary else None,
        workers=[
            ModelWorkerOut(
                name=worker.name,
                dtype=worker.dtype,
                device=worker.device,
                capacity=worker.capacity,
                speed=worker.speed,
                heartbeat_at=worker.heartbeat_at,
            )
            for worker in workers
        ],
    )
