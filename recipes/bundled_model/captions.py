"""A brief in words, in many phrasings; and which of its attributes the words say.

What is not said is left to the song. Some captions carry words that mean nothing here, as people's do:
the model learns to read past them.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

from recipes.bundled_model import words
from recipes.bundled_model.brief import Brief

ATTRIBUTES: Final = ("drums", "lead", "bass", "chords", "mode", "style", "energy", "tempo")
_SAID: Final = 0.85
"""How often each attribute is said."""
_NOUNS: Final = ("track", "song", "piece", "music", "tune", "loop", "instrumental", "groove", "theme")
_WITH: Final = ("with", "featuring", "for", "played by", "with a", "and")
_STRANGE_LETTERS: Final = ("aeiou", "bcdfghklmnprstvwz")


@dataclass(frozen=True, slots=True)
class Caption:
    """The words, and the names of the attributes that they say (tempo only where it is a number)."""

    text: str
    said: frozenset[str]


def caption(brief: Brief, rng: Random, *, says_all: bool = False) -> Caption:
    """One of many ways to ask for that song; with `says_all`, one that leaves nothing out."""
    said = {name for name in ATTRIBUTES if says_all or rng.random() < _SAID}
    mood = rng.choice(words.MODE_WORDS[brief.mode]) if "mode" in said else None
    energy = rng.choice(words.ENERGY_WORDS[brief.energy]) if "energy" in said else None
    style = rng.choice(words.STYLE_WORDS[brief.style]) if "style" in said else None
    tempo = _tempo(brief, rng, says_number=says_all) if "tempo" in said else None
    if tempo is not None and not any(letter.isdigit() for letter in tempo):
        said.discard("tempo")
    players, absent = _players(brief, said, rng)
    layouts = (_as_sentence, _as_list, _as_fields)
    layout = rng.choices(layouts, weights=(5, 3, 3))[0]
    text = layout(
        rng, style=style, moods=[w for w in (mood, energy) if w], tempo=tempo, players=players + absent
    )
    return Caption(text=text or rng.choice(("music", "a song")), said=frozenset(said))


def _tempo(brief: Brief, rng: Random, *, says_number: bool) -> str:
    if not says_number and rng.random() < 0.2:
        return rng.choice(next(spoken for below, spoken in words.TEMPO_WORDS if brief.tempo_bpm < below))
    unit = rng.choice(("{} bpm", "{} bpm", "{}bpm", "{} beats per minute", "tempo {}", "at {} bpm"))
    return unit.format(brief.tempo_bpm)


def _players(brief: Brief, said: set[str], rng: Random) -> tuple[list[str], list[str]]:
    """Who plays, the lead first, and who does not."""
    players, absent = [], []
    if "lead" in said:
        name = rng.choice(words.LEAD_WORDS[brief.lead])
        players.append(name + rng.choice((" melody", " lead", " solo")) if rng.random() < 0.15 else name)
    if "chords" in said and brief.chords is not None:
        name = rng.choice(words.CHORD_WORDS[brief.chords])
        # Both can play either part: first comes the lead, or else the part is named.
        is_plain = "lead" in said or brief.chords not in words.LEADS
        players.append(name if is_plain and rng.random() > 0.12 else f"{name} chords")
    elif "chords" in said:
        absent.append(rng.choice(("no chords", "without chords", "no accompaniment")))
    if "bass" in said and brief.bass is not None:
        players.append(rng.choice(words.BASS_WORDS[brief.bass]))
    elif "bass" in said:
        absent.append(rng.choice(("no bass", "without bass")))
    if "drums" in said and brief.has_drums:
        players.append(rng.choice(words.DRUM_WORDS))
    elif "drums" in said:
        absent.append(rng.choice(("no drums", "without drums", "no percussion", "drumless")))
    return players, absent


def _as_sentence(
    rng: Random, *, style: str | None, moods: list[str], tempo: str | None, players: list[str]
) -> str:
    rng.shuffle(moods)
    front = [word for word in (*moods, style) if word]
    back = []
    if len(moods) == 2 and rng.random() < 0.4:  # a happy track, calm
        back.append(front.pop(0))
    noun = rng.choice(_NOUNS)
    head = rng.choice(("a {}", "an {}", "{}", "some {}", "play a {}")).format(" ".join([*front, noun]))
    if players:
        head += f" {rng.choice(_WITH)} {_joined(players, rng)}"
    back += [tempo] if tempo else []
    back += [_strange(rng)] if rng.random() < 0.3 else []
    rng.shuffle(back)
    text = rng.choice((", ", ", ", ". ", " ")).join([head, *back])
    return f"{tempo} {head}" if tempo and not back[1:] and rng.random() < 0.15 else text


def _as_list(
    rng: Random, *, style: str | None, moods: list[str], tempo: str | None, players: list[str]
) -> str:
    parts = [part for part in (style, *moods, tempo) if part]
    parts += [_strange(rng)] if rng.random() < 0.3 else []
    parts += players if rng.random() < 0.5 else [_joined(players, rng)] if players else []
    heads = [part for part in parts if part not in players]
    rng.shuffle(heads)
    return ", ".join([*heads, *(part for part in parts if part in players)])


def _as_fields(
    rng: Random, *, style: str | None, moods: list[str], tempo: str | None, players: list[str]
) -> str:
    """As `text2song.music.sentence` puts a prompt's text and attributes together."""
    attributes = [part for part in (style, *moods, _joined(players, rng) if players else None, tempo) if part]
    return ", ".join([_strange(rng), *attributes])


def _joined(parts: list[str], rng: Random) -> str:
    *others, last = parts
    joiner = rng.choice((" and ", " and ", ", ", " & "))
    return f"{', '.join(others)}{joiner}{last}" if others else last


def _strange(rng: Random) -> str:
    """Words that nobody knows, among those that say nothing."""
    vowels, consonants = _STRANGE_LETTERS

    def word() -> str:
        if rng.random() < 0.4:
            return rng.choice(
                ("a", "the", "of", "in", "on", "to", "my", "at", "night", "home", "walk", "for")
            )
        return "".join(rng.choice(consonants) + rng.choice(vowels) for _ in range(rng.randint(2, 4)))

    return " ".join(word() for _ in range(rng.randint(1, 5)))
