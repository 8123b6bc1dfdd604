"""The one rule that turns a prompt's text and attributes into the sentence that the model reads.

Shared by generation and training: a model that was trained on other sentences than it is asked
with would learn the difference. Deterministic; the sentence is stored with each sample.
"""

from typing import Final

from text2song.music.attributes import MusicAttributes, clean_text

TEXT_LIMIT: Final = 2000
"""Characters of a prompt's text."""


def render(text: str, attributes: MusicAttributes) -> str:
    """`text`, then what the attributes add, as comma-separated phrases.

    MusicGen was trained on descriptions of this kind with tags appended. The duration is not said:
    it decides the number of frames, and the model never learned to read it.

    >>> render("a slow walk home", MusicAttributes(style="lo-fi", mood="mellow", tempo_bpm=84,
    ...        instrumentation=("piano", "brushed drums")))
    'a slow walk home, lo-fi, mellow, piano and brushed drums, 84 bpm'
    """
    phrases = [clean_text(text, name="text", limit=TEXT_LIMIT)]
    phrases += [word for word in (attributes.style, attributes.mood) if word]
    if attributes.instrumentation:
        phrases.append(_joined(attributes.instrumentation))
    if attributes.tempo_bpm is not None:
        phrases.append(f"{attributes.tempo_bpm:g} bpm")
    return ", ".join(phrases)


def _joined(words: tuple[str, ...]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
