"""Options that several commands have."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import partial, wraps
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

#: An option and an argument whose help text says what holds without them.
option = partial(typer.Option, show_default=False)
argument = partial(typer.Argument, show_default=False)

Trust = Annotated[
    bool,
    typer.Option(
        "--trust-model",
        help="Load pickled weights, and run code that comes with the models. Default: load "
        "safetensors only, and run no code but the libraries'.",
    ),
]
Model = Annotated[str | None, option(help="As for search.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    typer.Option(help="Where the model runs; auto is the best there is."),
]
Column = Annotated[str | None, option(help="The prompts' column. Default: guessed.")]
Host = Annotated[
    str, typer.Option(help="Address to serve at. Any other than this one is seen by others.")
]


class RayCommand(TyperCommand):
    """Accepts ``--ray`` without a value, which Typer's own options do not."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer's own
        """Parse the arguments, with ``local`` put after a ``--ray`` that stands alone."""
        return super().parse_args(ctx, list(_with_address(args)))


def _with_address(args: Sequence[str]) -> Iterator[str]:
    for word, following in zip(args, [*args[1:], "-"], strict=False):
        yield word
        if word == "--ray" and following.startswith("-"):
            yield "local"


def takes(**groups: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of groups, those of a group as one argument.

    Args:
        groups: by the name of the command's parameter, the function that makes its value; the
            function's parameters are the options.
    """
    members = {name: inspect.signature(group).parameters for name, group in groups.items()}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command).parameters
        every: dict[str, inspect.Parameter] = {}
        for name, parameter in own.items():
            every.update(members.get(name, {name: parameter}))

        @wraps(command)
        def call(**given: Any) -> None:  # noqa: ANN401 - the options, of any type
            made = {
                name: group(**{member: given[member] for member in members[name]})
                for name, group in groups.items()
            }
            command(**{name: made[name] if name in made else given[name] for name in own})

        kind = inspect.Parameter.KEYWORD_ONLY
        call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [parameter.replace(kind=kind) for parameter in every.values()]
        )
        call.__annotations__ = {name: one.annotation for name, one in every.items()}
        return call

    return decorate
