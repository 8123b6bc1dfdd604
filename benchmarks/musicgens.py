"""Two MusicGens with the same random weights at a published size: ours, and transformers' beside it.

Their values decide nothing of their speed. Needs torch, transformers, peft and numpy, and of this project the
model layer alone, so that it also runs on a machine with a GPU and nothing of the server.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from transformers import (
    EncodecConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    T5Config,
)
from transformers.utils import logging as transformers_logging

from text2song.model.batch import Parts
from text2song.model.checkpoint import Read
from text2song.model.codec import Codec
from text2song.model.configuration import ModelConfiguration, read_configuration
from text2song.model.decoder import Decoder, module_shapes
from text2song.model.delay import offsets_for
from text2song.model.musicgen import aid_of
from text2song.model.noise_files import small_files
from text2song.model.precision import precision_for
from text2song.model.protocol import ModelInfo
from text2song.model.rack import AdapterRack
from text2song.model.room import Room
from text2song.model.text import TextReader
from text2song.music.sampling import SamplingParams
from text2song.music.spec import AdapterWeight, GenerationSpec

SIZES: Final = {
    "small": (24, 1024, 16, 4096),
    "medium": (48, 1536, 24, 6144),
    "large": (48, 2048, 32, 8192),
}
"""Layers, width, heads and width of the wide layer, as `facebook/musicgen-*` publish them in config.json."""
FRAME_RATE: Final = 50
SPECIAL: Final = 2048
SENTENCE: Final = "slow lo-fi piano"
"""As many tokens, a byte each, as T5 would read in a sentence of ordinary length."""


def configuration(size: str) -> MusicgenConfig:
    """The published configuration of that size."""
    layers, width, heads, ffn_width = SIZES[size]
    text = T5Config(
        vocab_size=32_128,
        d_model=768,
        d_kv=64,
        d_ff=3072,
        num_layers=12,
        num_heads=12,
        feed_forward_proj="relu",
    )
    codec = EncodecConfig(
        target_bandwidths=[2.2],
        sampling_rate=32_000,
        audio_channels=1,
        normalize=False,
        hidden_size=128,
        num_filters=64,
        upsampling_ratios=[8, 5, 4, 4],
        norm_type="weight_norm",
        codebook_size=2048,
        use_causal_conv=False,
        use_conv_shortcut=False,
        num_lstm_layers=2,
    )
    decoder = MusicgenDecoderConfig(
        vocab_size=2048,
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=heads,
        ffn_dim=ffn_width,
        num_codebooks=4,
        audio_channels=1,
        max_position_embeddings=2048,
        pad_token_id=SPECIAL,
        bos_token_id=SPECIAL,
    )
    return MusicgenConfig(text_encoder=text, audio_encoder=codec, decoder=decoder)


def theirs(size: str, *, device: str = "cpu") -> MusicgenForConditionalGeneration:
    """MusicGen of that size by transformers, in float32."""
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call] # transformers leaves it untyped
    torch.manual_seed(0)
    model = MusicgenForConditionalGeneration(configuration(size))
    model.train(mode=False)
    with torch.no_grad():
        for name, table in model.audio_encoder.named_buffers():
            if name.endswith("codebook.embed"):  # all zeros until it is trained
                table.normal_(0, 0.5)
    for name, value in {
        "guidance_scale": 3.0,
        "do_sample": True,
        "top_k": 250,
        "max_length": None,
        "decoder_start_token_id": SPECIAL,
        "pad_token_id": SPECIAL,
        "bos_token_id": SPECIAL,
    }.items():
        setattr(model.generation_config, name, value)
    torch.nn.Module.to(model, torch.device(device))  # their own is decorated beyond a checker's reach
    return model


def weights_of(model: MusicgenForConditionalGeneration) -> Read:
    """What our networks read of theirs."""
    tensors = model.state_dict()

    def read(name: str, shape: tuple[int, ...]) -> Tensor:
        tensor: Tensor = tensors[name].float()
        assert tuple(tensor.shape) == shape, name
        return tensor

    return read


def random_weights(device: str = "cpu") -> Read:
    """The same without a model of theirs, for what ours takes alone."""
    chance = torch.Generator().manual_seed(0)

    def read(name: str, shape: tuple[int, ...]) -> Tensor:
        del name
        return (torch.randn(shape, generator=chance) * 0.02).to(device)

    return read


def read_published(size: str) -> ModelConfiguration:
    """The same, as our reader understands it."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "config.json").write_text(json.dumps(configuration(size).to_dict()))
        return read_configuration(Path(name))


def ours(size: str, *, dtype: str, read: Read, device: str = "cpu", rows: int = 32) -> Parts:
    """Our MusicGen of that size, as its rows use it."""
    where, precision = torch.device(device), precision_for(dtype, device=torch.device(device))
    found = read_published(size)
    shape = found.decoder
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tokenizer.json").write_text(json.dumps(small_files(audio_channels=1)["tokenizer.json"]))
        reader = TextReader(folder, shape=found.text_encoder, width=shape.width, read=read)
    shapes = module_shapes(shape)
    decoder = Decoder(shape, read=read, precision=precision)
    return Parts(
        info=ModelInfo(
            id=f"musicgen-{size} with random weights",
            revision="local",
            fingerprint="0" * 64,
            license="none",
            is_trained=False,
            sample_rate=found.sample_rate,
            frame_rate=found.frame_rate,
            channels=1,
            codebooks=shape.codebooks,
            codebook_size=shape.codebook_size,
            max_duration_seconds=found.max_duration_seconds,
            dtype=precision.name,
            device=str(where),
            module_shapes=shapes,
        ),
        reader=reader,
        decoder=decoder,
        codec=Codec(found, read=read),
        rack=AdapterRack(shapes, layers=shape.layers, precision=precision),
        room=Room(rows=rows),
        offsets=offsets_for(shape.codebooks, channels=1),
        window_frames=found.window_frames,
        kept_frames=found.kept_frames,
        ahead=aid_of(decoder, found, rows=rows, device=where).ahead,
    )


def specs(prompts: int, *, frames: int, adapters: Sequence[AdapterWeight] = ()) -> list[GenerationSpec]:
    """Takes of so many frames, each of another sentence; adapters in turn."""
    return [
        GenerationSpec(
            sentence=f"{SENTENCE} {number:02d}",
            seed=number,
            duration_seconds=frames / FRAME_RATE,
            sampling=SamplingParams(),
            adapters=(adapters[number * len(adapters) // prompts],) if adapters else (),
        )
        for number in range(prompts)
    ]


def token_ids(parts: Parts, prompts: int, *, device: str = "cpu") -> Tensor:
    """The same sentences as transformers reads them: [B, E]."""
    found = [parts.reader.encode(spec.sentence).token_ids for spec in specs(prompts, frames=50)]
    return torch.tensor(found, device=device)
