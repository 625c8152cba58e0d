"""YAML and JSON from others: what is small stays small, and what is doubled is told."""

import pytest
import yaml

from toolkit.errors import SourceError
from toolkit.parsing import load_json, load_record, load_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "200,000 values"),
        ("[" * 3_000, "levels|depth"),
        ("a: 1\nb: 2\na: 3", "'a' stands twice"),
        ("when: 2026-13-45", "month must be"),
        ("n: " + "9" * 5_000, "a number of 5,000 letters"),
        ("n: " + "1:" * 200_000 + "1", "a number of 400,001 letters"),
        ("n: 1" + "0" * 2_000 + ".5", "a number of"),
        ("a: &a [*a]", "lies within what it names"),
        ("a: &a {b: {c: *a}}", "lies within what it names"),
        ("\xff\xfe\xfd", "utf-8"),
        ("a: !!bool maybe", "not of the kind its tag says"),
        ("a: !!int ''", "not of the kind its tag says"),
        ("a: !!float ''", "not of the kind its tag says"),
        ("a: !!timestamp soon", "not of the kind its tag says"),
        ("a: !!float x", "could not convert"),
        ("a: !!binary x", "base64"),
    ],
)
def test_yaml_that_would_take_for_ever_or_says_two_things_is_an_error(text, said):
    with pytest.raises(yaml.YAMLError, match=said):
        load_yaml(text.encode("latin-1"))


def test_yaml_with_aliases_and_merged_keys_is_read_as_it_says():
    text = b"\xef\xbb\xbfbase: &base {a: 1, b: 2}\nmine: {<<: *base, b: 3}\nlist: [*base, *base]"
    base = {"a": 1, "b": 2}
    assert load_yaml(text) == {"base": base, "mine": {"a": 1, "b": 3}, "list": [base, base]}


def test_json_is_read_or_is_a_value_error():
    assert load_json('{"a": [1]}') == {"a": [1]}
    with pytest.raises(ValueError, match="too deeply"):
        load_json("[" * 100_000)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"a": ', "a.jsonl: line 2: not JSON .*; expected an object"),
        (b"\xff", "a.jsonl: line 2: not JSON"),
        ("[" * 100_000, "a.jsonl: line 2: not JSON .*too deeply"),
        ("[1]", "a.jsonl: line 2: list; expected an object"),
    ],
)
def test_a_record_that_is_no_object_is_named_with_its_place(text, said):
    assert load_record(b'{"a": 1}', "a.jsonl: line 1") == {"a": 1}
    with pytest.raises(SourceError, match=said):
        load_record(text, "a.jsonl: line 2")
