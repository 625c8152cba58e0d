"""What every command has besides its own options: how much it says."""

import inspect
import re
from collections.abc import Callable
from functools import cached_property, wraps
from typing import Annotated, Any

import typer

from toolkit.cli.terminal import loudness, stages

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no hints.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Progress as lines, and where in the code an error came up.")
]
BRIEF = 60  # characters
COMMON = {"quiet": Quiet, "verbose": Verbose}


class App(typer.Typer):
    """Commands, each with the common options behind its own."""

    @cached_property
    def command_line(self) -> Any:
        """All commands and options as click has them: put together once, which takes 10 ms."""
        return typer.main.get_command(self)

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        register = super().command

        def decorate(function: Any) -> Any:
            register(name, short_help=brief(function.__doc__ or ""), **options)(_with_common(function))
            return function

        return decorate


def brief(text: str) -> str:
    """What a list of commands says of one: its first sentence, or as much of it as makes sense and fits 80 columns."""
    sentence = " ".join(text.split()).partition(". ")[0].removesuffix(".")
    return sentence if len(sentence) <= BRIEF else re.split("[,:;?] ", sentence)[0]


def _with_common(function: Any) -> Any:
    @wraps(function)
    def call(*, quiet: bool, verbose: bool, **arguments: Any) -> Any:
        loudness.is_quiet = stages.quiet = quiet
        loudness.is_verbose = verbose
        return function(**arguments)

    own = inspect.signature(function)
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in COMMON.items()
    ]
    given: Any = call
    given.__signature__ = own.replace(parameters=[*own.parameters.values(), *common])
    given.__annotations__ = {**function.__annotations__, **COMMON}
    return call
