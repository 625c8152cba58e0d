"""A command as a page or a help text shows it, parsed by the real command line without being run."""

import shlex
from collections.abc import Iterator
from typing import Any

from toolkit.cli.app import app


def parse_command(line: str) -> None:
    """Nothing happens, or the error a user would see (click's UsageError): an unknown command or option, a missing
    argument.
    """
    program, *rest = shlex.split(line.partition(" > ")[0], comments=True)
    assert program == "unifiedvisual", line
    command = app.command_line
    context = command.make_context(program, rest)
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its name as it is typed, groups too."""
    yield from _below("unifiedvisual", app.command_line)


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for child_name, child in getattr(command, "commands", {}).items():
        yield from _below(f"{name} {child_name}", child)
