"""`text2song generate`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from text2song.cli.answer import JsonFlag, answering

Words = Annotated[str | None, typer.Argument(help="What the music is like, in words.", metavar="TEXT")]
Style = Annotated[str | None, typer.Option(help="Style, such as lo-fi.", metavar="WORDS")]
Tempo = Annotated[float | None, typer.Option(help="Beats a minute, 20 to 300.", metavar="BPM")]
Instrument = Annotated[
    list[str] | None, typer.Option(help="An instrument; give it again for another.", metavar="WORDS")
]
Mood = Annotated[str | None, typer.Option(help="Mood, such as mellow.", metavar="WORDS")]
Duration = Annotated[
    float | None,
    typer.Option(
        help="Seconds, 0.5 to what the model can make (MusicGen: 300); 10 where left out.", metavar="SECONDS"
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="Seed of the first take; the next ones count on. Drawn where left out.", metavar="NUMBER"
    ),
]
Takes = Annotated[
    int | None, typer.Option(help="How many takes to make, 1 to 16; 1 where left out.", metavar="NUMBER")
]
Temperature = Annotated[
    float | None, typer.Option(help="Sampling temperature; 1.0 where left out.", metavar="NUMBER")
]
TopK = Annotated[
    int | None,
    typer.Option(help="Draw from the k likeliest codes; 250 where left out, 0: all.", metavar="NUMBER"),
]
TopP = Annotated[
    float | None,
    typer.Option(
        help="Draw from the likeliest codes of this total chance; 1.0 where left out.", metavar="NUMBER"
    ),
]
Guidance = Annotated[
    float | None,
    typer.Option(
        help="How closely to follow the words; 3.0 where left out, 1: not at all.", metavar="NUMBER"
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(help="The model to use, where another than TEXT2SONG_MODEL is wanted.", metavar="ID"),
]
FromSample = Annotated[
    str | None,
    typer.Option(help="Make the take with this id again, and say whether it is identical.", metavar="ID"),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="File to write; its ending (.flac, .wav, .mp3, .ogg) says the format. Several takes become "
        "NAME-1, NAME-2 and so on. Left out: the takes stay in the studio alone.",
        metavar="FILE",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")]
Server = Annotated[
    str | None,
    typer.Option(
        help="Have a running studio make them, such as http://127.0.0.1:8000. Left out: in this process.",
        metavar="URL",
    ),
]


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed; None where an option was left out."""

    text: str | None = None
    style: str | None = None
    tempo: float | None = None
    instruments: tuple[str, ...] = ()
    mood: str | None = None
    duration: float | None = None
    seed: int | None = None
    takes: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    guidance: float | None = None
    model: str | None = None
    from_sample: str | None = None


def generate(  # noqa: PLR0913  # each is an option
    text: Words = None,
    *,
    style: Style = None,
    tempo: Tempo = None,
    instrument: Instrument = None,
    mood: Mood = None,
    duration: Duration = None,
    seed: Seed = None,
    takes: Takes = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    guidance: Guidance = None,
    model: ModelName = None,
    from_sample: FromSample = None,
    out: Out = None,
    force: Force = False,
    server: Server = None,
    json: JsonFlag = False,
) -> None:
    """Make music from words, and write it to files.

    Ctrl-C cancels what is not finished; finished takes are kept. Every take stays in the studio too,
    under the id that is printed.
    """
    with answering(is_json=json) as answer:
        from text2song.cli.generate import making  # noqa: PLC0415  # help must not wait for the server's packages

        wish = Wish(
            text=text,
            style=style,
            tempo=tempo,
            instruments=tuple(instrument or ()),
            mood=mood,
            duration=duration,
            seed=seed,
            takes=takes,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            guidance=guidance,
            model=model,
            from_sample=from_sample,
        )
        making.make(wish, answer=answer, out=out, is_forced=force, server=server)
