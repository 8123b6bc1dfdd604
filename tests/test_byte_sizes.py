import pytest

from text2song.byte_sizes import read_size, size_words


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("12GB", 12_000_000_000),
        ("8GiB", 8 * 2**30),
        ("900MiB", 900 * 2**20),
        ("7.5 gib", 7 * 2**30 + 2**29),
        ("  1tb ", 10**12),
        ("1.5kB", 1500),
        ("2TiB", 2 * 2**40),
    ],
)
def test_a_size_is_read_with_its_unit(text: str, size_bytes: int) -> None:
    assert read_size(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    ["", "12", "12 G", "GB", "-1GB", "0GB", "0.0MiB", "1,5GB", "12 apples", "1e3GB", "nanGB", "1GB 2GB"],
)
def test_what_is_no_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"with its unit, such as 12GB, 7\.5GiB or 900MiB"):
        read_size(text)


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (0, "0.0 kB"),
        (1500, "1.5 kB"),
        (999_999, "1000.0 kB"),
        (2_360_000, "2.4 MB"),
        (1_000_000_000, "1.0 GB"),
    ],
)
def test_a_size_is_said_in_the_largest_unit_that_it_fills(size_bytes: int, words: str) -> None:
    assert size_words(size_bytes) == words
