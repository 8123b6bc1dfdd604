"""How a team's server bears many people: two APIs, PostgreSQL, Redis, S3 and a worker, at a fixed rate.

    python -m benchmarks.server                 prints the tables of benchmarks/server.md: four minutes
    python -m benchmarks.server --seconds 20    shorter, noisier

Half of the time that it asks the peers, a bare FastAPI over the same rows and an nginx with the same bytes,
comes before the studio's turn and half after it. Needs nginx in PATH (Debian: apt-get install nginx-light),
PostgreSQL, and the tests' S3 server (`make installed-s3`). Nothing but this machine is asked.
"""

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from benchmarks.crowd import Ask, Habit, Outcome, Planned, percentile, plan, run
from benchmarks.deployment import Deployment, deployed, wish
from benchmarks.filling import ONE_IN_A_THOUSAND
from benchmarks.peers import cpu_seconds, nginx, running
from tests.figures import machine
from tests.servers import free_port

PEOPLE: Final = 200
RATE_PER_SECOND: Final = 50.0
SECONDS: Final = 120.0
WARM_UP_SECONDS: Final = 5.0
"""Of each side, counted nowhere: the first requests of a process make what the others use."""
HISTORY_JOBS: Final = 100_000
TAKES: Final = 24
"""That people listen to."""
TAKE_SECONDS: Final = 8.0
WAIT_SECONDS: Final = 2.0
"""People act every four seconds, and have their answer well before the next act is due."""
SUBMITTED_SECONDS: Final = 1.0
PAGE: Final = 20
RANGE: Final = (("Range", "bytes=0-65535"),)
FROM_S3: Final = "bytes from the storage"
REDIRECT: Final = "GET /audio/{id}/stream: the redirect"
WAITING: Final = "GET /generate/{id}?wait=: beyond the wait"
SUBMIT: Final = "POST /generate"
NOT_OURS: Final = frozenset({FROM_S3, SUBMIT})
"""Kinds that are no reads of the studio's."""
BAR_SECONDS: Final = 0.150


@dataclass(frozen=True, slots=True)
class Known:
    """What people can ask for."""

    jobs: Sequence[str]
    samples: Sequence[str]
    prompts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Turn:
    """What was measured of one side, and the processor time that each part took meanwhile."""

    outcome: Outcome
    cpu_seconds: Mapping[str, float]


def main() -> None:
    """Start everything, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of the studio's turn")
    parser.add_argument("--jobs", type=int, default=HISTORY_JOBS, help="jobs in the history")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        site = stack.enter_context(deployed(folder, history_jobs=options.jobs))
        known = look_around(site, site.make(jobs=TAKES, seconds=TAKE_SECONDS))
        peers = stack.enter_context(_peers(folder, site, known))
        facts = machine()
        print(f"{facts['processor']}, {facts['memory']}, {facts['system']}")
        keys = site.admit(PEOPLE)
        ours, theirs = measure(site, peers, known, keys=keys, seconds=options.seconds)
    print_tables(ours, theirs)
    sys.exit(not meets_the_bar(ours.outcome))


@dataclass(frozen=True, slots=True)
class Peers:
    """Where the others answer, and by which processes."""

    bare_ports: Sequence[int]
    nginx_port: int
    pids: Mapping[str, list[int]]


def measure(
    site: Deployment, peers: Peers, known: Known, *, keys: Sequence[str], seconds: float
) -> tuple[Turn, Turn]:
    """The peers, the studio, the peers again."""
    own = [os.getpid()]
    bare = bare_habits(known, nginx_port=peers.nginx_port)
    theirs = {"client": own, **peers.pids, "PostgreSQL": site.pids["PostgreSQL"]}
    run(plan_of(habits(known), seconds=WARM_UP_SECONDS, seed=4), ports=site.ports, keys=keys)
    run(plan_of(bare, seconds=WARM_UP_SECONDS, seed=5), ports=peers.bare_ports)
    before = turn(plan_of(bare, seconds=seconds / 2, seed=1), ports=peers.bare_ports, pids=theirs)
    ours = turn(
        plan_of(habits(known), seconds=seconds, seed=2),
        ports=site.ports,
        keys=keys,
        pids={"client": own, **site.pids},
    )
    after = turn(plan_of(bare, seconds=seconds / 2, seed=3), ports=peers.bare_ports, pids=theirs)
    before.outcome.add(after.outcome)
    taken = {part: used + after.cpu_seconds[part] for part, used in before.cpu_seconds.items()}
    return ours, Turn(before.outcome, taken)


def turn(
    planned: Sequence[Planned],
    *,
    ports: Sequence[int],
    pids: Mapping[str, list[int]],
    keys: Sequence[str] = (),
) -> Turn:
    """Carry a plan out, and see what it cost."""
    before = {part: cpu_seconds(of_part) for part, of_part in pids.items()}
    before["client"] = sum(os.times()[:2])
    outcome = run(planned, ports=ports, keys=keys)
    after = {part: cpu_seconds(of_part) for part, of_part in pids.items()}
    after["client"] = sum(os.times()[:2])
    return Turn(outcome, {part: after[part] - before[part] for part in pids})


def plan_of(given: Sequence[Habit], *, seconds: float, seed: int) -> list[Planned]:
    """Everybody's requests for so long."""
    return plan(given, people=PEOPLE, rate_per_second=RATE_PER_SECOND, seconds=seconds, seed=seed)


def look_around(site: Deployment, made: Sequence[dict[str, Any]]) -> Known:
    """Ids to ask for: of what was just made, and of some of the history."""
    with site.apis[0].client() as client:
        first = client.get("/generate", params={"limit": 200, "status": "succeeded"}).json()
        second = (
            client.get(
                "/generate", params={"limit": 200, "status": "succeeded", "cursor": first["next_cursor"]}
            ).json()
            if first["next_cursor"]
            else {"items": []}
        )
    jobs = [*first["items"], *second["items"]]
    return Known(
        jobs=[job["id"] for job in jobs],
        samples=[job["samples"][0]["id"] for job in made],
        prompts=sorted({job["prompt_id"] for job in jobs}),
    )


def habits(known: Known) -> list[Habit]:
    """Browse, poll, listen; a job now and then keeps the worker at work and the queue alive."""
    chance = random.Random(5)
    several = [",".join(chance.sample(known.jobs, 5)) for _ in range(20)]
    polls = [Ask("GET /generate/{id}", f"/generate/{job}") for job in known.jobs]
    waits = [
        Ask(WAITING, f"/generate/{job}?wait={WAIT_SECONDS:g}&since=1000000", waits_seconds=WAIT_SECONDS)
        for job in known.jobs
    ]
    bodies = [json.dumps(wish(n, seconds=SUBMITTED_SECONDS)).encode() for n in range(1000)]
    return [
        Habit(28, polls),
        Habit(10, waits),
        Habit(10, [Ask("GET /generate, a page", f"/generate?limit={PAGE}")]),
        Habit(5, [Ask("GET /generate?ids=, five", f"/generate?ids={ids}") for ids in several]),
        Habit(8, [Ask("GET /audio, a page", f"/audio?limit={PAGE}")]),
        Habit(8, [Ask("GET /audio/{id}", f"/audio/{sample}") for sample in known.samples]),
        Habit(4, [Ask("GET /audio/{id}/peaks", f"/audio/{sample}/peaks") for sample in known.samples]),
        Habit(6, [Ask("GET /prompts, a page", f"/prompts?limit={PAGE}")]),
        Habit(3, [Ask("GET /prompts?q=", f"/prompts?q={ONE_IN_A_THOUSAND}")]),
        Habit(5, [Ask("GET /prompts/{id}", f"/prompts/{prompt}") for prompt in known.prompts]),
        Habit(
            12,
            [
                Ask(REDIRECT, f"/audio/{sample}/stream", headers=headers, follows_as=FROM_S3)
                for sample in known.samples
                for headers in ((), RANGE)
            ],
        ),
        Habit(1, [Ask(SUBMIT, "/generate", body=body) for body in bodies]),
    ]


def bare_habits(known: Known, *, nginx_port: int) -> list[Habit]:
    """The same, as far as the peers can: they wait for nothing, and search, redirect and write nothing."""
    return [
        Habit(43, [Ask("GET /generate/{id}", f"/generate/{job}") for job in known.jobs]),
        Habit(10, [Ask("GET /generate, a page", f"/generate?limit={PAGE}")]),
        Habit(8, [Ask("GET /audio, a page", f"/audio?limit={PAGE}")]),
        Habit(12, [Ask("GET /audio/{id}", f"/audio/{sample}") for sample in known.samples]),
        Habit(9, [Ask("GET /prompts, a page", f"/prompts?limit={PAGE}")]),
        Habit(5, [Ask("GET /prompts/{id}", f"/prompts/{prompt}") for prompt in known.prompts]),
        Habit(
            12,
            [
                Ask(FROM_S3, f"/{sample}.flac", port=nginx_port, headers=headers)
                for sample in known.samples
                for headers in ((), RANGE)
            ],
        ),
    ]


@contextmanager
def _peers(folder: Path, site: Deployment, known: Known) -> Iterator[Peers]:
    sounds = folder / "sounds"
    sounds.mkdir()
    for sample in known.samples:
        link = httpx2.get(f"{site.apis[0].url}/audio/{sample}/stream").headers["location"]
        (sounds / f"{sample}.flac").write_bytes(httpx2.get(link, trust_env=False).content)
    with ExitStack() as stack:
        port, nginx_pid = stack.enter_context(nginx(folder, sounds=sorted(sounds.iterdir())))
        bare_ports = [free_port() for _ in site.apis]
        bare_pids = [stack.enter_context(_bare(bare_port, site.database_url)) for bare_port in bare_ports]
        yield Peers(bare_ports, port, {"bare FastAPI": bare_pids, "nginx": [nginx_pid]})


@contextmanager
def _bare(port: int, url: str) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.bare_rows", str(port), url]
    with running(command, port=port) as pid:
        yield pid


def reads(outcome: Outcome) -> list[float]:
    """The latencies of all reads that the studio answered."""
    return [taken for kind, measured in outcome.seconds.items() if kind not in NOT_OURS for taken in measured]


def meets_the_bar(outcome: Outcome) -> bool:
    """No answer of 500 or above, nothing unanswered, and 95 of 100 reads in time."""
    is_sound = not outcome.server_errors and not outcome.errors and not outcome.refusals
    return is_sound and percentile(reads(outcome), 95) < BAR_SECONDS


def print_tables(ours: Turn, theirs: Turn) -> None:
    """By kind of request; then the processors."""
    print("\n| | asked | p50, ms | p95, ms | p99, ms | bare FastAPI or nginx: p50 | p95 | p99 |")
    print("|---" * 8 + "|")
    for kind in [*ours.outcome.seconds, "all reads"]:
        print(f"| {kind} | {_row(ours.outcome, kind)} | {_row(theirs.outcome, kind).split(' | ', 1)[1]} |")
    for name, each in (("The studio", ours), ("The peers", theirs)):
        outcome = each.outcome
        print(
            f"\n{name}: {outcome.count:,} answers in {outcome.wall_seconds:.0f} s, "
            f"{outcome.bytes_read / 1e6:.0f} MB; of 500 and above {outcome.server_errors}, of 400 to 499 "
            f"{outcome.refusals}, unanswered {sum(outcome.errors.values())} {dict(outcome.errors) or ''}"
        )
        cores = {part: used / outcome.wall_seconds for part, used in each.cpu_seconds.items()}
        told = ", ".join(f"{part} {share:.0%}" for part, share in cores.items())
        print(f"Of one core: {told}; all {sum(cores.values()):.0%} of {os.cpu_count()}00%")


def _row(outcome: Outcome, kind: str) -> str:
    measured = reads(outcome) if kind == "all reads" else outcome.seconds.get(kind, [])
    if len(measured) < 2:
        return " | ".join([str(len(measured)), "", "", ""])
    shown = " | ".join(f"{percentile(measured, percent) * 1e3:.1f}" for percent in (50, 95, 99))
    return f"{len(measured):,} | {shown}"


if __name__ == "__main__":
    main()
