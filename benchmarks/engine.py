"""The engine beside transformers' MusicGen, by turns, in one run, with random weights at a published size.

    python -m benchmarks.engine                   prints the tables of benchmarks/engine.md; an hour or two
    python -m benchmarks.engine --quick --json    about three minutes; what the named cases came to, as JSON
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 python -m benchmarks.engine
                                                  as on a laptop without AVX-512

Needs torch, transformers, peft and numpy, and the model layer of this project alone. On a processor it is all
computed by one thread and told in that thread's own seconds, so that other work on the machine disturbs less;
by several (`--threads`), and on a GPU, in seconds of the clock. Of some rounds the fastest counts, on either
side.

A *step* is one frame of every prompt: without reading the sentence, without EnCodec, and of theirs without
the drawing of codes, a few hundredths. It is measured at the beginning, in the middle and at the end of a
take, over memories that are filled beforehand. *Whole takes* are from the words to the sound.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

try:
    from peft import LoraConfig, get_peft_model
    from transformers import MusicgenForCausalLM, MusicgenForConditionalGeneration
except ModuleNotFoundError as missing:
    raise SystemExit(
        f"{missing.name} is not installed: `make setup` brings what benchmarks compare with."
    ) from None

from benchmarks import musicgens, steps
from benchmarks.steps import Clock
from text2song.model.batch import Parts
from text2song.model.lora import Factors
from text2song.music.spec import AdapterWeight, GenerationSpec

ADAPTERS: Final = tuple(AdapterWeight(digit * 64) for digit in "1234")
RANK: Final = 8
SHORT, LONG = 250, 1500
"""Frames of 5 and of 30 seconds."""
Measure = Callable[[], float]
"""Does it once, and answers the seconds that it took."""


@dataclass(frozen=True, slots=True)
class Case:
    """Ours beside a peer; less is better."""

    name: str
    what: str
    ours: Measure
    peer: Measure
    rounds: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The fastest of some rounds of each, in milliseconds."""

    case: Case
    ours: float
    peer: float

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.peer / self.ours

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "case": self.case.name,
            "ours": round(self.ours, 2),
            "peer": round(self.peer, 2),
            "ratio": round(self.ratio, 3),
            "unit": "ms",
        }

    def as_row(self) -> str:
        """Of the table."""
        return (
            f"| {self.case.name} | {self.case.what} | {self.ours:.1f} | {self.peer:.1f} | {self.ratio:.2f} |"
        )


def measured(case: Case) -> Outcome:
    """By turns; the first round of each warms up where there are several."""
    rounds = [(case.ours(), case.peer()) for _ in range(case.rounds)]
    fastest = [min(side) * 1e3 for side in zip(*rounds, strict=True)]
    return Outcome(case, *fastest)


class Peers:
    """Every model that a case compares, made when it is first asked for."""

    def __init__(self, size: str, *, device: str) -> None:
        self.size = size
        self.device = device
        self.clock = Clock(device)
        self.ours = cache(self._ours)
        self.theirs = cache(self._theirs)

    def _theirs(self, dtype: str) -> MusicgenForConditionalGeneration:
        model = musicgens.theirs(self.size, device=self.device)
        model.to(getattr(torch, dtype))
        steps.their_step_at(5, decoder=model.decoder, words=20, prompts=1, clock=self.clock)  # warms up
        return model

    def _ours(self, dtype: str) -> Parts:
        read = musicgens.weights_of(self.theirs("float32"))
        parts = musicgens.ours(self.size, dtype=dtype, read=read, device=self.device)
        for number, adapter in enumerate(ADAPTERS):
            parts.rack.add(adapter.digest, _factors(parts, seed=number))
        steps.our_step_at(5, parts=parts, wanted=musicgens.specs(1, frames=25), clock=self.clock)  # warms up
        return parts

    def words(self, prompts: int) -> Tensor:
        """What transformers reads of so many sentences."""
        return musicgens.token_ids(self.ours("float32"), prompts, device=self.device)


def _factors(parts: Parts, *, seed: int) -> dict[str, Factors]:
    chance = torch.Generator().manual_seed(seed)
    return {
        name: Factors(
            down=torch.randn(RANK, inputs, generator=chance) * 0.02,
            up=torch.randn(outputs, RANK, generator=chance) * 0.02,
        )
        for name, (outputs, inputs) in parts.info.module_shapes.items()
    }


def our_mean_step(peers: Peers, dtype: str, wanted: Sequence[GenerationSpec], *, frames: int) -> float:
    """Ours, over takes of that length."""
    parts = peers.ours(dtype)
    step_at = partial(steps.our_step_at, parts=parts, wanted=wanted, clock=peers.clock)
    return steps.mean_step(step_at, frames=frames)


def their_step_at(
    frame: int, *, peers: Peers, dtype: str, prompts: int, static_steps: int | None = None
) -> float:
    """Theirs, at one frame."""
    return steps.their_step_at(
        frame,
        decoder=peers.theirs(dtype).decoder,
        words=peers.words(prompts).shape[1],
        prompts=prompts,
        clock=peers.clock,
        static_steps=static_steps,
    )


def their_mean_step(peers: Peers, dtype: str, prompts: int, *, frames: int) -> float:
    """Theirs, over takes of that length."""
    return steps.mean_step(partial(their_step_at, peers=peers, dtype=dtype, prompts=prompts), frames=frames)


def cases_of_steps(peers: Peers, *, prompts: Sequence[int], rounds: int) -> list[Case]:
    """Ours in float32 and in eight bits beside theirs in float32, over takes of 5 s."""
    named = [(f"fp32-{count}", "float32", count) for count in prompts]
    named += [(f"int8-vs-hf-fp32-{count}", "int8", count) for count in prompts]
    return [
        Case(
            name,
            f"a step of {count}, {dtype}, beside float32",
            partial(our_mean_step, peers, dtype, musicgens.specs(count, frames=SHORT), frames=SHORT),
            partial(their_mean_step, peers, "float32", count, frames=SHORT),
            rounds,
        )
        for name, dtype, count in named
    ]


def cases_of_takes(peers: Peers, *, frames: int, prompts: Sequence[int], rounds: int) -> list[Case]:
    """Whole takes in bfloat16, the default, beside theirs by default."""

    def their(count: int) -> float:
        ids = peers.words(count)
        return steps.their_takes(peers.theirs("float32"), ids, frames=frames, clock=peers.clock)

    def our(count: int) -> float:
        wanted = musicgens.specs(count, frames=frames)
        return steps.our_takes(peers.ours("bfloat16"), wanted, clock=peers.clock)

    return [
        Case(
            f"bf16-vs-hf-fp32-{count}",
            f"{count} whole takes of {frames / musicgens.FRAME_RATE:g} s, bfloat16, beside float32",
            partial(our, count),
            partial(their, count),
            rounds,
        )
        for count in prompts
    ]


def cases_of_long_takes(peers: Peers, *, prompts: Sequence[int], rounds: int) -> list[Case]:
    """bfloat16 on both sides, over the caches that transformers has."""
    found = []
    for count in prompts:
        wanted = musicgens.specs(count, frames=LONG)
        found.append(
            Case(
                f"bf16-vs-hf-bf16-30s-{count}",
                f"the mean step of {count} takes of 30 s, bfloat16, beside their default cache",
                partial(our_mean_step, peers, "bfloat16", wanted, frames=LONG),
                partial(their_mean_step, peers, "bfloat16", count, frames=LONG),
                rounds,
            )
        )
        their = partial(their_step_at, peers=peers, dtype="bfloat16", prompts=count, static_steps=LONG)
        found.append(
            Case(
                f"bf16-vs-hf-static-{count}",
                f"the step at frame 1490 of {count}, bfloat16, beside their static cache",
                partial(_our_last_step, peers, wanted),
                partial(their, LONG - 10),
                rounds,
            )
        )
    return found


def _our_last_step(peers: Peers, wanted: Sequence[GenerationSpec]) -> float:
    return steps.our_step_at(LONG - 10, parts=peers.ours("bfloat16"), wanted=wanted, clock=peers.clock)


def cases_of_adapters(peers: Peers, *, dtype: str, name: str, rounds: int) -> list[Case]:
    """Eight takes by four adapters in one batch, beside four batches of two whose adapter costs nothing."""
    mixed = musicgens.specs(8, frames=SHORT, adapters=ADAPTERS)
    bare = musicgens.specs(2, frames=SHORT)
    return [
        Case(
            name,
            f"a step of 8 takes by 4 adapters, {dtype}, beside 4 batches of 2 with merged weights",
            partial(our_mean_step, peers, dtype, mixed, frames=SHORT),
            lambda: 4 * our_mean_step(peers, dtype, bare, frames=SHORT),
            rounds,
        )
    ]


def cases_of_peft(peers: Peers, *, rounds: int) -> list[Case]:
    """The same beside four batches of two by peft, which does not merge either."""
    mixed = musicgens.specs(8, frames=SHORT, adapters=ADAPTERS)

    @cache
    def adapted() -> MusicgenForCausalLM:
        targets = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
        config = LoraConfig(r=RANK, target_modules=targets, init_lora_weights=False)
        decoder = get_peft_model(musicgens.theirs(peers.size).decoder, config).base_model.model
        assert isinstance(decoder, MusicgenForCausalLM)
        return decoder

    def their() -> float:
        words = peers.words(2).shape[1]
        step_at = partial(steps.their_step_at, decoder=adapted(), words=words, prompts=2, clock=peers.clock)
        return 4 * steps.mean_step(step_at, frames=SHORT)

    return [
        Case(
            "mixed-4-adapters-vs-peft",
            "a step of 8 takes by 4 adapters, float32, beside 4 batches of 2 by peft",
            partial(our_mean_step, peers, "float32", mixed, frames=SHORT),
            their,
            rounds,
        )
    ]


def quick_cases(peers: Peers) -> list[Case]:
    """The named cases, short enough for all of them to take about three minutes."""
    mixed = "mixed-4-adapters-8-rows"
    return [
        *cases_of_steps(peers, prompts=(1, 8), rounds=2),
        *cases_of_takes(peers, frames=75, prompts=(1, 8), rounds=1),
        *cases_of_long_takes(peers, prompts=(8,), rounds=1),
        *cases_of_adapters(peers, dtype="bfloat16", name=mixed, rounds=2),
    ]


def full_cases(peers: Peers) -> list[Case]:
    """More prompts and longer takes; float32 for the adapters, too."""
    mixed = "mixed-4-adapters-8-rows"
    return [
        *cases_of_steps(peers, prompts=(1, 4, 8), rounds=3),
        *cases_of_takes(peers, frames=SHORT, prompts=(1, 4, 8), rounds=2),
        *cases_of_long_takes(peers, prompts=(1, 4, 8), rounds=3),
        *cases_of_adapters(peers, dtype="bfloat16", name=mixed, rounds=3),
        *cases_of_adapters(peers, dtype="float32", name=f"{mixed}-fp32", rounds=3),
        *cases_of_peft(peers, rounds=2),
    ]


def memory_of(side: str, *, size: str, dtype: str, prompts: int, frames: int) -> float:
    """The most that a process of its own had in memory, in GB, to make some takes."""
    program = [sys.executable, "-m", "benchmarks.engine", "--alone", side, dtype, str(prompts), str(frames)]
    done = subprocess.run([*program, "--size", size], check=True, capture_output=True, text=True)
    return float(done.stdout)


def play_alone(side: str, dtype: str, prompts: int, frames: int, *, size: str) -> None:
    """Make takes with one side alone, and print this process's largest memory."""
    wanted = musicgens.specs(prompts, frames=frames)
    if side == "ours":
        parts = musicgens.ours(size, dtype=dtype, read=musicgens.random_weights())
        steps.our_takes(parts, wanted, clock=Clock("cpu"))
    else:
        model = musicgens.theirs(size)
        model.to(getattr(torch, dtype))
        steps.their_takes(model, torch.randint(3, 250, (prompts, 20)), frames=frames, clock=Clock("cpu"))
    print(_largest_bytes() / 1e9)


def _largest_bytes() -> int:
    """This process's largest memory; the system's other figure, ru_maxrss, begins with the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def print_memory(size: str) -> None:
    """The table of what each takes in a process of its own."""
    print("\n| takes | dtype | ours, GB | transformers, GB |\n|---|---|---|---|")
    for prompts, frames in ((1, 250), (8, 250), (1, 1500)):
        for dtype in ("float32", "bfloat16"):
            found = [
                memory_of(side, size=size, dtype=dtype, prompts=prompts, frames=frames)
                for side in ("ours", "theirs")
            ]
            print(
                f"| {prompts} of {frames // 50} s | {dtype} | {found[0]:.2f} | {found[1]:.2f} |", flush=True
            )


def print_floor(peers: Peers) -> None:
    """What reading the decoder's weights once takes at the speed of this machine's memory."""
    speed = steps.bandwidth(peers.device, clock=peers.clock)
    parameters = sum(rows * columns for rows, columns in peers.ours("float32").info.module_shapes.values())
    floors = ", ".join(
        f"{name} {parameters * size / speed * 1e3:.1f}"
        for name, size in (("float32", 4), ("bfloat16", 2), ("int8", 1))
    )
    print(f"\nMemory is read at {speed / 1e9:.1f} GB/s, so no step can take less than, in ms: {floors}.")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the named cases, in about three minutes")
    parser.add_argument("--json", action="store_true", help="print a list instead of tables")
    parser.add_argument("--size", choices=list(musicgens.SIZES), default="small")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--alone", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.alone:
        side, dtype, prompts, frames = options.alone
        play_alone(side, dtype, int(prompts), int(frames), size=options.size)
        return
    peers = Peers(options.size, device=options.device)
    cases = quick_cases(peers) if options.quick else full_cases(peers)
    outcomes = []
    if not options.json:
        isa = os.environ.get("ONEDNN_MAX_CPU_ISA", torch.backends.cpu.get_cpu_capability())
        print(f"torch {torch.__version__}, {options.device}, {options.threads} threads, {isa}\n")
        print("| case | what | ours, ms | peer, ms | times |\n|---|---|---|---|---|")
    for case in cases:
        if options.only in case.name:
            outcomes.append(measured(case))
            if not options.json:
                print(outcomes[-1].as_row(), flush=True)
    if options.json:
        print(json.dumps([outcome.as_json() for outcome in outcomes], indent=2))
    elif not options.quick and not options.only:
        print_floor(peers)
        print_memory(options.size)


if __name__ == "__main__":
    main()
