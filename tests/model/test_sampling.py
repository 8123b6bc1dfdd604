import math

import pytest
import torch
from transformers import (
    ClassifierFreeGuidanceLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from text2song.model.sampling import chances, draw, draw_together, generator_for, guided, kept_logits
from text2song.music.sampling import SamplingParams

UNUSED_IDS = torch.zeros(4, 1, dtype=torch.long)


def some_logits(seed: int = 0) -> torch.Tensor:
    return torch.randn(4, 2048, generator=torch.Generator().manual_seed(seed)) * 3


def drawn_by(generator: torch.Generator, logits: torch.Tensor, params: SamplingParams) -> torch.Tensor:
    decide = chances(generator, codebooks=logits.shape[0], codes=logits.shape[1])
    return draw(logits, params=params, chances=decide)


def all_kept(logits: torch.Tensor) -> list[list[int]]:
    return [row.isfinite().nonzero()[:, 0].tolist() for row in logits]


def test_top_k_keeps_the_likeliest_codes() -> None:
    logits = torch.tensor([[1.0, 4.0, 3.0, 2.0], [0.0, -1.0, -2.0, -3.0]])

    assert all_kept(kept_logits(logits, params=SamplingParams(top_k=2))) == [[1, 2], [0, 1]]
    assert all_kept(kept_logits(logits, params=SamplingParams(top_k=0))) == [[0, 1, 2, 3]] * 2
    assert all_kept(kept_logits(logits, params=SamplingParams(top_k=99))) == [[0, 1, 2, 3]] * 2


def test_top_p_keeps_the_fewest_codes_that_reach_it() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()

    def kept(top_p: float) -> list[list[int]]:
        return all_kept(kept_logits(logits, params=SamplingParams(top_k=0, top_p=top_p)))

    assert kept(0.01) == [[0]]
    assert kept(0.45) == [[0]]
    assert kept(0.79) == [[0, 1]]
    assert kept(0.9) == [[0, 1, 2]]
    assert kept(1.0) == [[0, 1, 2, 3]]


def test_top_k_comes_before_top_p() -> None:
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    # Of the two that top-k keeps the first has 4/7 = 0.571: enough for 0.5, but not for 0.6.
    assert all_kept(kept_logits(logits, params=SamplingParams(top_k=2, top_p=0.5))) == [[0]]
    assert all_kept(kept_logits(logits, params=SamplingParams(top_k=2, top_p=0.6))) == [[0, 1]]


def test_guidance_steps_past_the_conditional_logits() -> None:
    guided_logits = guided(torch.tensor([2.0]), torch.tensor([1.0]), scale=3.0)
    assert guided_logits.tolist() == [4.0]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("top_k", [0, 5, 250, 5000])
@pytest.mark.parametrize("top_p", [1.0, 0.9, 0.1])
def test_kept_logits_are_those_of_transformers_bit_for_bit(
    temperature: float, top_k: int, top_p: float
) -> None:
    conditional, null = some_logits(1), some_logits(2)
    both = torch.cat([conditional, null])
    expected = ClassifierFreeGuidanceLogitsProcessor(3.0)(UNUSED_IDS, both)  # type: ignore[no-untyped-call] # theirs is untyped
    if temperature != 1.0:
        expected = TemperatureLogitsWarper(temperature)(UNUSED_IDS, expected)
    if top_k:
        expected = TopKLogitsWarper(top_k)(UNUSED_IDS, expected)
    if top_p < 1.0:
        expected = TopPLogitsWarper(top_p)(UNUSED_IDS, expected)

    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p)
    ours = kept_logits(guided(conditional, null, scale=3.0), params=params)

    assert torch.equal(ours, expected)


def test_codes_are_drawn_with_the_probabilities_of_the_definition() -> None:
    probabilities = [0.5, 0.25, 0.125, 0.125]
    logits = torch.tensor([probabilities]).log().expand(4, -1)
    generator = generator_for(11)
    params = SamplingParams(top_k=0)

    drawn = torch.stack([drawn_by(generator, logits, params) for _ in range(1000)])

    expected = 4000 * torch.tensor(probabilities)
    deviations = (torch.bincount(drawn.flatten(), minlength=4) - expected) ** 2 / expected
    assert (
        deviations.sum() < 16.27
    )  # chi-square with 3 degrees of freedom: passed with p = 0.999 by chance alone


def by_definition(probabilities: list[float], params: SamplingParams) -> list[float]:
    """What each code's chance is, in plain numbers: temperature, then top-k, then top-p of what remains."""
    hot = [p ** (1 / params.temperature) for p in probabilities]
    order = sorted(range(len(hot)), key=lambda code: -hot[code])[: params.top_k or None]
    total = sum(hot[code] for code in order)
    kept, reached = [], 0.0
    for code in order:
        kept.append(code)
        reached += hot[code] / total
        if reached >= params.top_p:
            break
    total = sum(hot[code] for code in kept)
    return [hot[code] / total if code in kept else 0.0 for code in range(len(hot))]


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(top_k=0, temperature=0.5),
        SamplingParams(top_k=0, temperature=2.0),
        SamplingParams(top_k=3),
        SamplingParams(top_k=0, top_p=0.7),
        SamplingParams(top_k=5, top_p=0.8, temperature=1.5),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_codes_of_guided_logits_are_drawn_as_the_definition_says(
    params: SamplingParams, scale: float
) -> None:
    conditional = torch.tensor([0.30, 0.22, 0.18, 0.14, 0.10, 0.06]).log()
    null = torch.tensor([0.25, 0.25, 0.15, 0.15, 0.10, 0.10]).log()
    steered = [float(n + (c - n) * scale) for c, n in zip(conditional, null, strict=True)]
    weights = [math.exp(each) for each in steered]
    expected = torch.tensor(by_definition([weight / sum(weights) for weight in weights], params))
    combined = guided(conditional, null, scale=scale).expand(4, -1)
    generator = generator_for(23)

    drawn = torch.stack([drawn_by(generator, combined, params) for _ in range(1000)]).flatten()

    counts = torch.bincount(drawn, minlength=6).double()
    possible = expected > 0
    assert counts[~possible].sum() == 0
    wanted = 4000 * expected[possible].double()
    # chi-square with at most 5 degrees of freedom: passed with p = 0.999 by chance alone
    assert ((counts[possible] - wanted) ** 2 / wanted).sum() < 20.52


def test_a_generator_is_torchs_own_stream_for_that_seed_and_disturbs_no_other() -> None:
    logits = some_logits()
    torch.manual_seed(5)
    expected = torch.multinomial(logits.softmax(-1), 1)[:, 0]
    torch.manual_seed(6)
    before = torch.get_rng_state()

    ours = drawn_by(generator_for(5), logits, SamplingParams(top_k=0))

    assert torch.equal(ours, expected)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("params", [SamplingParams(), SamplingParams(top_k=7, top_p=0.8, temperature=0.6)])
def test_a_draw_is_torchs_multinomial_with_that_generator(seed: int, params: SamplingParams) -> None:
    ours, theirs, logits = generator_for(seed), generator_for(seed), some_logits(seed)
    for _ in range(5):
        probabilities = kept_logits(logits, params=params).softmax(-1)
        expected = torch.multinomial(probabilities, 1, generator=theirs)[:, 0]
        assert torch.equal(drawn_by(ours, logits, params), expected)


def test_rows_that_are_drawn_together_have_the_codes_of_each_alone() -> None:
    """Guided and not, alike and not, and one whose logits are no numbers."""
    warm = SamplingParams(temperature=1.3, top_p=0.9)
    sampling = [SamplingParams(), warm, SamplingParams(guidance_scale=1.0), SamplingParams(), warm]
    logits, decide = [], []
    for row, params in enumerate(sampling):
        streams = 1 if params.guidance_scale == 1.0 else 2
        logits.append(torch.stack([some_logits(10 * row + stream) for stream in range(streams)]))
        decide.append(chances(generator_for(row), codebooks=4, codes=2048))
    logits[3][1, 2, 77] = torch.nan

    found = draw_together(logits, sampling=sampling, chances=decide)

    assert found[3] is None
    for row in (0, 1, 2, 4):
        (alone,) = draw_together(
            logits[row : row + 1], sampling=sampling[row : row + 1], chances=decide[row:]
        )
        assert alone is not None
        assert torch.equal(torch.as_tensor(found[row]), alone)
        combined = logits[row][0]
        if len(logits[row]) == 2:
            combined = guided(*logits[row], scale=sampling[row].guidance_scale)
        assert torch.equal(alone, draw(combined, params=sampling[row], chances=decide[row]))


def test_logits_that_overflow_by_their_temperature_are_no_numbers() -> None:
    logits = torch.full((1, 4, 50), 1e38)
    logits[..., 7] = -1e38
    cold = SamplingParams(temperature=0.05, guidance_scale=1.0)
    decide = chances(generator_for(1), codebooks=4, codes=50)
    assert draw_together([logits], sampling=[cold], chances=[decide]) == [None]


def test_to_draw_nothing_is_nothing() -> None:
    assert draw_together([], sampling=[], chances=[]) == []
