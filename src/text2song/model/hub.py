"""What the Hugging Face hub has of a model, and which of its files the studio needs. Needs no torch."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import httpx2
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, RepoSibling

from text2song.errors import DownloadFailed, InvalidInput, ModelUnsupported, NotFound
from text2song.model.configuration import CONFIG_NAME
from text2song.model.incoming import TOKENIZER_NAME, WELCOME_NAMES
from text2song.model.library import refuse_own, require_model_id
from text2song.model.weights import INDEX_NAME, PICKLE_NAMES, SINGLE_NAME

TIMEOUT_SECONDS: Final = 20.0
"""For a connection, and for the next bytes of an answer."""
CLIENT_NAME: Final = "text2song"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a model on the hub."""

    name: str
    size_bytes: int
    sha256: str | None
    """Of its bytes; known of large files."""
    git_sha1: str | None
    """Of its bytes as a git blob; known of small files."""


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """What a download would bring: to be shown, and agreed to, before it starts."""

    id: str
    revision: str
    """The commit that every file is taken from."""
    license: str
    files: tuple[RemoteFile, ...]
    needs_conversion: bool
    """Whether the weights are there only as pickles, which are converted once."""
    endpoint: str

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(file.size_bytes for file in self.files)


def plan(model_id: str, *, revision: str | None = None, endpoint: str | None = None) -> DownloadPlan:
    """Ask the hub what a model consists of, at a branch, tag or commit (by default the newest).

    `endpoint` is the hub's address or a mirror's; by default HF_ENDPOINT or huggingface.co.

    Raises:
        InvalidInput: that is not an id, or that of one of the studio's own models; or it is gated.
        NotFound: no such model or revision, or a private one.
        DownloadFailed: the network or the hub failed; `is_retryable`.
        ModelUnsupported: it is not a MusicGen, or lacks files that the studio needs.
    """
    require_model_id(model_id)
    refuse_own(model_id)
    address = (endpoint or constants.ENDPOINT).rstrip("/")
    with hub_errors(model_id, endpoint=address):
        api = HfApi(endpoint=address, library_name=CLIENT_NAME)
        info = api.model_info(model_id, revision=revision, files_metadata=True, timeout=TIMEOUT_SECONDS)
    if not info.sha or not info.siblings:
        raise DownloadFailed(f"{address} knows {model_id} but lists no files of it. Try again later.")
    _require_musicgen(info)
    siblings = {sibling.rfilename: sibling for sibling in info.siblings}
    weights, needs_conversion = _choose_weights(siblings, model_id)
    names = [CONFIG_NAME, TOKENIZER_NAME, *(n for n in WELCOME_NAMES if n in siblings), *weights]
    return DownloadPlan(
        id=model_id,
        revision=info.sha,
        license=_license(info),
        files=tuple(_remote_file(siblings[name]) for name in names),
        needs_conversion=needs_conversion,
        endpoint=address,
    )


def _require_musicgen(info: ModelInfo) -> None:
    kind = (info.config or {}).get("model_type", "musicgen")
    if kind != "musicgen":
        raise ModelUnsupported(
            f"{info.id} is a model of type {kind!r}; the studio plays MusicGen (type 'musicgen'), such as "
            "facebook/musicgen-small."
        )


def _choose_weights(siblings: Mapping[str, RepoSibling], model_id: str) -> tuple[list[str], bool]:
    """The weight files, safetensors before pickles, and whether they must be converted."""
    for name in (CONFIG_NAME, TOKENIZER_NAME):
        if name not in siblings:
            raise ModelUnsupported(f"{model_id} has no {name}, which the studio needs. Choose another model.")
    single_pickle, pickle_index = PICKLE_NAMES
    forms = (
        (SINGLE_NAME, None, False),
        (INDEX_NAME, r"model-\d+-of-\d+\.safetensors", False),
        (single_pickle, None, True),
        (pickle_index, r"pytorch_model-\d+-of-\d+\.bin", True),
    )
    for name, shards, is_pickled in forms:
        if name in siblings:
            parts = sorted(n for n in siblings if shards and re.fullmatch(shards, n))
            return [name, *parts], is_pickled
    raise ModelUnsupported(f"{model_id} has no weights that the studio reads. Choose another model.")


def _remote_file(sibling: RepoSibling) -> RemoteFile:
    if sibling.size is None:
        raise DownloadFailed(f"The hub does not say how large {sibling.rfilename} is. Try again later.")
    return RemoteFile(
        name=sibling.rfilename,
        size_bytes=sibling.size,
        sha256=sibling.lfs.sha256 if sibling.lfs else None,
        git_sha1=None if sibling.lfs else sibling.blob_id,
    )


def _license(info: ModelInfo) -> str:
    words = info.card_data.license if info.card_data else None
    if isinstance(words, list):
        words = ", ".join(map(str, words))
    tagged = (tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:"))
    return str(words or next(tagged, "unknown"))


@contextmanager
def hub_errors(model_id: str, *, endpoint: str) -> Iterator[None]:
    """Turn what the hub's client raises into ours, with what to do next.

    What comes out the same however often it is tried is no `DownloadFailed`: that one is retryable.
    """
    try:
        yield
    except GatedRepoError as error:
        raise InvalidInput(
            f"{model_id} is gated: accept its licence at {endpoint}/{model_id}, then log in with "
            "`hf auth login` (or set HF_TOKEN) and try again."
        ) from error
    except RevisionNotFoundError as error:
        raise NotFound(
            f"{model_id} has no such revision. Leave the revision out, or see {endpoint}/{model_id}/commits."
        ) from error
    except RepositoryNotFoundError as error:
        raise NotFound(
            f"{endpoint} has no model {model_id}, or it is private. Check the spelling; for a private model "
            "log in with `hf auth login` (or set HF_TOKEN)."
        ) from error
    except OfflineModeIsEnabled as error:
        raise DownloadFailed(
            "HF_HUB_OFFLINE is set, so nothing may be downloaded. Unset it and try again."
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise DownloadFailed(
            f"{endpoint} answered {status} for {model_id}. Try again later: what has come stays, and the "
            "next attempt goes on from there."
        ) from error
    except httpx2.HTTPError as error:
        raise DownloadFailed(
            f"{endpoint} could not be reached, or the connection broke ({error!r}). Check the network and "
            "try again: what has come stays, and the next attempt goes on from there."
        ) from error
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        # an answer that is not the hub's JSON, such as a hotel's log-in page
        raise DownloadFailed(
            f"{endpoint} answered with something that is not the hub's. Check the network (a log-in page?)."
        ) from error
