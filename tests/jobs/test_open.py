import subprocess
import sys

import pytest

from text2song.errors import InvalidSetting
from text2song.jobs.celery import CeleryQueue
from text2song.jobs.open import is_in_process, open_queue
from text2song.jobs.threads import ThreadQueue


def test_the_url_chooses_the_queue() -> None:
    assert isinstance(open_queue("thread://"), ThreadQueue)
    assert isinstance(open_queue("redis://here"), CeleryQueue)
    assert isinstance(open_queue("rediss://here"), CeleryQueue)
    assert is_in_process("thread://")
    assert not is_in_process("redis://here")


@pytest.mark.parametrize("url", ["", "thread", "amqp://me:sesame@here", "redis:/here", "REDIS here"])
def test_any_other_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidSetting, match="redis://HOST:6379/0") as error:
        open_queue(url)
    assert error.value.field == "TEXT2SONG_QUEUE_URL"
    assert "sesame" not in error.value.message


def test_nothing_of_celery_is_imported_before_a_url_asks_for_it() -> None:
    program = (
        "import sys, text2song.jobs.open as o; o.open_queue('thread://');"
        "sys.exit(any(m.partition('.')[0] in {'celery', 'kombu', 'redis'} for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
