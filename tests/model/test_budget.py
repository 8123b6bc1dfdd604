import pytest

from text2song.errors import OutOfMemory
from text2song.model.budget import Budget
from text2song.model.dtypes import BFLOAT16, DTYPES, FLOAT32, INT8
from text2song.model.footprint import footprint_of
from text2song.model.published import PUBLISHED

GB = 10**9
LARGE = PUBLISHED["large"]


def budget(*, dtype: str = BFLOAT16, set_bytes: int | None = None, free_bytes: int | None = None) -> Budget:
    return Budget.of(LARGE, dtype=dtype, set_bytes=set_bytes, free_bytes=free_bytes)


def test_a_limit_that_a_person_sets_counts_as_it_is_and_of_what_is_free_a_share_is_left() -> None:
    assert budget(set_bytes=9 * GB, free_bytes=GB).limit_bytes == 9 * GB
    assert budget(free_bytes=10 * GB).limit_bytes == 8 * GB


def test_as_many_rows_as_are_wanted_and_fit_and_one_is_always_tried() -> None:
    needed = footprint_of(LARGE, dtype=BFLOAT16)
    three = budget(set_bytes=needed.weights_bytes + needed.rendering_bytes + 3 * needed.row_bytes)
    assert (three.rows, three.rows_bytes) == (3, 3 * needed.row_bytes)
    assert [three.capacity(wanted) for wanted in (1, 2, 3, 8)] == [1, 2, 3, 3]
    none = budget(set_bytes=needed.weights_bytes)
    assert (none.rows, none.rows_bytes, none.capacity(8)) == (0, 0, 1)


def test_where_nobody_can_say_what_is_free_memory_sets_no_bound() -> None:
    unknown = budget()
    assert (unknown.limit_bytes, unknown.rows_bytes, unknown.capacity(64)) == (None, None, 64)
    unknown.require_weights("it", dtypes=DTYPES)


def test_weights_that_just_fit_are_let_pass() -> None:
    needed = footprint_of(LARGE, dtype=FLOAT32).weights_bytes
    budget(dtype=FLOAT32, set_bytes=needed).require_weights("it", dtypes=DTYPES)
    with pytest.raises(OutOfMemory):
        budget(dtype=FLOAT32, set_bytes=needed - 1).require_weights("it", dtypes=DTYPES)


@pytest.mark.parametrize(
    ("given", "dtypes", "figures", "ways"),
    [
        (
            {"set_bytes": 8 * GB},
            DTYPES,
            "TEXT2SONG_MEMORY_LIMIT allows 8.0 GB",
            ", set TEXT2SONG_DTYPE to bfloat16 (7.1 GB) or int8 (3.9 GB), or raise that limit",
        ),
        (
            {"free_bytes": 10 * GB},
            (FLOAT32, BFLOAT16),  # a GPU
            "of what is free, a model may take 8.0 GB",
            ", set TEXT2SONG_DTYPE to bfloat16 (7.1 GB), or close other programs",
        ),
        (
            {"free_bytes": 5 * GB},
            (FLOAT32, INT8),
            "of what is free, a model may take 4.0 GB",
            ", set TEXT2SONG_DTYPE to int8 (3.9 GB), or close other programs",
        ),
        ({"set_bytes": GB}, DTYPES, "TEXT2SONG_MEMORY_LIMIT allows 1.0 GB", ", or raise that limit"),
    ],
)
def test_weights_that_do_not_fit_are_refused_with_the_figures_and_what_can_be_done(
    given: dict[str, int], dtypes: tuple[str, ...], figures: str, ways: str
) -> None:
    with pytest.raises(OutOfMemory) as caught:
        budget(dtype=FLOAT32, **given).require_weights("it", dtypes=dtypes)
    assert caught.value.message == (
        f"The weights of it take 13.6 GB in float32; {figures}. You can serve a smaller model{ways}."
    )
