"""`text2song worker`."""

from typing import Annotated

import typer

from text2song.cli.answer import JsonFlag, answering

Queues = Annotated[
    str | None,
    typer.Option(help="Kinds of work to do, separated by commas (TEXT2SONG_QUEUES).", metavar="KINDS"),
]
Device = Annotated[
    str | None,
    typer.Option(help="Where to compute, such as cpu or cuda:0 (TEXT2SONG_DEVICE).", metavar="DEVICE"),
]
ModelName = Annotated[str | None, typer.Option(help="The model to serve (TEXT2SONG_MODEL).", metavar="ID")]
DrainSeconds = Annotated[
    str | None,
    typer.Option(
        help="How long it may take to end what it is at, once asked to stop (TEXT2SONG_DRAIN_SECONDS).",
        metavar="SECONDS",
    ),
]
HealthPath = Annotated[
    str | None,
    typer.Option(
        help="File to touch while the worker is well, for a container's probe (TEXT2SONG_HEALTH_FILE).",
        metavar="FILE",
    ),
]


def worker(
    *,
    queues: Queues = None,
    device: Device = None,
    model: ModelName = None,
    drain_seconds: DrainSeconds = None,
    health_file: HealthPath = None,
    json: JsonFlag = False,
) -> None:
    """Run only a worker, over the same database and bytes as the server, here or on another machine.

    Runs until Ctrl-C or SIGTERM: then it claims no more, ends what it can within `--drain-seconds`,
    and hands the rest back to the queue. A second signal ends it at once.
    """
    options = {
        "queues": queues,
        "device": device,
        "model": model,
        "drain_seconds": drain_seconds,
        "health_file": health_file,
    }
    with answering(is_json=json) as answer:
        from text2song.cli.worker import working  # noqa: PLC0415  # help must not wait for the server's packages

        working.work(answer, options=options)
