"""What the API says of audio samples."""

import datetime as dt
import uuid

from pydantic import ConfigDict, Field

from text2song.audio.examples import COMPARISON, PEAKS_OUT, SAMPLE_OUT
from text2song.wire import WireModel


class ResolvedParams(WireModel):
    """How takes are drawn: nothing is left to a default that might change."""

    seed: int = Field(
        description="Of this take; of a job: what was asked for, or drawn, for the first take of each side. "
        "A retry may draw anew: its takes tell."
    )
    temperature: float
    top_k: int = Field(description="0 keeps every code.")
    top_p: float = Field(description="1 keeps the whole distribution.")
    guidance_scale: float = Field(description="1 is no guidance.")
    duration: float = Field(description="Seconds.")


class UsedAdapter(WireModel):
    """An adapter that acted."""

    digest: str = Field(description="sha256 of its bundle.")
    weight: float


class TakeParams(ResolvedParams):
    """All that determines the codes of a take, given a model."""

    sentence: str = Field(description="What the model read.")
    adapters: list[UsedAdapter] = Field(description="Those that acted together; empty for the bare model.")


class Provenance(WireModel):
    """What else was so when a take was made."""

    # Read from what a worker wrote, who may be of the next version and write more of it.
    model_config = ConfigDict(extra="ignore")

    model: str
    revision: str
    fingerprint: str = Field(description="sha256 over the model's configuration and weights.")
    license: str = Field(description="Of the weights, at that time.")
    is_trained: bool = Field(description="False where random weights made noise.")
    dtype: str = Field(description="What the model computed in.")
    device: str | None = Field(
        default=None, description="What computed it: `cpu`, or the GPU's name. Null for early takes."
    )
    versions: dict[str, str] = Field(description="Of the programs that made it, by name.")
    token_ids: list[int] = Field(description="What the model's tokenizer made of the sentence.")


class AudioSampleOut(WireModel):
    """A stored take. `generation_params` is all that is needed to make it again."""

    model_config = ConfigDict(json_schema_extra={"examples": [SAMPLE_OUT]})

    id: uuid.UUID
    prompt_id: uuid.UUID
    adapter_id: uuid.UUID | None
    storage_path: str
    stream_url: str
    duration_seconds: float
    sample_rate: int
    channels: int
    size_bytes: int
    sha256: str = Field(description="Of the stored FLAC file.")
    codes_sha256: str = Field(description="Of the codes: equal digests, equal music.")
    loudness_lufs: float | None = Field(description="Integrated loudness; null for silence.")
    true_peak_dbtp: float | None
    sentence: str = Field(description="What the model read.")
    model: str
    is_untrained_noise: bool = Field(description="True where random weights made it.")
    generation_params: TakeParams
    provenance: Provenance
    created_at: dt.datetime
    user_id: uuid.UUID | None


class PeaksOut(WireModel):
    """The outline of a waveform, as columns to draw."""

    model_config = ConfigDict(json_schema_extra={"examples": [PEAKS_OUT]})

    full_scale: int = Field(description="The integer that stands for the loudest possible sample.")
    duration: float = Field(description="Seconds.")
    lows: list[int]
    highs: list[int]


class ComparedSample(WireModel):
    """One sample of a comparison."""

    sample: AudioSampleOut
    peaks_url: str
    playback_gain_db: float = Field(
        le=0, description="Play it with this gain, and all samples of the comparison are equally loud."
    )


class Comparison(WireModel):
    """Samples side by side. Their files are as they were made; only the playback is matched."""

    model_config = ConfigDict(json_schema_extra={"examples": [COMPARISON]})

    items: list[ComparedSample]
