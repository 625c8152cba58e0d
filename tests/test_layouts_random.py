"""Random layouts, damaged in random ways: a row that comes out is the true one, and every other is counted.

The same layouts every time; more of them, for so many seconds of CPU, with a count of how they ended:
LAYOUTS_SECONDS=600 LAYOUTS_SEED=1000 python -m pytest tests/test_layouts_random.py -s
"""

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.layout_changes import DAMAGES, TRUE_PICTURES
from tests.layout_forms import FORMS
from tests.layouts import PATHS, RECORDS, Layout, essence, layout, samples, tagged
from toolkit.errors import UnifiedVisualError
from toolkit.sources.layout import open_source
from toolkit.sources.skips import Skips

LAYOUTS = 100
SECONDS = float(os.environ.get("LAYOUTS_SECONDS", "0"))  # instead
FIRST_SEED = int(os.environ.get("LAYOUTS_SEED", "0"))
NOTES = ("duplicate_id", "duplicate_member", "broken_link")  # counted, but cost no row
TRUE = {tagged(each.prompt, ""): each.essence() for each in samples()}


def random_layout(chance: random.Random) -> tuple[Layout, list[str]]:
    files = chance.choice(["one", "split per task", "shards"])
    kinds = {
        "has_task": chance.random() < 0.5,
        "paths": chance.choice(list(PATHS)),
        "records": chance.choice(list(RECORDS)),
    }
    made = layout(files, **kinds)
    story = [files, str(kinds)]
    for change in chance.sample([*DAMAGES, *FORMS], chance.choice([0, 1, 1, 2, 2, 3, 4])):
        if made.archives:
            change(made, chance)
            story.append(change.__name__)
    for members in made.archives.values():  # of a name that is there twice the first counts: let that be the true one
        ordered = sorted(members, key=lambda member: member[1] not in TRUE_PICTURES)
        first = dict(reversed(ordered))
        members[:] = [(name, data) for name, data in members if first[name] == data]
    return made, story


def check(rows: list[Any]) -> None:
    """Every row is the one that its question belongs to."""
    for row in rows:
        columns = row.to_dict()
        found = essence(columns)
        question = "".join(text or "" for _, pieces in found["messages"][:1] for text in pieces)
        assert found == TRUE.get(question), f"{row.id}: {found} is not {TRUE.get(question)}"


def read(folder: Path, policy: str, **how: Any) -> tuple[list[Any], Counter[str]]:
    source = open_source(folder)
    rows, counts = [], Counter[str]()
    for number, shard in enumerate(source.shards(source.tasks)):
        skips = Skips(on_missing=policy, on_bad_row=policy, max_in_a_row=1000)
        rows += source.read(shard, skips, owns_unknown=not number, **how)
        counts += skips.counts
    if source.tasks:
        lost = sum(count for kind, count in counts.items() if kind not in NOTES and not kind.startswith("refused_"))
        assert len(rows) + lost == source.splits.get("train", 0), f"{len(rows)} rows and {counts} of {source.splits}"
    return rows, counts


def outcome(folder: Path, chance: random.Random) -> str:
    how = {"in_order": chance.random() < 0.5}
    try:
        rows, _ = read(folder, "raise", **how)
    except UnifiedVisualError as error:
        strict = type(error).__name__
    else:
        check(rows)
        strict = "all rows"
    try:
        rows, counts = read(folder, "skip", **how)
    except UnifiedVisualError:
        return f"{strict}, whatever the policy"
    check(rows)
    lost = any(kind not in NOTES for kind in counts)
    return f"{strict}; skipping: {'all rows' if not lost else 'some rows' if rows else 'no row'}"


def seeds() -> Iterator[int]:
    end = time.process_time() + SECONDS
    for seed in count(FIRST_SEED):
        if time.process_time() > end if SECONDS else seed == FIRST_SEED + LAYOUTS:
            return
        yield seed


@pytest.mark.timeout(0 if SECONDS else 120)  # a busy machine gives less than a second a second
def test_no_row_differs_from_the_truth_without_an_error(tmp_path):
    outcomes: Counter[str] = Counter()
    for seed in seeds():
        chance = random.Random(seed)
        made, story = random_layout(chance)
        folder = tmp_path / str(seed)
        try:
            made.write(folder)
        except Exception as error:  # no file can hold what it was made into
            outcomes[f"not written: {type(error).__name__}"] += 1
            continue
        try:
            outcomes[outcome(folder, chance)] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}: {' + '.join(story)}: {error}") from error
        shutil.rmtree(folder)
    print(f"\n{outcomes.total()} layouts from seed {FIRST_SEED}")
    for kind, number in outcomes.most_common():
        print(f"{number:6} {kind}")
    assert outcomes["all rows; skipping: all rows"] > 0.3 * outcomes.total()


def test_a_row_with_the_picture_of_another_is_noticed(tmp_path):
    made = layout()
    members = made.archives["images/Image_Editing.tar.gz"]
    members[0], members[2] = (members[0][0], members[2][1]), (members[2][0], members[0][1])
    rows, _ = read(made.write(tmp_path), "raise")
    with pytest.raises(AssertionError, match=r"ie-0000: .* is not"):
        check(rows)
