"""The handler of generation jobs: which of them this worker can do, and that it does them."""

from sqlalchemy import ColumnElement, false

from text2song.generation.job.keeping import Keeper
from text2song.generation.job.saver import Saver
from text2song.generation.job.speed import Speed
from text2song.generation.job.stint import Stint
from text2song.generation.tables import GenerationJob
from text2song.jobs.shift import Shift
from text2song.model.protocol import MusicModel
from text2song.studio import Studio


class GenerationHandler:
    """Makes the takes of generation jobs with one model."""

    table = GenerationJob

    def __init__(self, studio: Studio, model: MusicModel) -> None:
        self.model = model
        """What this worker serves."""
        self._keeper = Keeper(studio, model.info)
        self._speed = Speed(takes=model.capacity)

    @property
    def capacity(self) -> int:
        """Takes that are made at the same time."""
        return self.model.capacity

    @property
    def speed(self) -> float | None:
        """Seconds of audio made in a second of work; None before the first take."""
        return self._speed.measured

    def accepts(self) -> ColumnElement[bool]:
        """Jobs for this model, and for these weights where a job asks for certain ones.

        None while takes could not be kept: they would cost hours of a GPU, and each job its attempts.
        """
        if not self._keeper.is_storage_back():
            return false()
        info = self.model.info
        any_weights = GenerationJob.fingerprint.is_(None)
        return (GenerationJob.model == info.id) & (
            any_weights | (GenerationJob.fingerprint == info.fingerprint)
        )

    def run(self, shift: Shift) -> None:
        """Make takes as long as there are any to make; each job ends when its last take is saved."""
        first = shift.next_turn()
        if first is not None:
            with Saver() as saver:
                Stint(self.model, self._keeper, self._speed, shift=shift, saver=saver).work(first)
