"""What a step and a whole take cost, of our MusicGen and of transformers'. Each function answers seconds.

Ours is measured in its parts, so this looks inside `RowBatch`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import (
    DynamicCache,
    EncoderDecoderCache,
    MusicgenForConditionalGeneration,
    StaticCache,
    StoppingCriteria,
    StoppingCriteriaList,
)

from text2song.model.batch import Parts, RowBatch
from text2song.music.spec import GenerationSpec

LAST_OFFSET = 3
"""Steps by which the last codebook is late."""
_STEPS_AT = 3
"""Steps that are measured at one frame of a long take, after one to warm up."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds of this process on a processor, so that others disturb less; of the wall on a GPU."""

    device: str

    def now(self) -> float:
        """A moment, once what was asked of the device is done."""
        if self.device == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()


@dataclass
class _Ticks(StoppingCriteria):
    """Notes the moment after each of their steps, and stops nothing."""

    clock: Clock
    moments: list[float] = field(default_factory=list)

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: object) -> Tensor:
        del scores
        self.moments.append(self.clock.now())
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def our_step(parts: Parts, wanted: Sequence[GenerationSpec], *, clock: Clock) -> float:
    """One step of all rows, with drawing the codes."""
    batch = _opened(parts, wanted)
    batch._compose()  # noqa: SLF001  # a step alone, without the sound that follows
    steps, began = 0, clock.now()
    while batch._composing:  # noqa: SLF001  # as above
        batch._compose()  # noqa: SLF001  # as above
        steps += 1
    return (clock.now() - began) / steps


def their_step(
    model: MusicgenForConditionalGeneration,
    ids: Tensor,
    *,
    frames: int,
    clock: Clock,
) -> float:
    """The same of theirs."""
    ticks = _Ticks(clock)
    criteria = StoppingCriteriaList([ticks])
    model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=frames + LAST_OFFSET,
        stopping_criteria=criteria,
    )
    return (ticks.moments[-1] - ticks.moments[0]) / (len(ticks.moments) - 1)


def our_takes(parts: Parts, wanted: Sequence[GenerationSpec], *, clock: Clock) -> float:
    """From the words to the sound of all takes; no sentence is known from before."""
    parts.reader._kept.clear()  # noqa: SLF001  # no cache of ours may win what theirs has to do
    batch = RowBatch(parts)
    made, began = 0, clock.now()
    for spec in wanted:
        batch.enter(spec)
    while batch.rows:
        made += len(batch.advance())
    assert made == len(wanted)
    return clock.now() - began


def their_takes(model: MusicgenForConditionalGeneration, ids: Tensor, *, frames: int, clock: Clock) -> float:
    """The same of theirs."""
    began = clock.now()
    model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=frames + LAST_OFFSET)
    return clock.now() - began


@torch.inference_mode()
def our_step_at(parts: Parts, wanted: Sequence[GenerationSpec], *, frame: int, clock: Clock) -> float:
    """One step at that frame of long takes, whose memory is filled beforehand."""
    batch = _opened(parts, wanted)
    for row in batch._composing.values():  # noqa: SLF001  # as if it had come so far
        for tensor in (each for pair in row.track.memory for each in pair):
            tensor.fill_(0.5)
        row.track.step = frame
    batch._compose()  # noqa: SLF001  # as above
    began = clock.now()
    for _ in range(_STEPS_AT):
        batch._compose()  # noqa: SLF001  # as above
    return (clock.now() - began) / _STEPS_AT


@torch.inference_mode()
def their_step_at(
    model: MusicgenForConditionalGeneration,
    parts: Parts,
    prompts: int,
    *,
    frame: int,
    clock: Clock,
    is_static: bool,
) -> float:
    """The same of theirs but for the drawing of codes, over their default cache or a static one."""
    config, decoder = model.decoder.config, model.decoder
    dtype, device = decoder.dtype, decoder.device
    streams = 2 * prompts
    past: Any = DynamicCache(config=config)
    if is_static:
        past = StaticCache(config=config, max_cache_len=parts.window_frames)
    heads, width = config.num_attention_heads, config.hidden_size
    for layer in range(config.num_hidden_layers):
        shape = (streams, heads, frame, width // heads)
        past.update(*(torch.full(shape, 0.5, dtype=dtype, device=device) for _ in range(2)), layer)
    cache = EncoderDecoderCache(past, DynamicCache(config=config))
    words = len(parts.reader.encode("slow lo-fi piano 00").token_ids)
    states = torch.randn(streams, words, width, dtype=dtype, device=device)
    is_word = torch.ones(streams, words, dtype=torch.int64, device=device)
    tokens = torch.randint(0, config.vocab_size, (streams * config.num_codebooks, 1), device=device)

    def step() -> None:
        decoder(
            input_ids=tokens,
            encoder_hidden_states=states,
            encoder_attention_mask=is_word,
            past_key_values=cache,
            use_cache=True,
        )

    step()
    began = clock.now()
    for _ in range(_STEPS_AT):
        step()
    return (clock.now() - began) / _STEPS_AT


def bandwidth(device: str, *, clock: Clock) -> float:
    """Bytes a second that this device reads from memory: the best of some sums over a gigabyte."""
    numbers = torch.ones(2**28, device=device)
    numbers.sum()
    seconds = []
    for _ in range(5):
        began = clock.now()
        numbers.sum()
        seconds.append(clock.now() - began)
    return float(numbers.nbytes / min(seconds))


def _opened(parts: Parts, wanted: Sequence[GenerationSpec]) -> RowBatch:
    """A batch in which every sentence is read."""
    batch = RowBatch(parts)
    for spec in wanted:
        batch.enter(spec)
    while batch._entering:  # noqa: SLF001  # what is told apart: reading a sentence, and drawing
        batch._open_next()  # noqa: SLF001  # as above
    return batch
