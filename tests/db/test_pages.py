import base64
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from tests.studios import START
from text2song.db.pages import decode_cursor, encode_cursor, newest_first
from text2song.errors import InvalidCursor
from text2song.studio import Reader, Studio
from text2song.users.tables import User


def add(studio: Studio, *names: str) -> None:
    for name in names:
        with studio.work() as work:
            work.session.add(User(name=name, created_at=START))


def pages(reader: Reader, *, limit: int) -> Iterator[list[str]]:
    cursor = None
    while True:
        page = newest_first(reader.session, select(User), by=User.id, cursor=cursor, limit=limit)
        yield [user.name for user in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            return


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (1, [["e"], ["d"], ["c"], ["b"], ["a"]]),
        (2, [["e", "d"], ["c", "b"], ["a"]]),
        (5, [["e", "d", "c", "b", "a"]]),
        (200, [["e", "d", "c", "b", "a"]]),
    ],
)
def test_every_row_comes_once_newest_first(studio: Studio, limit: int, expected: list[list[str]]) -> None:
    add(studio, *"abcde")
    with studio.read() as reader:
        assert list(pages(reader, limit=limit)) == expected


def test_nothing_is_one_empty_page(studio: Studio) -> None:
    with studio.read() as reader:
        assert list(pages(reader, limit=2)) == [[]]


def test_rows_that_come_or_go_in_between_are_neither_skipped_nor_repeated(studio: Studio) -> None:
    add(studio, *"abcd")
    with studio.read() as reader:
        first = newest_first(reader.session, select(User), by=User.id, cursor=None, limit=2)
    add(studio, "e")
    with studio.work() as work:
        work.session.delete(work.session.scalars(select(User).where(User.name == "c")).one())  # just seen
    with studio.read() as reader:
        then = newest_first(reader.session, select(User), by=User.id, cursor=first.next_cursor, limit=2)
    assert [user.name for user in (*first.rows, *then.rows)] == ["d", "c", "b", "a"]
    assert then.next_cursor is None


@given(st.uuids())
def test_a_cursor_is_safe_in_a_url_and_comes_back(last: uuid.UUID) -> None:
    cursor = encode_cursor(last)
    assert decode_cursor(cursor) == last
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=40))
def test_any_text_is_a_cursor_or_is_refused(text: str) -> None:
    try:
        decoded = decode_cursor(text)
    except InvalidCursor:
        return
    assert base64.urlsafe_b64decode(text + "==") == decoded.bytes


@pytest.mark.parametrize("cursor", ["", "AAAA", "é" * 22, "A" * 23, " " * 22, "A" * 5000])
def test_these_are_no_cursors(cursor: str) -> None:
    with pytest.raises(InvalidCursor, match="begin again without it") as error:
        decode_cursor(cursor)
    assert error.value.field == "cursor"
