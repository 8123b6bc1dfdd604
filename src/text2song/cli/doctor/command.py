"""`text2song doctor`."""

from typing import Annotated

import typer

from text2song.cli.answer import JsonFlag, answering
from text2song.cli.serve.listener import LAST_PORT

PortOption = Annotated[
    int, typer.Option(help="The port that the studio is to serve on.", min=1, max=LAST_PORT, metavar="NUMBER")
]


def doctor(*, port: PortOption = 8000, json: JsonFlag = False) -> None:
    """Say what is installed, what is missing, and what to do about it.

    Changes nothing. Ends with 1 where something must be done before the studio can work.
    """
    with answering(is_json=json) as answer:
        from text2song.cli.doctor import examining  # noqa: PLC0415  # it needs what may not be installed

        examining.examine(answer, port=port)
