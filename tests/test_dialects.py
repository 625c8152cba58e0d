"""What others publish, read as rows: every picture, text and order as written by hand."""

import pytest

from tests.dialect_sets import SETS, said
from toolkit.errors import RowError
from toolkit.sources.dialects import DIALECTS
from toolkit.sources.dialects.source import open_foreign


def write(folder, files):
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def opened(source, published, **more):
    return open_foreign(
        source,
        options=published.options,
        columns=published.columns,
        image_folder=published.image_folder,
        **more,
    )


def rows_of(found):
    rows = [row for piece in found.rows.pieces for row in piece()]
    for row in rows:
        if isinstance(row, RowError):
            raise row
    return rows


def check(found, published):
    assert {group.dialect for group in found.groups} == {published.dialect}
    rows = rows_of(found)
    assert [said(row) for row in rows] == published.rows
    if published.roles is not None:
        assert [list(row.image_roles) for row in rows] == published.roles
    if published.rationale is not None:
        assert [row.rationale for row in rows] == published.rationale
    if published.answers is not None:
        assert [row.answer for row in rows] == published.answers
    assert len({row.id for row in rows}) == len(rows)


@pytest.mark.parametrize("name", SETS)
def test_a_published_set_is_recognised_and_read(name, tmp_path):
    check(opened(write(tmp_path, SETS[name].files), SETS[name]), SETS[name])


@pytest.mark.parametrize("name", SETS)
def test_a_published_set_is_read_from_the_hub(name, tmp_path, hub):
    hub.add_files("org/set", SETS[name].files)
    check(opened("org/set", SETS[name]), SETS[name])


def test_every_dialect_has_a_set():
    assert {published.dialect for published in SETS.values()} | {"captions"} == set(DIALECTS.own)
