import pytest

from tests.adapters.shelf import add_adapter
from text2song.adapters import queries
from text2song.errors import InvalidInput
from text2song.studio import Studio


def test_an_adapter_is_found_by_id_by_name_and_version_and_by_digest(studio: Studio) -> None:
    warm = add_adapter(studio)
    add_adapter(studio, version="1.3.0")
    with studio.read() as reader:
        for reference in (str(warm.id), "warm@1.2.0", warm.digest):
            assert queries.resolve(reader, reference, field="adapter_id").id == warm.id


@pytest.mark.parametrize("form", ["{{{0}}}", "urn:uuid:{0}"])
def test_an_id_has_one_form(studio: Studio, form: str) -> None:
    warm = add_adapter(studio)
    with studio.read() as reader, pytest.raises(InvalidInput):
        queries.resolve(reader, form.format(warm.id), field="adapter_id")


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
        queries.resolve(reader, reference, field="sides.0.1.adapter")
    assert caught.value.field == "sides.0.1.adapter"
    assert "name@version" in caught.value.message
    assert "bare model" in caught.value.message
