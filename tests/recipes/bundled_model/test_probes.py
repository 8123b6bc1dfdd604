from pathlib import Path

import pytest
import torch

from recipes.bundled_model import probes, words
from recipes.bundled_model.probes import CLASSES, KEPT, Probes
from tests.recipes.bundled_model.songs import a_song

HEARD, SONGS = probes.rendered([f"unheard {index}" for index in range(48)])


def test_the_kept_probes_hear_songs_that_they_have_not_learned() -> None:
    found = probes.ceilings(Probes.load(KEPT), HEARD, SONGS)
    assert set(found) == {*CLASSES, "tempo"}
    assert min(found.values()) > 0.75, found  # of 48 songs; the model card has the ceilings of 500


def test_probes_learn_and_are_kept(tmp_path: Path) -> None:
    torch.manual_seed(0)
    learned = Probes()
    learned.learn(HEARD * 4, SONGS * 4, epochs=6)
    assert probes.ceilings(learned, HEARD, SONGS)["lead"] > 2 / len(words.LEADS)
    learned.save(tmp_path / "probes.safetensors")
    again = Probes.load(tmp_path / "probes.safetensors").judge(HEARD)
    assert [v.classes["lead"] for v in again] == [v.classes["lead"] for v in learned.judge(HEARD)]


def test_classes_are_those_of_the_song() -> None:
    song = a_song(lead="bells", chords=None, has_drums=True)
    assert probes.class_of(song, "lead") == words.LEADS.index("bells")
    assert CLASSES["chords"][probes.class_of(song, "chords")] is None
    assert CLASSES["drums"][probes.class_of(song, "drums")] is True


@pytest.mark.parametrize(
    ("heard", "is_right"), [(100, True), (105.9, True), (94.1, True), (107, False), (50, False)]
)
def test_a_tempo_is_right_within_six_in_a_hundred(heard: float, *, is_right: bool) -> None:
    assert probes.is_tempo_right(heard, 100) == is_right
