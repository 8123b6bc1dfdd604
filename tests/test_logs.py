import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from text2song.errors import InvalidSetting
from text2song.logs import configure_logging
from text2song.users.secrets import new_key


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_machines_get_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=True, level="info")
    structlog.stdlib.get_logger("studio").info("take_made", seed=7, words="a\nb")
    logging.getLogger("library").warning("careful: %s", "hot")
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = map(json.loads, captured.err.splitlines())
    assert first.pop("timestamp").endswith("Z")
    assert first == {"event": "take_made", "level": "info", "logger": "studio", "seed": 7, "words": "a\nb"}
    assert (second["event"], second["logger"]) == ("careful: hot", "library")


def test_people_get_a_line_that_nothing_can_break(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=False, level="INFO")
    structlog.stdlib.get_logger("studio").info("take_made", words="a\nb")
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("json", [True, False])
def test_tracebacks_never_show_what_variables_hold(capsys: pytest.CaptureFixture[str], *, json: bool) -> None:
    configure_logging(json=json, level="info")
    password = f"secret-{id(capsys)}"
    try:
        int(f"x{len(password)}")
    except ValueError as error:
        structlog.stdlib.get_logger().error("broke", exc_info=error)
    shown = capsys.readouterr().err
    assert "ValueError" in shown
    assert password not in shown


@pytest.mark.parametrize("json", [True, False])
def test_a_key_is_blotted_out_wherever_it_came_from(
    capsys: pytest.CaptureFixture[str], *, json: bool
) -> None:
    configure_logging(json=json, level="info")
    key = new_key()
    structlog.stdlib.get_logger().info(f"asked for /{key}", path=f"/a/{key}/b", nested={"key": [key]})
    logging.getLogger("library").warning("sent %s", f"Bearer {key}")
    try:
        int(key)
    except ValueError as error:  # whose words name it
        structlog.stdlib.get_logger().error("broke", exc_info=error)
    shown = capsys.readouterr().err
    assert key[4:] not in shown
    assert shown.count("t2s_***") >= 5


def test_the_level_is_kept_and_the_access_log_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=True, level="WARNING")
    structlog.stdlib.get_logger().info("quiet")
    logging.getLogger("uvicorn.access").error("GET /prompts?token=secret")
    logging.getLogger("uvicorn.error").error("loud")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["loud"]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="is no log level"):
        configure_logging(json=True, level="loud")


def test_a_second_call_does_not_double_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=True, level="info")
    configure_logging(json=True, level="info")
    logging.getLogger("library").warning("once")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_loggers_made_before_the_configuration_follow_it() -> None:
    program = (
        "import structlog; log = structlog.stdlib.get_logger('early')\n"
        "from text2song.logs import configure_logging\n"
        "configure_logging(json=True, level='info'); log.info('hello')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stderr)["logger"] == "early"


KEY = "t2s_" + "k" * 43
PASSWORD = "hunter2-hunter2"


def refuse(reason: str) -> None:
    raise ConnectionError(reason)


@pytest.mark.parametrize("json", [True, False])
def test_no_secret_reaches_a_log(capsys: pytest.CaptureFixture[str], *, json: bool) -> None:
    configure_logging(json=json, level="debug", secrets=[PASSWORD])
    log = structlog.stdlib.get_logger("studio")
    log.info("asked", headers={"Authorization": f"Bearer {KEY}"}, cookie=f"session={KEY}", api_key=KEY)
    log.bind(url=f"redis://:{PASSWORD}@cache:6379/0").warning(f"no answer for {KEY}")
    with structlog.contextvars.bound_contextvars(sent=(KEY, {"deep": [f"password={PASSWORD}"]})):
        logging.getLogger("library").error("failed %s at %r", KEY, {"password": PASSWORD})
    try:
        refuse(f"postgresql://me:{PASSWORD}@db refused {KEY}")
    except ConnectionError as error:
        log.exception("broke", cause=error)
        logging.getLogger("library").exception("broke too")
    shown = capsys.readouterr().err
    assert PASSWORD not in shown
    assert KEY not in shown
    assert shown.count("***") >= 10
    assert shown.count("ConnectionError") >= 3
    assert "redis://:***@cache:6379/0" in shown


def test_a_line_with_secrets_is_still_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=True, level="info", secrets=['with"quotes\\'])
    structlog.stdlib.get_logger().info('said with"quotes\\', header=f'Cookie: a="{KEY}"')
    line = json.loads(capsys.readouterr().err)
    assert line["event"] == "said ***"
    assert KEY not in line["header"]
