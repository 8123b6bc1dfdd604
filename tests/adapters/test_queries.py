import pytest
from sqlalchemy import event

from tests.adapters.shelf import add_adapter
from text2song.adapters import queries
from text2song.errors import InvalidInput
from text2song.studio import Studio


def test_an_adapter_is_found_by_id_by_name_and_version_and_by_digest(studio: Studio) -> None:
    warm = add_adapter(studio)
    add_adapter(studio, version="1.3.0")
    with studio.read() as reader:
        for reference in (str(warm.id), "warm@1.2.0", warm.digest):
            [found] = queries.resolve(reader, [("adapter_id", reference)])
            assert found.id == warm.id


def test_many_are_found_in_one_query_and_in_the_order_in_which_they_were_named(studio: Studio) -> None:
    warm, cold = add_adapter(studio), add_adapter(studio, name="cold")
    asked = ["cold@1.2.0", str(warm.id).upper(), cold.digest, "cold@1.2.0"]
    statements: list[str] = []
    with studio.read() as reader:
        event.listen(studio.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        found = queries.resolve(reader, [(f"sides.{n}", reference) for n, reference in enumerate(asked)])
        assert queries.resolve(reader, []) == []
    assert [adapter.id for adapter in found] == [cold.id, warm.id, cold.id, cold.id]
    assert sum("FROM adapters" in statement for statement in statements) == 1


@pytest.mark.parametrize("form", ["{{{0}}}", "urn:uuid:{0}"])
def test_an_id_has_one_form(studio: Studio, form: str) -> None:
    warm = add_adapter(studio)
    with studio.read() as reader, pytest.raises(InvalidInput):
        queries.resolve(reader, [("adapter_id", form.format(warm.id))])


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize(
    "reference",
    [
        "warm",
        "warm@",
        "@1.2.0",
        "warm@1.2.0 ",
        "WARM@1.2.0",
        "warm@1.2",
        "warm\0",
        "0198c0de-0000-7000-8000-000000000000",
    ],
)
def test_nothing_is_guessed(studio: Studio, reference: str) -> None:
    add_adapter(studio)
    with studio.read() as reader, pytest.raises(InvalidInput) as caught:
        queries.resolve(reader, [("sides.0.0.adapter", "warm@1.2.0"), ("sides.0.1.adapter", reference)])
    assert caught.value.field == "sides.0.1.adapter"
    assert "name@version" in caught.value.message
    assert "bare model" in caught.value.message
