"""`unifiedvisual card`: README.md or Croissant JSON-LD of a packed dataset, printed."""

import sys

from dataset_card import read_card, read_croissant
from toolkit.cli.terminal import print_json


def run(source: str, *, as_croissant: bool, repo_id: str | None, revision: str | None, token: str | None) -> None:
    if as_croissant:
        print_json(read_croissant(source, repo_id=repo_id, revision=revision, token=token))
    else:
        sys.stdout.write(read_card(source, repo_id=repo_id, revision=revision, token=token))
