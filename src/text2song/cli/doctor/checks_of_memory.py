"""The check of what the served model takes in memory; nothing is loaded for it."""

from text2song.byte_sizes import size_words
from text2song.cli.doctor.at_hand import chosen_dtype, dtypes_at_hand, free_at_hand
from text2song.cli.doctor.findings import Finding, State
from text2song.errors import ModelCorrupt, ModelMissing, ModelUnsupported, OutOfMemory
from text2song.model.budget import Budget
from text2song.model.configuration import ModelConfiguration, read_configuration
from text2song.model.library import resolve
from text2song.model.published import PUBLISHED, PUBLISHED_PREFIX
from text2song.settings import Settings


def check_memory(settings: Settings) -> Finding:
    """Whether the model to serve fits, and how many takes beside each other."""
    try:
        configuration = _configuration(settings)
    except (
        ModelCorrupt,
        ModelMissing,
        ModelUnsupported,
    ):  # the check of the model says what is wrong with it
        return Finding("memory", State.NOTE, "what the model takes can be told once it can be read")
    budget = Budget.of(
        configuration,
        dtype=chosen_dtype(settings),
        set_bytes=settings.memory_limit,
        free_bytes=free_at_hand(settings),
    )
    try:
        budget.require_weights(settings.model, dtypes=dtypes_at_hand(settings))
    except OutOfMemory as error:
        if budget.is_set:
            return Finding("memory", State.PROBLEM, error.message)
        return Finding("memory", State.NOTE, f"{error.message} A studio that runs now has its part already.")
    found = budget.footprint
    words = (
        f"{settings.model} takes, in {budget.dtype}, {size_words(found.weights_bytes)} for its weights, "
        f"{size_words(found.rendering_bytes)} while sound is made, and {size_words(found.row_bytes)} for "
        f"each take of 30 seconds; {_fitting_words(budget, wanted=settings.capacity)}"
    )
    return Finding("memory", State.OK if budget.rows else State.NOTE, words)


def _configuration(settings: Settings) -> ModelConfiguration:
    """Of the model to serve; of a published one also where it is not on this machine."""
    try:
        return read_configuration(resolve(settings.models_folder, settings.model))
    except ModelMissing:
        named = {PUBLISHED_PREFIX + name: configuration for name, configuration in PUBLISHED.items()}
        if settings.model not in named:
            raise
        return named[settings.model]


def _fitting_words(budget: Budget, *, wanted: int) -> str:
    if budget.limit_bytes is None:
        return "this system does not say how much is free"
    limit = f"the {size_words(budget.limit_bytes)} of TEXT2SONG_MEMORY_LIMIT"
    if not budget.is_set:
        limit = f"four fifths of what is free, {size_words(budget.limit_bytes)},"
    if not budget.rows:
        return f"{limit} leave no room for one: it is tried, and may run out"
    return f"{limit} hold {min(budget.rows, wanted)} at once, of TEXT2SONG_CAPACITY={wanted}"
