"""The published weights, played by the engine and by transformers: are the codes of a seed the same?

    python -m benchmarks.published        fetches what is not there (gigabytes), and prints the README's table

Needs the internet, and your agreement to each model's licence (`text2song model add` shows it). Compares
seeded codes in every precision that this machine computes in: plain products in float32 must give the very
codes of transformers; the others give them up to where two codes are as likely but for the last bits.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import MusicgenForConditionalGeneration

from text2song.errors import ModelUnsupported
from text2song.model.download import fetch, plan
from text2song.model.musicgen import MusicGen
from text2song.model.protocol import GeneratedTake, play
from text2song.music.spec import GenerationSpec

MODELS: Final = ("facebook/musicgen-small", "facebook/musicgen-medium", "facebook/musicgen-stereo-small")
SENTENCES: Final = (
    "lo-fi hip hop, warm bass, brushed drums, 84 bpm",
    "a string quartet at night, slow and sad",
    "loud and fast punk rock",
)
SECONDS: Final = 4.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far one way to play agrees with transformers."""

    model: str
    how: str
    equal_takes: int
    takes: int
    equal_frames: float
    """The share of frames before the first code that differs, over all takes."""

    def as_row(self) -> str:
        """Of the table."""
        takes = f"{self.equal_takes} of {self.takes}"
        return f"| {self.model} | {self.how} | {takes} | {100 * self.equal_frames:.0f} % |"


def compare(name: str, folder: Path, *, seconds: float = SECONDS) -> Iterator[Agreement]:
    """Play a model's folder in every way, beside transformers."""
    specs = [
        GenerationSpec(sentence, seed=n, duration_seconds=seconds) for n, sentence in enumerate(SENTENCES)
    ]
    oracle = MusicGen.load(folder, is_oracle=True)
    plain = takes(oracle, specs, are_alone=True)
    expected = [theirs(folder, spec, take) for spec, take in zip(specs, plain, strict=True)]
    yield agreement(name, "float32, plain", plain, expected)
    del oracle
    for dtype in ("float32", "bfloat16", "int8"):
        try:
            model = MusicGen.load(folder, dtype=dtype)
        except ModelUnsupported:
            continue
        yield agreement(name, f"{dtype}, as it is served", takes(model, specs, are_alone=False), expected)


def takes(model: MusicGen, specs: Sequence[GenerationSpec], *, are_alone: bool) -> list[GeneratedTake]:
    """One take of each, one after the other or all at once."""
    batches = [[spec] for spec in specs] if are_alone else [list(specs)]
    made = []
    for batch in batches:
        outcomes = {result.row: result.outcome for result in play(model, batch)}
        for row in range(len(batch)):
            outcome = outcomes[row]
            assert isinstance(outcome, GeneratedTake), outcome
            made.append(outcome)
    return made


def theirs(folder: Path, spec: GenerationSpec, take: GeneratedTake) -> NDArray[np.int64]:
    """The codes [K, T] that transformers draws of that seed, for the same tokens."""
    model = MusicgenForConditionalGeneration.from_pretrained(folder)
    model.train(mode=False)
    caught: list[torch.Tensor] = []
    codec: Any = model.audio_encoder
    decode = codec.decode

    def keep(codes: torch.Tensor, **options: object) -> object:
        caught.append(codes[0, 0])
        return decode(codes, **options)

    codec.decode = keep
    ids = torch.tensor([take.token_ids])
    torch.manual_seed(spec.seed)
    model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=take.codes.shape[1] + 3,
        do_sample=True,
        top_k=spec.sampling.top_k,
        guidance_scale=spec.sampling.guidance_scale,
    )
    together = (
        caught[0] if len(caught) == 1 else torch.stack(caught, 1).flatten(0, 1)
    )  # left and right alternate
    codes: NDArray[np.int64] = together.numpy()
    return codes


def agreement(
    name: str, how: str, made: Sequence[GeneratedTake], expected: Sequence[NDArray[np.int64]]
) -> Agreement:
    """Compare code by code."""
    differs = [(take.codes != codes).any(0) for take, codes in zip(made, expected, strict=True)]  # [T] each
    before = sum(int(each.argmax()) if each.any() else len(each) for each in differs)
    return Agreement(
        model=name,
        how=how,
        equal_takes=sum(not each.any() for each in differs),
        takes=len(differs),
        equal_frames=before / sum(map(len, differs)),
    )


def main() -> None:
    """Fetch, play, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    home = Path(os.environ.get("TEXT2SONG_HOME", "~/.text2song")).expanduser()
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--yes", action="store_true", help="agree to each model's size and licence")
    options = parser.parse_args()
    rows = []
    for name in options.models:
        wanted = plan(name, revision=None)
        print(f"{wanted.id}: {wanted.size_bytes / 1e9:.1f} GB, licence {wanted.license}")
        if not options.yes and input("Fetch and play it? [y/N] ").strip().lower() not in {"y", "yes"}:
            continue
        folder = fetch(wanted, home / "models", on_progress=lambda *_: None)
        rows += [each.as_row() for each in compare(name, folder)]
    print("\n| model | how | takes with the codes of transformers | frames before the first other code |")
    print("|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
