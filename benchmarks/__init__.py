"""One script and one table of results for each question."""

import text2song.model  # noqa: F401  # what it tells torch of threads and pages must be told before torch is there
