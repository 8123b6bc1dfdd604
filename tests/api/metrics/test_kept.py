from text2song.api.metrics.kept import LIVE_SECONDS, Kept


class Watched:
    """A look whose cost is told, and a clock that goes on only by it."""

    def __init__(self, *, cost_seconds: float) -> None:
        self.now = 100.0
        self.looks = 0
        self.cost_seconds = cost_seconds
        self.kept = Kept(self.look, monotonic=lambda: self.now)

    def look(self) -> int:
        self.now += self.cost_seconds
        self.looks += 1
        return self.looks


def test_an_answer_holds_for_a_few_seconds() -> None:
    watched = Watched(cost_seconds=0.0)
    assert [watched.kept(), watched.kept()] == [1, 1]
    watched.now += LIVE_SECONDS - 0.1
    assert watched.kept() == 1
    watched.now += 0.1
    assert watched.kept() == 2


def test_the_dearer_a_look_the_seldomer_it_is_taken() -> None:
    watched = Watched(cost_seconds=0.5)
    began = watched.now
    while watched.now < began + 1000:
        watched.kept()
        watched.now += 1
    assert 0.008 <= watched.looks * 0.5 / 1000 <= 0.012


def test_an_error_is_not_kept() -> None:
    answers = iter([ZeroDivisionError, 7])

    def look() -> int:
        answer = next(answers)
        if answer is ZeroDivisionError:
            raise ZeroDivisionError
        assert isinstance(answer, int)
        return answer

    kept = Kept(look)
    try:
        kept()
    except ZeroDivisionError:
        assert kept() == 7
    else:
        raise AssertionError
