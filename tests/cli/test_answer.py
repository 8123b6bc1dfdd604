import json

import pytest
import typer

from text2song.cli.answer import Interrupted, answering, told
from text2song.errors import NotFound


def ending(error: BaseException, *, is_json: bool) -> int:
    with pytest.raises(typer.Exit) as ended, answering(is_json=is_json):
        raise error
    return ended.value.exit_code


def test_a_result_is_text_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(is_json=False) as answer:
        answer.notice("By the way.")
        answer.give({"n": 1}, text="One.")
    assert capsys.readouterr() == ("One.\n", "By the way.\n")


def test_a_result_is_one_document_for_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(is_json=True) as answer:
        answer.notice("By the way.")
        answer.give({"n": "Grüße"}, text="One.")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"n": "Grüße"}
    assert err == "By the way.\n"


def test_an_error_is_told_to_the_person_and_to_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(NotFound("there is none"), is_json=True) == 4
    out, err = capsys.readouterr()
    assert json.loads(out) == {"error": {"code": "not_found", "message": "There is none."}}
    assert err == "Error: There is none.\n"
    assert ending(NotFound("there is none"), is_json=False) == 4
    assert capsys.readouterr() == ("", "Error: There is none.\n")


def test_after_the_result_an_error_adds_no_second_document(capsys: pytest.CaptureFixture[str]) -> None:
    def give_and_fail() -> None:
        with answering(is_json=True) as answer:
            answer.give({"url": "x"}, text="")
            raise NotFound("it went away")

    with pytest.raises(typer.Exit):
        give_and_fail()
    assert json.loads(capsys.readouterr().out) == {"url": "x"}


def test_what_was_known_goes_into_the_error_document(capsys: pytest.CaptureFixture[str]) -> None:
    def learn_and_fail() -> None:
        with answering(is_json=True) as answer:
            answer.about["job"] = {"id": "1"}
            raise NotFound("it went away")

    with pytest.raises(typer.Exit):
        learn_and_fail()
    assert json.loads(capsys.readouterr().out)["job"] == {"id": "1"}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyboardInterrupt(), "Interrupted."),
        (typer.Abort(), "Interrupted."),
        (Interrupted("interrupted: two takes are kept"), "Interrupted: two takes are kept."),
    ],
)
def test_ctrl_c_is_an_error_with_a_code_of_its_own(
    error: BaseException, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(error, is_json=True) == 130
    assert json.loads(capsys.readouterr().out)["error"] == {"code": "interrupted", "message": message}


def test_a_bug_shows_its_traceback_and_is_an_error_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(ValueError("surprise"), is_json=True) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["code"] == "unexpected_failure"
    assert "Traceback" in err
    assert "surprise" in err


def test_text_from_elsewhere_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(is_json=False) as answer:
        answer.notice("[red]as it is[/red] :smile:")
    assert capsys.readouterr().err == "[red]as it is[/red] :smile:\n"


@pytest.mark.parametrize(
    ("said", "expected"), [("it is so", "It is so."), ("Why?", "Why?"), (" a (b)", "A (b).")]
)
def test_a_message_is_a_sentence(said: str, expected: str) -> None:
    assert told(said) == expected
