"""What `doctor` tells of memory: of the model to serve, and of every published size; nothing is loaded."""

import sys
from typing import Any

import pytest

from tests.cli.console import Console, Said
from tests.cli.doctor.test_command import examined, found
from text2song.cli.doctor import at_hand, sizes
from text2song.model.dtypes import DTYPES
from text2song.model.footprint import footprint_of
from text2song.model.published import PUBLISHED
from text2song.names import BUNDLED_MODEL

GB = 10**9


def rows(said: Said) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = said.document()["memory"]["sizes"]
    return table


@pytest.fixture(autouse=True)
def all_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor that computes in all of them, with 20 GB free."""
    monkeypatch.setattr(sizes, "dtypes_at_hand", lambda _: DTYPES)
    monkeypatch.setattr(at_hand, "free_bytes", lambda: 20 * GB)


def test_the_served_model_is_reckoned_with_what_is_free(furnished: Console) -> None:
    state, words = found(examined(furnished, DTYPE="float32"), "memory")
    assert state == "ok"
    assert words == (
        "text2song/untrained-noise takes, in float32, 6.0 MB for its weights, 4.4 MB while sound is made, "
        "and 3.1 MB for each take of 30 seconds; four fifths of what is free, 16.0 GB, hold 8 at once, of "
        "TEXT2SONG_CAPACITY=8"
    )
    alone = found(examined(furnished, DTYPE="float32", MEMORY_LIMIT="14MB"), "memory")
    assert alone[0] == "ok"
    assert alone[1].endswith("the 14.0 MB of TEXT2SONG_MEMORY_LIMIT hold 1 at once, of TEXT2SONG_CAPACITY=8")


def test_a_fresh_machine_has_the_bundled_model_and_is_told_what_it_takes(console: Console) -> None:
    said = examined(console, MODEL="")  # as without that setting
    state, words = found(said, "memory")
    assert (state, words.startswith(f"{BUNDLED_MODEL} takes, in ")) == ("ok", True)
    assert "hold 8 at once" in words
    state, words = found(said, "model")
    assert (state, words.startswith(f"{BUNDLED_MODEL}, revision ")) == ("ok", True)
    assert "Apache-2.0, which comes with the program and is small" in words
    assert "text2song model add facebook/musicgen-small" in words
    assert not console.home.exists()


def test_a_published_model_is_reckoned_before_it_is_there(console: Console) -> None:
    said = examined(console, MODEL="facebook/musicgen-medium", DTYPE="float32")
    assert found(said, "model")[0] == "problem"
    assert found(said, "memory")[0] == "ok"
    assert "7.9 GB for its weights" in found(said, "memory")[1]


def test_weights_beyond_a_limit_are_a_problem_and_beyond_what_is_free_now_are_noted(console: Console) -> None:
    settings = {"MODEL": "facebook/musicgen-large", "DTYPE": "float32"}
    state, words = found(examined(console, **settings, MEMORY_LIMIT="8GB"), "memory")
    assert (state, "raise that limit" in words) == ("problem", True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(at_hand, "free_bytes", lambda: 10 * GB)
        state, words = found(examined(console, **settings), "memory")
    assert (state, words.endswith("A studio that runs now has its part already.")) == ("note", True)


def test_no_room_for_a_single_take_is_noted(console: Console) -> None:
    said = examined(console, MODEL="facebook/musicgen-large", DTYPE="float32", MEMORY_LIMIT="14GB")
    state, words = found(said, "memory")
    assert (state, "leave no room for one" in words) == ("note", True)


def test_a_model_that_is_unknown_or_cannot_be_read_says_nothing_of_memory(furnished: Console) -> None:
    for model in ("somebody/something", "not an id"):
        said = examined(furnished, MODEL=model)
        assert found(said, "memory")[0] in {"note", "problem"}
        assert "take" in found(said, "memory")[1] or "not the id" in found(said, "memory")[1]


def test_a_dtype_that_the_device_does_not_compute_in_is_a_problem(furnished: Console) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("text2song.model.precision.dtypes_on", lambda _: ("float32",))
        state, words = found(examined(furnished, DTYPE="bfloat16"), "memory")
    assert (state, "bfloat16 cannot be used" in words) == ("problem", True)


def test_every_published_size_stands_in_the_table_in_every_dtype(console: Console) -> None:
    said = examined(console, MEMORY_LIMIT="8GB")
    assert said.document()["memory"]["limit_bytes"] == 8 * GB
    assert said.document()["memory"]["is_set"] is True
    told = {(row["model"], row["dtype"]): row for row in rows(said)}
    assert len(told) == len(PUBLISHED) * len(DTYPES)
    for name, configuration in PUBLISHED.items():
        for dtype in DTYPES:
            estimate = footprint_of(configuration, dtype=dtype)
            row = told[f"facebook/musicgen-{name}", dtype]
            assert row["weights_bytes"] == estimate.weights_bytes
            assert row["take_bytes"] == estimate.row_bytes
            assert row["sound_bytes"] == estimate.rendering_bytes
            is_held = estimate.weights_bytes <= 8 * GB
            assert row["takes"] == (estimate.rows_within(8 * GB) if is_held else None)


def test_a_person_reads_it_in_lines_of_which_each_has_every_dtype(console: Console) -> None:
    lines = console.run("doctor", MEMORY_LIMIT="8GB").out.splitlines()
    title = next(number for number, line in enumerate(lines) if line.startswith("MusicGen's sizes in GB"))
    assert "fit into 8.0 GB at once" in lines[title]
    assert lines[title + 1].split() == list(DTYPES)
    assert lines[title + 2].split() == ["weights", "take", "fit"] * 3
    assert lines[title + 3].split() == ["small", "2.2", "0.6", "9", "1.4", "0.3", "21", "1.0", "0.6", "11"]
    assert lines[title + 5].split() == ["large", "13.6", "2.4", "-", "7.1", "1.2", "0", "3.9", "2.4", "1"]
    assert lines[-1] == "132.6 MB are taken beside these while sound is made."
    assert all(len(line) < 100 for line in lines[title:])


def test_where_no_system_says_what_is_free_nothing_is_said_to_fit(furnished: Console) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(at_hand, "free_bytes", lambda: None)
        said = examined(furnished)
    assert found(said, "memory")[1].endswith("this system does not say how much is free")
    assert {row["takes"] for row in rows(said)} == {None}


def test_without_torch_a_processor_is_told_of_all_the_same(
    furnished: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("text2song.model.")]:
        if name.rpartition(".")[2] in {"device", "precision"}:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    said = examined(furnished)
    assert found(said, "memory")[0] == "ok"
    assert "in float32" in found(said, "memory")[1]
    assert len(rows(said)) == len(PUBLISHED) * len(DTYPES)


def test_a_gpu_that_is_not_there_leaves_the_table_out(furnished: Console) -> None:
    said = examined(furnished, DEVICE="cuda:4096")
    assert found(said, "memory")[0] == "problem"
    assert "cuda:4096" in found(said, "memory")[1]
    assert "memory" not in said.document()
