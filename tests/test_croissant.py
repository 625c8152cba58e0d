"""Croissant metadata, judged by mlcroissant: no issues, and records with pictures, read without network."""

import copy
import hashlib
import io
import json

import pytest
from PIL import Image

from dataset_card.croissant import CONTEXT, croissant
from tests.installed import when_used
from tests.packed_folder import packed_rows, write_packed
from toolkit.schema import COLUMNS
from toolkit.tasks import TASKS

mlcroissant = when_used("mlcroissant")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:rdflib.*"),  # mlcroissant's own dependencies
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlcroissant.*"),
]

URL = "https://huggingface.co/datasets/org/uv"


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("croissant")
    return folder, croissant(write_packed(folder, packed_rows()), repo_id="org/uv", url=URL)


def plain(value):
    """What mlcroissant yields, as the row has it: text not bytes, field names without the record set."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {name.rpartition("/")[2]: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def changed(jsonld, path, value):
    """A copy with another value at a path, or none where `value` is None."""
    copied = copy.deepcopy(jsonld)
    node = copied
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    if value is None:
        del node[path[-1]]
    return copied


def test_mlcroissant_finds_no_issue(packed):
    folder, jsonld = packed
    issues = mlcroissant.Dataset(jsonld=json.loads(json.dumps(jsonld)), mapping={"repo": folder}).metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())


@pytest.mark.parametrize("task", TASKS)
def test_mlcroissant_yields_every_row_with_its_pictures(packed, task):
    folder, jsonld = packed
    records = list(mlcroissant.Dataset(jsonld=jsonld, mapping={"repo": folder}).records(task))
    rows = packed_rows()[task]
    assert [record[f"{task}/id"] for record in records] == [row.id.encode() for row in rows]
    for record, row in zip(records, rows, strict=True):
        found, expected = plain(record), row.to_dict()
        pictures = found.pop("images")
        assert [(picture.format, picture.tobytes()) for picture in pictures] == [
            _decoded(image.bytes) for image in row.images
        ]
        assert found == {name: value for name, value in expected.items() if name not in ("images", "messages")}


def _decoded(content):
    picture = Image.open(io.BytesIO(content))
    return picture.format, picture.tobytes()


def test_files_are_told_with_the_hashes_and_sizes_they_have(packed):
    folder, jsonld = packed
    files = {
        each["@id"]: each
        for each in jsonld["distribution"]
        if each["@type"] == "cr:FileObject" and each["@id"] != "repo"
    }
    paths = sorted((folder / "data").rglob("*.parquet"))
    assert sorted(files) == [path.relative_to(folder).as_posix() for path in paths]
    for path in paths:
        told = files[path.relative_to(folder).as_posix()]
        content = path.read_bytes()
        assert (told["sha256"], told["contentSize"]) == (hashlib.sha256(content).hexdigest(), f"{len(content)} B")
    assert jsonld["distribution"][0]["sha256"] == hashlib.sha256((folder / "MANIFEST.json").read_bytes()).hexdigest()


def test_every_column_but_messages_is_a_field_and_its_absence_is_told(packed):
    for record_set in packed[1]["recordSet"]:
        assert [field["name"] for field in record_set["field"]] == [name for name in COLUMNS if name != "messages"]
        assert "messages" in record_set["description"]


def test_croissant_is_the_same_twice_and_changes_with_the_content(tmp_path, packed):
    manifest = write_packed(tmp_path, packed_rows(("llava_cot",)))
    first, second = (croissant(manifest, repo_id="org/uv", url=URL) for _ in range(2))
    assert json.dumps(first) == json.dumps(second)
    assert first["version"] != packed[1]["version"]
    assert [each["@id"] for each in first["recordSet"]] == ["llava_cot"]


WRONG = {
    "a field of a file set that is not there": (
        'reference to node with UUID "nowhere"',
        ("recordSet", 0, "field", 0, "source", "fileSet", "@id"),
        "nowhere",
    ),
    "a file set in a repository that is not there": (
        'reference to node with UUID "nowhere"',
        ("distribution", -1, "containedIn", "@id"),
        "nowhere",
    ),
    "a repository without a hash": (r"\['md5', 'sha256'\]", ("distribution", 0, "sha256"), None),
    "a field without a type": ("does not specify a valid .*dataType", ("recordSet", 0, "field", 0, "dataType"), None),
    "a file set without files": ("includes.* is mandatory", ("distribution", -1, "includes"), None),
}


@pytest.mark.parametrize("case", WRONG)
def test_mlcroissant_refuses(packed, case):
    message, path, value = WRONG[case]
    with pytest.raises(mlcroissant.ValidationError, match=message):
        mlcroissant.Dataset(jsonld=changed(packed[1], path, value), mapping={"repo": packed[0]})


def test_a_column_that_is_not_there_yields_no_records(packed):
    folder, jsonld = packed
    wrong = changed(jsonld, ("recordSet", 0, "field", 0, "source", "extract", "column"), "nowhere")
    with pytest.raises(mlcroissant.GenerationError):
        list(mlcroissant.Dataset(jsonld=wrong, mapping={"repo": folder}).records(jsonld["recordSet"][0]["@id"]))


def test_what_is_known_for_responsible_use_is_read_by_mlcroissant(packed):
    metadata = mlcroissant.Dataset(jsonld=packed[1]).metadata
    assert "GPT-4o" in str(metadata.data_collection)
    assert "not stated" in str(metadata.data_limitations)
    assert "Nothing is filtered" in str(metadata.personal_sensitive_information)


def test_what_a_reader_adds_to_the_context_is_not_in_the_next(packed):
    _, first = packed
    mlcroissant.Dataset(jsonld=first)
    first["@context"]["@base"] = "added"
    assert "@base" not in CONTEXT
