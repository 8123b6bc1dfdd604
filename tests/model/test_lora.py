"""Held to merged weights, to PEFT, and to the same row alone.

Legend: R rows, I input features, O output features, r rank, G streams, K codebooks, V codes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import MusicgenForConditionalGeneration

from tests.model.adapters import random_factors
from tests.model.test_decoder import SHAPE
from text2song.errors import ModelUnsupported
from text2song.model.checkpoint import open_checkpoint
from text2song.model.configuration import read_configuration
from text2song.model.decoder import Decoder, module_shapes
from text2song.model.lora import Factors, composed, lay_out, require_fitting
from text2song.model.precision import ORACLE, Precision, precision_for
from text2song.model.track import Track

CPU = torch.device("cpu")
PACKED = precision_for("float32", device=CPU)
TINY = replace(SHAPE, width=64, heads=4, ffn_width=128)


def test_a_composition_is_the_weighted_sum_of_its_parts() -> None:
    chance = torch.Generator().manual_seed(1)
    parts = [
        Factors(
            down=torch.randn(rank, 6, generator=chance, dtype=torch.float64),
            up=torch.randn(5, rank, generator=chance, dtype=torch.float64),
        )
        for rank in (2, 3, 1)
    ]
    weights = (1.0, -0.5, 2.0)
    together = composed(zip(parts, weights, strict=True))
    expected = sum(weight * part.up @ part.down for part, weight in zip(parts, weights, strict=True))
    assert together.rank == 6
    assert torch.allclose(together.delta(), torch.as_tensor(expected), atol=1e-12)


class Merged:
    """The decoder's weights with an adapter added in, as `read` hands them out: the slow reference."""

    def __init__(self, modules: Mapping[str, Factors]) -> None:
        self._modules = modules
        self._chance = torch.Generator().manual_seed(2)

    def __call__(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        deviation = 1.0 if len(shape) == 1 or "embed" in name else shape[1] ** -0.5
        weight = torch.randn(shape, generator=self._chance) * deviation
        factors = self._modules.get(name.removesuffix(".weight"))
        return weight if factors is None else weight + factors.delta()


def played(
    decoder: Decoder, tracks: Sequence[Track], *, steps: int, seeds: Sequence[int]
) -> list[torch.Tensor]:
    """Each row's logits of its first steps [S, G, K, V], fed with columns that its seed says."""
    logits: list[list[torch.Tensor]] = [[] for _ in tracks]
    for step in range(steps):
        columns = [
            torch.randint(0, 2048, (1, 4), generator=torch.Generator().manual_seed(1000 * seed + step))
            for seed in seeds
        ]
        for row, made in zip(logits, decoder.step(columns, tracks=tracks), strict=True):
            row.append(made)
    return [torch.stack(row) for row in logits]


def text(seed: int, width: int) -> torch.Tensor:
    return torch.randn(3 + seed % 4, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("precision", [ORACLE, PACKED], ids=["plain", "packed"])
@pytest.mark.parametrize("only", ["", "q_proj", "v_proj", "fc1", "fc2", "encoder_attn", "layers.1."])
def test_an_adapter_beside_the_weights_is_the_adapter_in_them(precision: Precision, only: str) -> None:
    modules = random_factors(module_shapes(TINY), rank=3, seed=5, only=only)
    assert modules
    bare = Decoder(TINY, read=Merged({}), precision=precision)
    merged = Decoder(TINY, read=Merged(modules), precision=precision)
    updates = lay_out(modules, layers=TINY.layers, precision=precision)
    words = text(1, TINY.width)

    (ours,) = played(
        bare, [bare.open_track(words, steps=8, is_guided=True, updates=updates)], steps=5, seeds=[1]
    )
    (expected,) = played(merged, [merged.open_track(words, steps=8, is_guided=True)], steps=5, seeds=[1])
    (without,) = played(bare, [bare.open_track(words, steps=8, is_guided=True)], steps=5, seeds=[1])

    assert (ours - expected).abs().max() < 2e-5
    assert (without - expected).abs().max() > 1e-3  # it does something


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks by the old name
def test_an_adapter_is_what_peft_makes_of_it(mono_folder: Path) -> None:
    theirs = MusicgenForConditionalGeneration.from_pretrained(mono_folder).train(mode=False)
    targets = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
    config = LoraConfig(r=4, lora_alpha=12, target_modules=targets, init_lora_weights=False)
    configuration = read_configuration(mono_folder)
    shape = configuration.decoder
    torch.manual_seed(11)
    wrapped = get_peft_model(theirs.decoder, config)
    modules = {
        f"decoder.{name.removeprefix('base_model.model.')}": Factors(
            down=module.lora_A["default"].weight.detach(),
            up=module.lora_B["default"].weight.detach() * module.scaling["default"],
        )
        for name, module in wrapped.named_modules()
        if hasattr(module, "lora_A")
    }
    assert set(modules) == set(module_shapes(shape))
    with open_checkpoint(mono_folder) as checkpoint:
        decoder = Decoder(shape, read=lambda name, size: checkpoint.read(name, shape=size), precision=ORACLE)
    updates = lay_out(modules, layers=shape.layers, precision=ORACLE)
    words = text(3, shape.width)
    columns = torch.randint(0, 2048, (6, 4), generator=torch.Generator().manual_seed(4))

    track = decoder.open_track(words, steps=8, is_guided=False, updates=updates)
    ours = torch.stack([decoder.step([column[None]], tracks=[track])[0][0] for column in columns])
    with torch.no_grad():
        expected = wrapped(input_ids=columns.T, encoder_hidden_states=words[None]).logits  # [K, S, V]

    assert (ours.transpose(0, 1) - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_a_row_with_an_adapter_has_the_same_bits_beside_others_and_beside_none(dtype: str) -> None:
    precision = precision_for(dtype, device=CPU)
    decoder = Decoder(SHAPE, read=Merged({}), precision=precision)
    sets = [None] + [
        lay_out(
            random_factors(module_shapes(SHAPE), rank=rank, seed=rank, only=only),
            layers=SHAPE.layers,
            precision=precision,
        )
        for rank, only in ((4, ""), (8, "attn"), (1, "fc1"), (20, ""))
    ]

    def opened(seed: int) -> Track:
        chosen = sets[seed % len(sets)]
        return decoder.open_track(text(seed, SHAPE.width), steps=8, is_guided=seed % 4 > 0, updates=chosen)

    seeds = [1, 2, 3, 4, 5, 6, 7, 11, 16]
    alone = {seed: played(decoder, [opened(seed)], steps=3, seeds=[seed])[0] for seed in seeds}
    for company in (seeds, seeds[::-1], [1, 6, 11, 16, 2], [5, 1]):
        together = played(decoder, [opened(seed) for seed in company], steps=3, seeds=company)
        for seed, logits in zip(company, together, strict=True):
            assert torch.equal(logits, alone[seed]), (seed, company)


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("decoder.model.decoder.layers.9.fc1", (128, 64), "does not have"),
        ("decoder.model.decoder.layers.0.fc1", (64, 128), "another size"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_by_name(
    name: str, shape: tuple[int, int], words: str
) -> None:
    factors = random_factors({name: shape}, rank=2, seed=1)
    with pytest.raises(ModelUnsupported, match=words) as caught:
        require_fitting(factors, shapes=module_shapes(TINY))
    assert name in caught.value.message


def test_factors_that_do_not_fit_each_other_are_refused() -> None:
    name, (outputs, inputs) = next(iter(module_shapes(TINY).items()))
    factors = Factors(down=torch.zeros(2, inputs), up=torch.zeros(outputs, 3))
    with pytest.raises(ModelUnsupported, match=r"layers\.0"):
        require_fitting({name: factors}, shapes=module_shapes(TINY))
