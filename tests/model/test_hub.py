from collections.abc import Iterator

import pytest

from tests.model.mirror import Mirror, serving
from text2song.errors import DownloadFailed, InvalidInput, ModelUnsupported, NotFound, StudioError
from text2song.model.hub import plan
from text2song.names import BUNDLED_MODEL, NOISE_MODEL

ID = "facebook/musicgen-tiny"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    files = {
        "README.md": b"x" * 50,
        "config.json": b"{}",
        "tokenizer.json": b"{ }",
        "LICENSE": b"free",
        "generation_config.json": b"[]",
        "model.safetensors": b"w" * 20_000,
        "pytorch_model.bin": b"p" * 20_000,
        "compression_state_dict.bin": b"a" * 20_000,
    }
    with serving(Mirror(ID, files)) as mirror:
        yield mirror


def test_a_plan_names_what_is_needed_its_size_its_licence_and_its_commit(mirror: Mirror) -> None:
    made = plan(ID, endpoint=mirror.endpoint)

    assert made.id == ID
    assert made.revision == mirror.commit
    assert made.license == "cc-by-nc-4.0"
    assert not made.needs_conversion
    assert {f.name for f in made.files} == {
        "config.json",
        "tokenizer.json",
        "LICENSE",
        "generation_config.json",
        "model.safetensors",
    }
    assert made.size_bytes == 2 + 3 + 4 + 2 + 20_000
    assert mirror.asked == []  # nothing is downloaded before it was agreed to


def test_shards_come_with_their_index(mirror: Mirror) -> None:
    del mirror.files["model.safetensors"]
    for name in (
        "model.safetensors.index.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ):
        mirror.files[name] = b"s"
    weights = [f.name for f in plan(ID, endpoint=mirror.endpoint).files if f.name.startswith("model")]
    assert sorted(weights) == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]


@pytest.mark.parametrize("is_sharded", [False, True])
def test_pickles_are_taken_only_where_there_is_nothing_else(mirror: Mirror, *, is_sharded: bool) -> None:
    del mirror.files["model.safetensors"]
    if is_sharded:
        del mirror.files["pytorch_model.bin"]
        mirror.files |= {"pytorch_model.bin.index.json": b"i", "pytorch_model-00001-of-00001.bin": b"s"}
    made = plan(ID, endpoint=mirror.endpoint)
    assert made.needs_conversion
    pickles = {f.name for f in made.files if ".bin" in f.name}
    assert pickles == (
        {"pytorch_model.bin.index.json", "pytorch_model-00001-of-00001.bin"}
        if is_sharded
        else {"pytorch_model.bin"}
    )


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json"])
def test_a_model_without_a_needed_file_is_unsupported(mirror: Mirror, missing: str) -> None:
    del mirror.files[missing]
    with pytest.raises(ModelUnsupported, match=missing):
        plan(ID, endpoint=mirror.endpoint)


def test_a_model_without_weights_is_unsupported(mirror: Mirror) -> None:
    del mirror.files["model.safetensors"], mirror.files["pytorch_model.bin"]
    with pytest.raises(ModelUnsupported, match="no weights"):
        plan(ID, endpoint=mirror.endpoint)


def test_another_kind_of_model_is_refused_before_gigabytes_come(mirror: Mirror) -> None:
    mirror.config = {"model_type": "musicgen_melody"}
    with pytest.raises(ModelUnsupported, match="'musicgen_melody'"):
        plan(ID, endpoint=mirror.endpoint)


@pytest.mark.parametrize(
    ("card", "license_name"),
    [({}, "other"), ({"license": ["mit", "other"]}, "mit, other"), ({"license": "mit"}, "mit")],
)
def test_the_licence_is_the_cards_or_the_tags(
    mirror: Mirror, card: dict[str, object], license_name: str
) -> None:
    mirror.card = card
    assert plan(ID, endpoint=mirror.endpoint).license == license_name


def test_a_revision_is_pinned_to_its_commit(mirror: Mirror) -> None:
    assert plan(ID, revision="main", endpoint=mirror.endpoint).revision == mirror.commit
    with pytest.raises(NotFound, match="no such revision"):
        plan(ID, revision="other", endpoint=mirror.endpoint)


def test_an_unknown_model_says_to_check_the_spelling(mirror: Mirror) -> None:
    with pytest.raises(NotFound, match=r"has no model facebook/musicgen-tinny.*spelling"):
        plan("facebook/musicgen-tinny", endpoint=mirror.endpoint)


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (403, "GatedRepo", InvalidInput, "accept its licence"),
        (401, "RepoNotFound", NotFound, "HF_TOKEN"),
        (500, "", DownloadFailed, "answered 500"),
        (429, "", DownloadFailed, "answered 429"),
    ],
)
def test_a_hub_that_refuses_is_explained(
    mirror: Mirror, status: int, code: str, kind: type[StudioError], words: str
) -> None:
    mirror.refusal = (status, code)
    with pytest.raises(StudioError) as caught:
        plan(ID, endpoint=mirror.endpoint)
    assert type(caught.value) is kind
    assert words in caught.value.message
    assert caught.value.is_retryable == (kind is DownloadFailed)  # the others end in the same way each time


@pytest.mark.parametrize("page", [b"<html>Please log in</html>", b"[]", b"{}"])
def test_an_answer_that_is_not_the_hubs_is_explained(mirror: Mirror, page: bytes) -> None:
    mirror.page = page
    with pytest.raises(DownloadFailed, match="log-in page"):
        plan(ID, endpoint=mirror.endpoint)


def test_a_hub_that_lists_no_files_is_explained(mirror: Mirror) -> None:
    mirror.files.clear()
    with pytest.raises(DownloadFailed, match="lists no files"):
        plan(ID, endpoint=mirror.endpoint)


def test_no_network_is_explained() -> None:
    with pytest.raises(DownloadFailed, match="Check the network"):
        plan(ID, endpoint="http://127.0.0.1:9")  # the discard port: nobody listens


def test_an_id_is_checked_before_anyone_is_asked() -> None:
    with pytest.raises(InvalidInput):
        plan("../../etc", endpoint="http://127.0.0.1:9")


@pytest.mark.parametrize("model_id", [BUNDLED_MODEL, NOISE_MODEL, "untrained-noise"])
def test_the_studios_own_models_are_on_no_hub(mirror: Mirror, model_id: str) -> None:
    mirror.id = model_id  # whoever publishes something under that name
    with pytest.raises(InvalidInput, match=r"by itself.*add facebook/musicgen-small"):
        plan(model_id, endpoint=mirror.endpoint)
