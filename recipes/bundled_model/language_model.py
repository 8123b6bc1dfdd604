"""MusicGen's decoder learns to write songs' codes after their captions.

Every song is new, so nothing can be learned by heart. Clips start with the song; of the longer ones half
start in its middle, and of these the first frames are given, not learned: so takes begin as songs do, and
those that are longer than one window go on from what they played before. The first seconds weigh
more, because what the caption says is decided there, and the rest follows from what was played. For the
same reason the clips are short at first, and more of them: how fast a song is shows in its first beats alone.
"""

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset
from transformers import (
    EncodecConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    PreTrainedTokenizerFast,
    T5EncoderModel,
)

from recipes.bundled_model import brief as briefs
from recipes.bundled_model import scoring
from recipes.bundled_model.captions import caption
from recipes.bundled_model.dictionary import CODES, K
from recipes.bundled_model.reading import WIDTH, Reading, tokenize

log = logging.getLogger(__name__)

WINDOW_FRAMES: Final = 288
"""T of a training clip, and of a window when the model plays."""
LENGTHS: Final = ((0.0, 64), (0.5, 144), (0.75, WINDOW_FRAMES))
"""From which part of all steps on clips have which T."""
LAYERS: Final = 6
_UNSAID: Final = 0.1
"""How many clips are learned without their caption, for classifier-free guidance."""
_EARLY_WEIGHT, _EARLY_FRAMES = 4.0, 40.0
_LAST_BARS_SKIPPED: Final = 12
_GIVEN_PART: Final = 0.4
"""Of a clip from inside a song: as much as a window keeps of the one before."""


@dataclass(frozen=True, slots=True)
class Options:
    """How long and how fast to learn."""

    steps: int
    batch: int = 16
    """Of whole windows; of short clips it is as many as have the same number of frames."""
    learning_rate: float = 2e-3
    matrix_rate: float = 4e-3
    """Of the decoder's matrices, which Muon turns: a step's size is then like AdamW's at that rate."""
    reading_rate: float = 0.1
    """The text encoder's learning rate, as a part of the decoder's: it has learned before."""
    warmup_steps: int = 100
    decay_part: float = 0.3
    """Of all steps, in which the learning rate falls to zero at the end."""
    saved_every: int = 100
    stop_after: int | None = None
    """Steps after which to leave, though there are more to come."""
    is_compiled: bool = False
    """Compile the layers: needs a C++ compiler, saves a fifth of the time, changes last bits."""
    workers: int = 1


class Clip(NamedTuple):
    """A song, or a part of it."""

    caption: str
    codes: NDArray[np.int64]
    """[K, T]"""
    given: int
    """Frames at its beginning that are not learned."""


class Batch(NamedTuple):
    """Clips with their captions."""

    captions: list[str]
    codes: Tensor
    """int64 [B, K, T]"""
    given: Tensor
    """int64 [B]"""


class Songs(IterableDataset[Batch]):
    """Batches without end; the batch of a step is always the same."""

    def __init__(self, options: Options, *, first_step: int) -> None:
        self._options = options
        self._first_step = first_step

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        every, step = (worker.num_workers, worker.id) if worker else (1, 0)
        step += self._first_step
        while True:
            frames = max(length for part, length in LENGTHS if step >= part * self._options.steps)
            count = self._options.batch * WINDOW_FRAMES // frames
            clips = [clip(f"song {step} {index}", frames=frames) for index in range(count)]
            yield Batch(
                [each.caption for each in clips],
                torch.from_numpy(np.stack([each.codes for each in clips])),
                torch.tensor([each.given for each in clips]),
            )
            step += every


def clip(seed: str, *, frames: int) -> Clip:
    """A song's beginning; of longer ones, half are from somewhere inside."""
    rng = Random(seed)
    song = briefs.draw(rng)
    text = caption(song, rng).text
    skipped = rng.choice((0.0, rng.uniform(1, _LAST_BARS_SKIPPED)))
    if frames == LENGTHS[0][1]:
        skipped = 0.0
    codes = scoring.perform(song, rng, frames=frames, skipped=skipped)
    return Clip(text, codes, given=int(frames * _GIVEN_PART) if skipped else 0)


def untaught(encoder: T5EncoderModel, codec: EncodecConfig) -> MusicgenForConditionalGeneration:
    """MusicGen around that encoder and a codec of that shape; the decoder has first weights."""
    decoder = MusicgenDecoderConfig(
        vocab_size=CODES,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        ffn_dim=4 * WIDTH,
        num_attention_heads=WIDTH // 64,
        dropout=0.0,
        num_codebooks=K,
        pad_token_id=CODES,
        bos_token_id=CODES,
        max_position_embeddings=WINDOW_FRAMES + K - 1,
        scale_embedding=False,
    )
    model = MusicgenForConditionalGeneration(
        MusicgenConfig(text_encoder=encoder.config, audio_encoder=codec, decoder=decoder)
    )
    model.text_encoder.load_state_dict(encoder.state_dict())
    return model


def delayed(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Codes [B, K, T] in MusicGen's delay pattern: what the decoder reads and what it must write, [B, K, S].

    S = T + K - 1; codebook k comes k steps late, and the padding code stands where it has nothing.
    """
    clips, books, frames = codes.shape
    written = torch.full((clips, books, frames + books - 1), CODES, dtype=torch.int64)
    for book in range(books):
        written[:, book, book : book + frames] = codes[:, book]
    first = torch.full((clips, books, 1), CODES, dtype=torch.int64)
    return torch.cat([first, written[:, :, :-1]], dim=2), written


def log_probabilities(
    model: MusicgenForConditionalGeneration, reading: Reading, codes: Tensor, *, is_said: Tensor
) -> Tensor:
    """Of each code [B, K, T], given all before it, in nats; `is_said` [B] tells whose caption is heard."""
    clips, books, frames = codes.shape
    read, _ = delayed(codes)
    states = model.text_encoder(input_ids=reading.tokens, attention_mask=reading.mask).last_hidden_state
    mask = reading.mask * is_said[:, None]
    hidden = model.decoder.model(
        input_ids=read.reshape(clips * books, -1),
        encoder_hidden_states=states * mask[..., None],
        encoder_attention_mask=mask,
        use_cache=False,
    ).last_hidden_state  # [B, S, H]
    found = []
    for book in range(books):
        logits = model.decoder.lm_heads[book](hidden[:, book : book + frames]).float()  # [B, T, N]
        found.append(-F.cross_entropy(logits.transpose(1, 2), codes[:, book], reduction="none"))
    return torch.stack(found, 1)


def losses(
    model: MusicgenForConditionalGeneration,
    reading: Reading,
    codes: Tensor,
    *,
    given: Tensor,
    is_said: Tensor,
) -> Tensor:
    """The cross entropy of each codebook [K], in nats a code; a song's first codes weigh more."""
    frames = torch.arange(codes.shape[2])
    is_start = (given == 0).float()[:, None]
    weights = 1 + is_start * _EARLY_WEIGHT * torch.exp(-frames / _EARLY_FRAMES)  # [B, T]
    weights = weights * (frames >= given[:, None])
    found = log_probabilities(model, reading, codes, is_said=is_said)
    return -(found * weights[:, None]).sum((0, 2)) / weights.sum()


def rate_at(step: int, options: Options) -> float:
    """The learning rate's part at a step: it rises, stays, and falls to zero by the square root's curve."""
    rising = min(1.0, (step + 1) / options.warmup_steps)
    fallen = (step - options.steps * (1 - options.decay_part)) / (options.steps * options.decay_part)
    return rising * (1 - math.sqrt(max(0.0, fallen)))


def train(
    model: MusicgenForConditionalGeneration,
    reader: PreTrainedTokenizerFast,
    *,
    options: Options,
    state: Path,
) -> None:
    """Teach the model; goes on from `state` where that is there, and keeps it up to date."""
    optimizers = _optimizers(model, options)
    step = _resume(state, model, optimizers)
    songs = DataLoader(Songs(options, first_step=step), batch_size=None, num_workers=options.workers)
    model.train()
    model.set_attn_implementation("eager")  # fused attention's backward pass is slow on processors
    if options.is_compiled:
        for layer in model.decoder.model.decoder.layers:
            layer.compile(dynamic=True)
    smooth: Tensor | None = None
    started, first = time.monotonic(), step
    for batch in songs:
        if step >= min(options.steps, options.stop_after or options.steps):
            break
        part = rate_at(step, options)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["full_rate"] * part
        is_said = torch.rand(len(batch.codes), generator=torch.Generator().manual_seed(step)) >= _UNSAID
        with torch.autocast("cpu", torch.bfloat16):
            each = losses(
                model,
                tokenize(batch.captions, reader),
                batch.codes,
                given=batch.given,
                is_said=is_said.float(),
            )
        model.zero_grad()
        each.sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        step += 1
        smooth = each.detach() if smooth is None else 0.97 * smooth + 0.03 * each.detach()
        if step % 20 == 0:
            pace = (time.monotonic() - started) / (step - first)
            said = " ".join(f"{value:.3f}" for value in smooth.tolist())
            log.info("step %d of %d, loss %s, %.2f s a step", step, options.steps, said, pace)
        if step % options.saved_every == 0 or step == options.steps:
            _save(state, model, optimizers, step)


def _optimizers(model: MusicgenForConditionalGeneration, options: Options) -> list[torch.optim.Optimizer]:
    """Muon for the decoder's matrices, AdamW for tables, heads, norms and the text encoder."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.decoder.named_parameters():
        (matrices if ".layers." in name and parameter.ndim == 2 else others).append(parameter)
    rate = options.learning_rate
    muon = torch.optim.Muon(
        matrices, lr=options.matrix_rate, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"
    )
    groups = [
        {"params": others, "lr": rate},
        {"params": list(model.text_encoder.parameters()), "lr": rate * options.reading_rate},
    ]
    adam = torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
    optimizers: list[torch.optim.Optimizer] = [muon, adam]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["full_rate"] = group["lr"]
    return optimizers


def _save(
    state: Path, model: MusicgenForConditionalGeneration, optimizers: list[torch.optim.Optimizer], step: int
) -> None:
    made = state.with_suffix(".part")
    kept: dict[str, Any] = {
        "step": step,
        "decoder": model.decoder.state_dict(),
        "text_encoder": model.text_encoder.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
    }
    torch.save(kept, made)
    made.replace(state)


def _resume(
    state: Path, model: MusicgenForConditionalGeneration, optimizers: list[torch.optim.Optimizer]
) -> int:
    if not state.is_file():
        return 0
    kept = torch.load(state, weights_only=True)
    model.decoder.load_state_dict(kept["decoder"])
    model.text_encoder.load_state_dict(kept["text_encoder"])
    for optimizer, stored in zip(optimizers, kept["optimizers"], strict=True):
        optimizer.load_state_dict(stored)
    log.info("goes on from step %d", kept["step"])
    return int(kept["step"])
