"""What a step and a whole take cost, of our MusicGen and of transformers'. Each function answers seconds.

Ours is measured in its parts, so this looks inside `RowBatch`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import (
    DynamicCache,
    EncoderDecoderCache,
    MusicgenForCausalLM,
    MusicgenForConditionalGeneration,
    StaticCache,
)

from text2song.model.batch import Parts, RowBatch
from text2song.music.spec import GenerationSpec

LAST_OFFSET = 3
"""Steps by which the last codebook is late."""
_STEPS_AT = 3
"""Steps that are measured at one frame, after one to warm up."""
_SIMPSON = (1 / 6, 4 / 6, 1 / 6)


@dataclass(frozen=True, slots=True)
class Clock:
    """One thread's own seconds, so that others disturb less; by several, and on a GPU, those of the wall."""

    device: str

    def now(self) -> float:
        """A moment, once what was asked of the device is done."""
        if self.device != "cpu":
            torch.cuda.synchronize()
        elif torch.get_num_threads() == 1:
            return time.process_time()
        return time.perf_counter()


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
def our_step_at(frame: int, *, parts: Parts, wanted: Sequence[GenerationSpec], clock: Clock) -> float:
    """One step of all rows, with drawing the codes, at that frame of a memory that was filled beforehand."""
    batch = _opened(parts, wanted)
    for row in batch._composing.values():  # noqa: SLF001  # as if it had come so far
        row.track.memory.fill_(0.5)
        row.track.step = frame
    batch._compose()  # noqa: SLF001  # as above
    began = clock.now()
    for _ in range(_STEPS_AT):
        batch._compose()  # noqa: SLF001  # as above
    return (clock.now() - began) / _STEPS_AT


@torch.inference_mode()
def their_step_at(
    frame: int,
    *,
    decoder: MusicgenForCausalLM,
    words: int,
    prompts: int,
    clock: Clock,
    static_steps: int | None = None,
) -> float:
    """The same of theirs without the drawing, over their default cache, or a static one for so many steps.

    `words` are the tokens of each sentence.
    """
    config, dtype, device = decoder.config, decoder.dtype, decoder.device
    streams = 2 * prompts
    past: Any = DynamicCache(config=config)
    if static_steps is not None:
        past = StaticCache(config=config, max_cache_len=static_steps)
    heads, width = config.num_attention_heads, config.hidden_size
    for layer in range(config.num_hidden_layers):
        shape = (streams, heads, frame, width // heads)
        past.update(*(torch.full(shape, 0.5, dtype=dtype, device=device) for _ in range(2)), layer)
    cache = EncoderDecoderCache(past, DynamicCache(config=config))
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


def mean_step(step_at: Callable[[int], float], *, frames: int) -> float:
    """The mean step of takes of so many frames, by Simpson's rule: attention grows linearly with the past."""
    middle, last = frames // 2, frames - _STEPS_AT - 2
    return sum(weight * step_at(frame) for weight, frame in zip(_SIMPSON, (5, middle, last), strict=True))


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
