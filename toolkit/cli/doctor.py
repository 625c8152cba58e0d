"""`unifiedvisual doctor`: what works on this machine, in lines that fit an issue."""

from dataclasses import asdict
from textwrap import wrap

from rich.text import Text

from toolkit.cli.terminal import console, print_json
from toolkit.doctor import examine
from toolkit.errors import SourceError

STYLES = {"ok": "green", "note": "yellow", "wrong": "bold red"}


def run(*, hub: bool, as_json: bool) -> None:
    found = []
    for check in examine(hub=hub):
        found.append(check)
        if not as_json:
            line = Text(f"{check.state:6}", style=STYLES[check.state])
            found_lines, cost_lines = (wrap(text, console.width - 23) for text in (check.found, check.costs))
            rest = f"\n{'':23}".join([*found_lines, *cost_lines])
            console.print(line + Text(f"{check.name:17}{rest}", style=""), soft_wrap=True)
    if as_json:
        print_json([asdict(check) for check in found])
    if wrong := [check.name for check in found if check.state == "wrong"]:
        raise SourceError(f"does not work: {', '.join(wrong)}")
