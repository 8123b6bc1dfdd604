"""Rebuild the bundled model from its seed: `python -m recipes.bundled_model --work FOLDER`.

Hours on two cores, and no accelerator is needed. Whatever is finished stays in the work folder, so an
interrupted build goes on where it was when the same command is given again.
"""

import argparse
import logging
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast, T5EncoderModel
from transformers.utils import logging as transformers_logging

from recipes.bundled_model import codec, language_model, reading

log = logging.getLogger(__name__)

SEED = 0
READING_STEPS, READING_BATCH = 800, 96
STEPS = 3000


def main() -> None:
    """Read the arguments and build."""
    arguments = argparse.ArgumentParser(prog="python -m recipes.bundled_model", description=__doc__)
    arguments.add_argument("--work", type=Path, required=True, help="folder for what is half made")
    arguments.add_argument("--steps", type=int, default=STEPS)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--compile", action="store_true", help="faster; needs a C++ compiler")
    given = arguments.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    torch.set_num_threads(given.threads)
    given.work.mkdir(parents=True, exist_ok=True)
    encoder, reader = _taught_encoder(given.work)
    torch.manual_seed(SEED)
    model = language_model.untaught(encoder, codec.configuration())
    options = language_model.Options(steps=given.steps, is_compiled=given.compile)
    language_model.train(model, reader, options=options, state=given.work / "language.pt")


def _taught_encoder(work: Path) -> tuple[T5EncoderModel, PreTrainedTokenizerFast]:
    reader = reading.tokenizer()
    torch.manual_seed(SEED)
    encoder = reading.untaught_encoder(reader)
    kept = work / "reading.pt"
    if not kept.is_file():
        loss = reading.teach(encoder, reader, steps=READING_STEPS, batch=READING_BATCH)
        log.info("reading: taught, loss %.3f", loss)
        torch.save(encoder.state_dict(), kept)
    encoder.load_state_dict(torch.load(kept, weights_only=True))
    return encoder, reader


if __name__ == "__main__":
    main()
