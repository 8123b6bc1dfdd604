"""What the page on S3 tells people to write is what the studio reads."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

from text2song.blobs.address import address_of
from text2song.blobs.s3 import PART_BYTES, PARTS_AT_ONCE, S3Blobs
from text2song.blobs.signing import AccessKey
from text2song.blobs.store import LINK_SECONDS
from text2song.settings import PREFIX, Settings

PAGE: Final = (Path(__file__).parents[2] / "docs" / "how-to" / "s3.md").read_text()
URLS: Final = sorted(set(re.findall(r"s3://[^\"`\s]+", PAGE)))
KEY: Final = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize("url", URLS)
def test_every_url_names_a_bucket(url: str) -> None:
    address = address_of(url, KEY)
    assert (address.bucket, address.prefix, address.key) == ("my-songs", "studio", AccessKey("id", "secret"))
    assert S3Blobs(address).link_origin == address.origin


def test_there_are_urls_to_look_at() -> None:
    assert len(URLS) >= 6


def test_every_setting_is_one() -> None:
    named = set(re.findall(rf"{PREFIX}[A-Z0-9_]+", PAGE))
    assert named <= {PREFIX + name.upper() for name in Settings.model_fields}
    assert {PREFIX + name.upper() for name in Settings.model_fields if name.startswith("blobs_")} <= named


def test_the_rules_for_a_bucket_are_json() -> None:
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)]
    assert len(blocks) == 2


def test_the_numbers_are_the_program_s() -> None:
    assert f"Uploads above {PART_BYTES // 2**20} MiB go in parts" in PAGE
    assert PARTS_AT_ONCE == 4
    assert "four at a time" in PAGE
    assert LINK_SECONDS == 3600
    assert "holds for an hour" in PAGE
