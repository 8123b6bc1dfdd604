"""Held against transformers, and the proof that a row's logits do not depend on its company.

Legend: B rows, G streams of a row, K codebooks, V codes, S steps, E tokens, H width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MusicgenForConditionalGeneration
from transformers.models.musicgen.modeling_musicgen import MusicgenSinusoidalPositionalEmbedding

from text2song.model.checkpoint import open_checkpoint
from text2song.model.configuration import read_configuration
from text2song.model.decoder import Decoder, module_shapes, position_table
from text2song.model.delay import delayed, offsets_for
from text2song.model.precision import ORACLE, Precision, precision_for
from text2song.model.shapes import DecoderShape
from text2song.model.text import TextReader
from text2song.model.track import Track

PACKED = precision_for("float32", device=torch.device("cpu"))
SENTENCE = "a slow walk home, lo-fi, 84 bpm"


def played_by_transformers(
    oracle: MusicgenForConditionalGeneration, reader: TextReader, guidance_scale: float = 3.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """The codes [K, T] and each step's logits [S, G, K, V]."""
    ids = torch.tensor([reader.encode(SENTENCE).token_ids])
    played: list[torch.Tensor] = []
    codec: Any = oracle.audio_encoder
    decode = codec.decode

    def keep_codes(codes: torch.Tensor, *, audio_scales: list[None]) -> object:
        played.append(codes[0, 0])
        return decode(codes, audio_scales=audio_scales)

    codec.decode = keep_codes
    try:
        torch.manual_seed(7)
        outputs = oracle.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=33,  # 30 frames and the last offset
            return_dict_in_generate=True,
            output_logits=True,
            guidance_scale=guidance_scale,
        )
    finally:
        del codec.decode
    k = oracle.decoder.num_codebooks
    codes = (
        played[0] if len(played) == 1 else torch.stack(played, 1).flatten(0, 1)
    )  # left and right alternate
    logits = torch.stack(outputs.logits)
    return codes, logits.view(len(logits), -1, k, logits.shape[-1])


def replayed(decoder: Decoder, text: torch.Tensor, codes: torch.Tensor, *, is_guided: bool) -> torch.Tensor:
    """Our logits [S, G, K, V] for codes that are given."""
    offsets = offsets_for(len(codes), channels=len(codes) // 4)
    steps = delayed(codes, offsets=offsets, special=2048)
    track = decoder.open_track(text, steps=steps.shape[1], is_guided=is_guided)
    columns = range(steps.shape[1] - 1)
    return torch.stack([decoder.step([steps[:, c : c + 1].T], tracks=[track])[0] for c in columns])


@dataclass(frozen=True)
class Ours:
    reader: TextReader
    plain: Decoder
    packed: Decoder


@pytest.fixture(scope="module")
def ours(noise_folder: Path) -> Ours:
    configuration = read_configuration(noise_folder)
    with open_checkpoint(noise_folder) as checkpoint:

        def read(name: str, shape: tuple[int, ...]) -> torch.Tensor:
            return checkpoint.read(name, shape=shape)

        def decoder(precision: Precision) -> Decoder:
            return Decoder(configuration.decoder, read=read, precision=precision)

        reader = TextReader(
            noise_folder, shape=configuration.text_encoder, width=configuration.decoder.width, read=read
        )
        return Ours(reader, decoder(ORACLE), decoder(PACKED))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("guidance_scale", [3.0, 1.0])
def test_plain_logits_are_those_of_transformers_bit_for_bit(
    oracle: MusicgenForConditionalGeneration, ours: Ours, guidance_scale: float
) -> None:
    codes, expected = played_by_transformers(oracle, ours.reader, guidance_scale=guidance_scale)
    assert codes.shape[1] == 30

    text = ours.reader.encode(SENTENCE).states
    logits = replayed(ours.plain, text, codes, is_guided=guidance_scale > 1)

    assert logits.shape == expected.shape
    assert expected.std() > 0.5  # logits of all zeros would prove nothing
    assert (logits - expected).abs().max() == 0.0


@pytest.mark.usefixtures("one_thread")
def test_packed_logits_are_those_of_transformers_within_a_hundred_thousandth(
    oracle: MusicgenForConditionalGeneration, ours: Ours
) -> None:
    codes, expected = played_by_transformers(oracle, ours.reader)
    logits = replayed(ours.packed, ours.reader.encode(SENTENCE).states, codes, is_guided=True)
    assert (logits - expected).abs().max() < 1e-5


def test_positions_are_those_of_transformers() -> None:
    for width in (64, 1024):
        expected = MusicgenSinusoidalPositionalEmbedding.get_embedding(2048, width)
        assert torch.equal(position_table(2048, width=width), expected)


def test_module_shapes_name_the_linear_modules_of_transformers(
    oracle: MusicgenForConditionalGeneration, noise_folder: Path
) -> None:
    expected = {
        name: (module.out_features, module.in_features)
        for name, module in oracle.named_modules()
        if isinstance(module, torch.nn.Linear) and name.startswith("decoder.model.decoder.layers")
    }
    assert module_shapes(read_configuration(noise_folder).decoder) == expected


@pytest.mark.parametrize("sizes", [[20], [7, 13], [1, 18, 1]])
def test_columns_that_are_known_are_remembered_as_if_each_were_a_step(ours: Ours, sizes: list[int]) -> None:
    text = ours.reader.encode(SENTENCE).states
    codebooks = ours.packed._shape.codebooks
    columns = torch.randint(0, 2048, (21, codebooks), generator=torch.Generator().manual_seed(3))
    one_by_one, together = (ours.packed.open_track(text, steps=24, is_guided=True) for _ in range(2))
    for column in columns[:20]:
        ours.packed.step([column[None]], tracks=[one_by_one])
    for piece in torch.split(columns[:20], sizes):
        ours.packed.step([piece], tracks=[together])
    assert together.step == one_by_one.step == 20
    assert torch.equal(one_by_one.memory[..., :20, :], together.memory[..., :20, :])
    after = [ours.packed.step([columns[20:]], tracks=[track])[0] for track in (one_by_one, together)]
    assert torch.equal(after[0], after[1])


# --- Company ---------------------------------------------------------------------------------------

SHAPE = DecoderShape(
    layers=2, width=1024, heads=16, ffn_width=4096, codebooks=4, channels=1, codebook_size=2048, positions=64
)
"""musicgen-small's real widths, where libraries' products of one row and of two are known to differ."""


@pytest.fixture(scope="module")
def wide() -> Decoder:
    chance = torch.Generator().manual_seed(2)

    def make(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        deviation = 1.0 if len(shape) == 1 or "embed" in name else shape[1] ** -0.5
        return torch.randn(shape, generator=chance) * deviation

    return Decoder(SHAPE, read=make, precision=PACKED)


@dataclass(frozen=True)
class Script:
    """What one row is fed: its sentence's states and its tokens, step by step."""

    seed: int
    is_guided: bool

    def open(self, decoder: Decoder) -> Track:
        tokens_of_text = 3 + self.seed % 5
        text = torch.randn(tokens_of_text, SHAPE.width, generator=torch.Generator().manual_seed(self.seed))
        return decoder.open_track(text, steps=16, is_guided=self.is_guided)

    def tokens(self, step: int) -> torch.Tensor:
        return torch.randint(0, 2048, (4,), generator=torch.Generator().manual_seed(1000 * self.seed + step))


def run_together(
    decoder: Decoder, scripts: Sequence[Script], *, late: Sequence[int], steps: int
) -> list[list[torch.Tensor]]:
    """Each row's logits of its first `steps` steps; row i enters `late[i]` steps after the first."""
    tracks = [script.open(decoder) for script in scripts]
    logits: list[list[torch.Tensor]] = [[] for _ in scripts]
    for now in range(max(late) + steps):
        here = [i for i in range(len(scripts)) if late[i] <= now < late[i] + steps]
        if not here:
            continue
        tokens = [scripts[i].tokens(now - late[i])[None] for i in here]
        for i, row in zip(here, decoder.step(tokens, tracks=[tracks[i] for i in here]), strict=True):
            logits[i].append(row)
    return logits


@pytest.mark.parametrize("threads", [1, 2])
def test_a_rows_logits_are_the_same_bits_alone_and_in_any_company(wide: Decoder, threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for is_guided in (True, False):
            mine = Script(seed=1, is_guided=is_guided)
            others = [Script(seed=s, is_guided=s % 3 > 0) for s in range(2, 9)]
            alone = run_together(wide, [mine], late=[0], steps=5)[0]
            for scripts, late in (
                ([mine, others[0]], [0, 0]),
                ([others[1], mine], [2, 0]),
                ([others[1], mine, others[2]], [0, 3, 1]),
                ([*others[:4], mine, *others[4:]], [0, 1, 2, 3, 4, 0, 5, 0]),
            ):
                together = run_together(wide, scripts, late=late, steps=5)[scripts.index(mine)]
                assert torch.equal(torch.stack(together), torch.stack(alone)), (is_guided, len(scripts), late)
    finally:
        torch.set_num_threads(before)


def test_a_row_reads_its_sentence_and_its_past(wide: Decoder) -> None:
    """What the proof of independence would also pass if nothing were read at all."""
    first = run_together(wide, [Script(seed=1, is_guided=True)], late=[0], steps=3)[0]
    assert not torch.equal(first[2][0], first[2][1])  # the null stream reads no sentence
    track = Script(seed=1, is_guided=True).open(wide)
    for _ in range(2):
        wide.step([Script(seed=9, is_guided=True).tokens(0)[None]], tracks=[track])
    other_past = wide.step([Script(seed=1, is_guided=True).tokens(2)[None]], tracks=[track])[0]
    assert not torch.equal(first[2], other_past)
