"""Rebuild the bundled model from its seed: `python -m recipes.bundled_model --work FOLDER`.

Hours on two cores; no accelerator is needed. Whatever is finished stays in the work folder, so an
interrupted build goes on where it was when the same command is given again. The model is then in
`FOLDER/model`, and `FOLDER/evaluation.json` says how well it follows its prompts.
"""

import argparse
import json
import logging
import shutil
from pathlib import Path
from typing import Final

import torch
from transformers import MusicgenForConditionalGeneration, PreTrainedTokenizerFast, T5EncoderModel
from transformers.utils import logging as transformers_logging

from recipes.bundled_model import card, codec, dictionary, evaluation, language_model, packing, reading
from recipes.bundled_model.probes import Probes, ceilings, rendered
from text2song.model.weights import fingerprint

log = logging.getLogger(__name__)

SEED: Final = 0
READING_STEPS, READING_BATCH = 1200, 96
STEPS: Final = 6000
SONGS_OF_CODEC: Final = 400
"""Whose use of the grains decides what the codec keeps of them."""
PROBE_CLIPS, PROBE_TESTS, PROBE_EPOCHS = 4000, 500, 8


def main() -> None:
    """Read the arguments and build."""
    arguments = argparse.ArgumentParser(prog="python -m recipes.bundled_model", description=__doc__)
    arguments.add_argument("--work", type=Path, required=True, help="folder for what is half made")
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--compile", action="store_true", help="faster; needs a C++ compiler")
    given = arguments.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    torch.set_num_threads(given.threads)
    build(given.work, is_compiled=given.compile)


def build(work: Path, *, is_compiled: bool) -> None:
    """All stages, each of which is left out where its result is there."""
    work.mkdir(parents=True, exist_ok=True)
    folder = work / "model"
    if not folder.is_dir():
        model, reader = _taught(work, is_compiled=is_compiled)
        book = dictionary.build()
        uses = codec.uses_in_songs(book, count=SONGS_OF_CODEC)
        half_made = work / "model.part"
        shutil.rmtree(half_made, ignore_errors=True)
        packing.pack(model, codec.build(book, uses), reader, half_made).rename(folder)
    probes = _probes(work)
    found = evaluation.evaluate(folder, probes)
    found["ceilings"] = json.loads((work / "ceilings.json").read_text())
    found["fingerprint"] = fingerprint(folder)
    (work / "evaluation.json").write_text(json.dumps(found, indent=2) + "\n")
    card.write(folder, found)
    log.info("%s", json.dumps(found, indent=2))


def _taught(
    work: Path, *, is_compiled: bool
) -> tuple[MusicgenForConditionalGeneration, PreTrainedTokenizerFast]:
    encoder, reader = _taught_encoder(work / "reading.pt")
    torch.manual_seed(SEED)
    model = language_model.untaught(encoder, codec.configuration())
    options = language_model.Options(steps=STEPS, is_compiled=is_compiled)
    language_model.train(model, reader, options=options, state=work / "language.pt")
    return model, reader


def _taught_encoder(kept: Path) -> tuple[T5EncoderModel, PreTrainedTokenizerFast]:
    reader = reading.tokenizer()
    torch.manual_seed(SEED)
    encoder = reading.untaught_encoder(reader)
    if not kept.is_file():
        loss = reading.teach(encoder, reader, steps=READING_STEPS, batch=READING_BATCH)
        log.info("reading: taught, loss %.3f", loss)
        torch.save(encoder.state_dict(), kept.with_suffix(".part"))
        kept.with_suffix(".part").replace(kept)
    encoder.load_state_dict(torch.load(kept, weights_only=True))
    return encoder, reader


def _probes(work: Path) -> Probes:
    kept = work / "probes.safetensors"
    if not kept.is_file():
        torch.manual_seed(SEED)
        heard, songs = rendered([f"probe {index}" for index in range(PROBE_CLIPS + PROBE_TESTS)])
        probes = Probes()
        probes.learn(heard[:PROBE_CLIPS], songs[:PROBE_CLIPS], epochs=PROBE_EPOCHS)
        found = ceilings(probes, heard[PROBE_CLIPS:], songs[PROBE_CLIPS:])
        (work / "ceilings.json").write_text(json.dumps(found, indent=2) + "\n")
        probes.save(kept.with_suffix(".part"))
        kept.with_suffix(".part").replace(kept)
    return Probes.load(kept)


if __name__ == "__main__":
    main()
