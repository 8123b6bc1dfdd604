"""How a command answers: its result on standard output, everything else on standard error.

With `--json`, standard output holds exactly one JSON document: the result, or `{"error": {"code",
"message"}}`. Without it, the result is text for a person. Notices, progress and errors go to
standard error in both cases, so a pipe never meets them.
"""

import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from text2song.cli.exits import ExitCode, exit_code_of
from text2song.cli.faults import explained
from text2song.cli.program import as_started
from text2song.errors import UnexpectedFailure, sentence

JsonFlag = Annotated[bool, typer.Option("--json", help="Answer with one JSON document on standard output.")]
INTERRUPTED_CODE: Final = "interrupted"


class Interrupted(Exception):
    """Ctrl-C, after the command has put its things in order; says what became of the work."""


class Answer:
    """What one command says."""

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json
        self.console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
        """Standard error: colours only on a terminal, and none where NO_COLOR is set."""
        self.about: dict[str, Any] = {}
        """What is known by now; goes into the JSON document even where the command fails."""
        self._is_given = False
        self._notify: Callable[[str], object] = self._print

    def give(self, document: Mapping[str, Any], *, text: str) -> None:
        """The result, in the one form or the other."""
        self._is_given = True
        line = json.dumps(document, indent=2, ensure_ascii=False) if self.is_json else as_started(text)
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def notice(self, text: str) -> None:
        """Something to know beside the result."""
        self._notify(as_started(text))

    def hand_notices_to(self, log: Callable[[str], object]) -> None:
        """From now on notices are lines of the log: where a program reads standard error, it is all log."""
        self._notify = log

    def fail(self, *, code: str, message: str) -> None:
        """What went wrong, once."""
        said = told(as_started(message))
        self.console.print(Text.assemble(("Error: ", "bold red"), said))
        if self.is_json and not self._is_given:
            self.give({"error": {"code": code, "message": said}, **self.about}, text="")

    def _print(self, text: str) -> None:
        self.console.print(Text(text))


@contextmanager
def answering(*, is_json: bool) -> Iterator[Answer]:
    """The body of every command: whatever it raises becomes a message and an exit code."""
    answer = Answer(is_json=is_json)
    try:
        yield answer
    except (typer.Exit, BrokenPipeError):
        raise
    except (KeyboardInterrupt, typer.Abort) as error:
        answer.fail(code=INTERRUPTED_CODE, message="interrupted.")
        raise typer.Exit(ExitCode.INTERRUPTED) from error
    except Interrupted as error:
        answer.fail(code=INTERRUPTED_CODE, message=str(error))
        raise typer.Exit(ExitCode.INTERRUPTED) from error
    except Exception as error:
        raise typer.Exit(_fail(answer, error)) from error


def _fail(answer: Answer, error: Exception) -> ExitCode:
    known = explained(error)
    if known is None:
        traceback.print_exception(error)
        known = UnexpectedFailure(
            f"an unexpected {type(error).__name__}: {error}. Please report it with the lines above."
        )
    answer.fail(code=known.code, message=known.message)
    return exit_code_of(type(known))


def told(message: str) -> str:
    """A message as a sentence of its own; one that begins with a name or an address keeps it as it is."""
    text = sentence(message)
    return text[:1].upper() + text[1:] if text.split(" ", 1)[0].rstrip(".,:;").isalpha() else text
