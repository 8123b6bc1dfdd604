"""`text2song serve`."""

from typing import Annotated

import typer

from text2song.cli.answer import JsonFlag, answering
from text2song.cli.serve.listener import LAST_PORT

HostOption = Annotated[str, typer.Option(help="This machine's own address to serve on.", metavar="ADDRESS")]
PortOption = Annotated[
    int,
    typer.Option(help="Port to serve on; 0 takes any that is free.", min=0, max=LAST_PORT, metavar="NUMBER"),
]


def serve(*, host: HostOption = "127.0.0.1", port: PortOption = 8000, json: JsonFlag = False) -> None:
    """Serve the studio on this machine: the HTTP API, and a worker with the model.

    Says where to click as soon as it is ready, and runs until Ctrl-C. What is unfinished then is
    taken up again by the next start.
    """
    with answering(is_json=json) as answer:
        from text2song.cli.serve import serving  # noqa: PLC0415  # help must not wait for the server's packages

        serving.serve(answer, host=host, port=port)
