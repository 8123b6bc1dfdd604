"""`text2song worker`."""

from text2song.cli.answer import JsonFlag, answering


def worker(*, json: JsonFlag = False) -> None:
    """Run only the worker, over the same database and bytes as a server elsewhere on this machine.

    Runs until Ctrl-C; unfinished takes go back to the queue.
    """
    with answering(is_json=json) as answer:
        from text2song.cli.worker import working  # noqa: PLC0415  # help must not wait for the server's packages

        working.work(answer)
