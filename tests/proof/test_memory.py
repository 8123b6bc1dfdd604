"""What a process takes for musicgen-small's exact configuration, against what was estimated beforehand."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.figures import RecordFigure
from tests.model.holding import drawn
from text2song.model.configuration import read_configuration
from text2song.model.decoder import Decoder
from text2song.model.dtypes import DTYPES
from text2song.model.encodec import CodecDecoder
from text2song.model.footprint import ORDINARY_TOKENS, footprint_of
from text2song.model.noise_files import small_files
from text2song.model.precision import ORACLE, dtypes_on
from text2song.model.published import PUBLISHED
from text2song.model.t5 import TextEncoder

SMALL = PUBLISHED["small"]
ROWS, STEPS = 2, 1503
LARGER: dict[str, dict[str, Any]] = {
    "text_encoder": {"vocab_size": 32_128, "d_model": 768, "d_kv": 64, "d_ff": 3072}
    | {"num_layers": 12, "num_heads": 12},
    "audio_encoder": {"hidden_size": 128, "num_filters": 64, "num_lstm_layers": 2},
    "decoder": {"hidden_size": 1024, "num_attention_heads": 16, "num_hidden_layers": 24, "ffn_dim": 4096},
}
"""What musicgen-small's configuration has otherwise than the untrained model's."""
PROGRAM = """
import json, sys
from pathlib import Path
import torch
from text2song.model.linear import product
from text2song.model.musicgen import MusicGen

def told_by_the_system(name):
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(lines[name].split()[0]) * 1024

folder, dtype, rows, steps, tokens = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
torch.set_num_threads(1)
for count in (2, 8):  # what the compiler takes for its first loops is not the model's
    product(torch.ones(64, 64), backend="packed")(torch.ones(count, 64))
told = {"program": told_by_the_system("VmRSS")}
model = MusicGen.load(folder, dtype=dtype)
parts, shape = model._parts, model.info
told["weights"] = told_by_the_system("VmRSS")
text = torch.randn(tokens, shape.module_shapes["decoder.model.decoder.layers.0.fc1"][1])
tracks = [parts.decoder.open_track(text, steps=steps, is_guided=True) for _ in range(rows)]
codes = torch.randint(0, shape.codebook_size, (rows, steps, shape.codebooks))
for start in range(0, steps, 16):  # several known columns at once, or it takes minutes
    parts.decoder.step([row[start : start + 16] for row in codes], tracks=tracks)
told["rows"] = told_by_the_system("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # forget the peak
parts.codec.decode(torch.randint(0, shape.codebook_size, (shape.codebooks, 500)))
told["sound"] = told_by_the_system("VmHWM")
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model of musicgen-small's size and random weights: 2.2 GB, which go with the test."""
    folder = tmp_path_factory.mktemp("models") / "small"
    folder.mkdir()
    for name, content in small_files(audio_channels=1).items():
        for part, values in LARGER.items():
            content.get(part, {}).update(values)
        (folder / name).write_text(json.dumps(content))
    assert read_configuration(folder) == SMALL
    weights: dict[str, torch.Tensor] = {}
    make = drawn()

    def read(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        weights[name] = make(name, shape)
        return weights[name]

    TextEncoder(SMALL.text_encoder, read=read)
    read("enc_to_dec_proj.weight", (SMALL.decoder.width, SMALL.text_encoder.width))
    read("enc_to_dec_proj.bias", (SMALL.decoder.width,))
    Decoder(SMALL.decoder, read=read, precision=ORACLE)
    CodecDecoder(SMALL.codec, read=read)
    save_file(weights, folder / "model.safetensors")
    weights.clear()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.proof
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_process_takes_what_was_estimated(
    small_folder: Path, dtype: str, record_figure: RecordFigure
) -> None:
    """Weights from files, two rows of thirty seconds that are full, and ten seconds of sound."""
    if dtype not in dtypes_on(torch.device("cpu")):
        pytest.skip(f"this processor does not compute in {dtype}")
    numbers = [str(number) for number in (ROWS, STEPS, ORDINARY_TOKENS)]
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(small_folder), dtype, *numbers],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(ended.stdout)
    estimate = footprint_of(SMALL, dtype=dtype)
    expected = {"weights": estimate.weights_bytes, "rows": ROWS * estimate.row_bytes}
    expected["sound"] = estimate.rendering_bytes
    names = list(told)
    found = {later: told[later] - told[earlier] for earlier, later in pairwise(names)}
    for name, size_bytes in expected.items():
        record_figure(f"{name}, estimated", size_bytes / 2**20, "MiB")
        record_figure(f"{name}, measured", found[name] / 2**20, "MiB")
    share = sum(found.values()) / sum(expected.values())
    record_figure("measured, of what was estimated", 100 * share, "%")
    assert 0.9 < share < 1.1
    assert found["weights"] == pytest.approx(expected["weights"], rel=0.1)
    assert found["rows"] == pytest.approx(expected["rows"], rel=0.1)
