"""Help in a musician's words: `--seed NUMBER`, not Python's types.

Typer writes `<bool>` beside every flag and `<str>` beside every argument, and has no setting against that.
"""

from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup


class PlainCommand(TyperCommand):
    """A command whose help names no types."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401  # Typer exports no types for these
        """The parameters, `--help` among them."""
        return _untyped(super().get_params(ctx))


class PlainGroup(TyperGroup):
    """A group of commands whose help names no types."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401  # as above
        """The parameters, `--help` among them."""
        return _untyped(super().get_params(ctx))


def _untyped(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if isinstance(parameter, TyperArgument) or parameter.is_flag:
            parameter.display_type_rich = _nothing
    return parameters


def _nothing(ctx: object) -> None:
    """What help says of a type."""
    del ctx
