"""What a song can be, and the words that say so: the whole vocabulary of the model."""

from typing import Final

STYLES: Final = ("ambient", "techno", "rock", "jazz", "lofi", "classical", "funk")
LEADS: Final = ("piano", "guitar", "bells", "flute", "saxophone", "synth")
CHORDS: Final = ("piano", "electric piano", "guitar", "organ", "strings", "pad")
BASSES: Final = ("bass", "synth bass")
MODES: Final = ("major", "minor")
ENERGIES: Final = ("calm", "energetic")
TEMPO_RANGE_BPM: Final = (60, 180)

STYLE_WORDS: Final = {
    "ambient": ("ambient", "atmospheric", "ambient soundscape"),
    "techno": ("techno", "electronic", "house", "club"),
    "rock": ("rock", "indie rock", "rock anthem"),
    "jazz": ("jazz", "swing", "jazzy"),
    "lofi": ("lo-fi", "lofi", "lo-fi hip hop", "chillhop"),
    "classical": ("classical", "chamber music", "baroque"),
    "funk": ("funk", "funky", "disco"),
}
LEAD_WORDS: Final = {
    "piano": ("piano", "grand piano"),
    "guitar": ("guitar", "acoustic guitar", "nylon guitar"),
    "bells": ("bells", "music box", "glockenspiel", "vibraphone"),
    "flute": ("flute", "wooden flute"),
    "saxophone": ("saxophone", "sax", "tenor sax"),
    "synth": ("synth", "synth lead", "synthesizer"),
}
CHORD_WORDS: Final = {
    "piano": ("piano", "grand piano"),
    "electric piano": ("electric piano", "rhodes", "e-piano"),
    "guitar": ("guitar", "acoustic guitar", "rhythm guitar"),
    "organ": ("organ", "hammond organ"),
    "strings": ("strings", "string section", "string quartet"),
    "pad": ("pad", "synth pad", "warm pad"),
}
BASS_WORDS: Final = {
    "bass": ("bass", "bass guitar", "upright bass"),
    "synth bass": ("synth bass", "sub bass"),
}
DRUM_WORDS: Final = ("drums", "a drum kit", "a beat", "brushed drums", "percussion", "a drum machine")
MODE_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "major": ("happy", "cheerful", "bright", "uplifting", "joyful", "sunny", "hopeful", "major key"),
    "minor": ("sad", "dark", "melancholic", "moody", "gloomy", "mysterious", "sombre", "minor key"),
}
ENERGY_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "calm": ("calm", "relaxed", "gentle", "soft", "mellow", "peaceful", "chill"),
    "energetic": ("energetic", "driving", "lively", "busy", "powerful", "upbeat", "intense"),
}
TEMPO_WORDS: Final = (
    (76, ("very slow", "slow")),
    (96, ("slow", "laid-back tempo")),
    (120, ("medium tempo", "mid-tempo", "moderate tempo")),
    (146, ("fast", "quick")),
    (181, ("very fast", "fast")),
)
"""Below how many beats a minute which words are said."""
