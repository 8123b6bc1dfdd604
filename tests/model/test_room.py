import pytest

from text2song.model.room import CLEAN_ROWS, Room


@pytest.mark.parametrize(
    ("rows", "taken", "more", "is_held"),
    [
        (0, 0, 10_000, True),  # alone, whatever it takes: it is tried
        (1, 40, 60, True),
        (1, 40, 61, False),
        (3, 0, 1, True),
        (4, 0, 1, False),
    ],
)
def test_rows_are_held_up_to_their_number_and_their_bytes(
    *, rows: int, taken: int, more: int, is_held: bool
) -> None:
    assert Room(rows=4, budget_bytes=100).holds(rows=rows, taken_bytes=taken, more_bytes=more) == is_held


def test_without_a_budget_the_number_alone_counts() -> None:
    assert Room(rows=4).holds(rows=3, taken_bytes=2**60, more_bytes=2**60)


def test_after_memory_ran_out_there_is_room_for_one_less_and_in_time_for_one_more_again() -> None:
    room = Room(rows=8)
    room.pinch(rows=6)
    assert room.rows == 5
    room.pinch(rows=7)  # a step of more rows than now have room says nothing new
    assert room.rows == 5
    for _ in range(CLEAN_ROWS - 1):
        room.row_composed()
    assert room.rows == 5
    room.row_composed()
    assert room.rows == 6
    for _ in range(10 * CLEAN_ROWS):
        room.row_composed()
    assert room.rows == 8


def test_one_row_always_has_room() -> None:
    room = Room(rows=2)
    room.pinch(rows=1)
    assert room.rows == 1
