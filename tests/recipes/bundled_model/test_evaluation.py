import numpy as np
import pytest

from recipes.bundled_model import evaluation


def test_unseen_prompts_are_the_same_each_time_and_all_different() -> None:
    first, again = evaluation.unseen(50), evaluation.unseen(50)
    assert first == again
    assert len({asked.sentence for asked in first}) == 50


def test_sick_clips_are_counted() -> None:
    sound = np.sin(np.arange(1000) / 10, dtype=np.float32)[None] / 2
    broken = sound.copy()
    broken[0, 5] = np.nan
    found = evaluation.health([sound, 0 * sound, broken, 3 * sound])
    assert found == {"clips": 4, "silent": 1, "not finite": 1, "clipped": 1}


def test_rank_correlation_by_hand() -> None:
    values = np.array([3.0, 1.0, 2.0, 10.0])
    assert evaluation._spearman(values, 2 * values) == pytest.approx(1.0)
    assert evaluation._spearman(values, -values) == pytest.approx(-1.0)
    # Ranks 2 0 1 3 and 2 1 0 3: six times the squared differences (0 1 1 0) over 4 (16 - 1), from one.
    assert evaluation._spearman(values, np.array([3.0, 2.0, 1.0, 9.0])) == pytest.approx(1 - 12 / 60)
