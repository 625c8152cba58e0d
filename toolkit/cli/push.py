"""`unifiedvisual push`: a packed dataset -> the Hub, verified there."""

from pathlib import Path

from dataset_card import write_card
from toolkit.cli.terminal import print_json, say, stages, table
from toolkit.cli.verify import report
from toolkit.packing.push import plan_push, push
from toolkit.sizes import show_bytes


def run(
    folder: Path, repo_id: str, *, private: bool, revision: str | None, token: str | None, dry_run: bool, as_json: bool
) -> None:
    plan_push(folder, repo_id)  # first of all: is it a packed dataset?
    if not dry_run:
        write_card(folder, repo_id=repo_id)
    plan = plan_push(folder, repo_id)
    if dry_run:
        if as_json:
            print_json(plan)
        else:
            table(f"Would upload to {repo_id}", ("file", "bytes"), plan.files.items(), right=("bytes",))
            say(f"{len(plan.files)} files, {show_bytes(sum(plan.files.values()))}. Nothing was sent.")
        return
    found = push(folder, repo_id, private=private, revision=revision, token=token, on_retry=stages.print)
    report(found, deep=False, as_json=as_json)
