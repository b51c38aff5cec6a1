"""Conda files: YAML or JSON goes in, indented JSON comes out, and nothing in it changes its meaning."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from reconciler.providers.azureml.emulator.answers import Refused
from reconciler.providers.azureml.emulator.conda import parse_conda, spell_conda


def rewritten(text: str) -> str:
    return spell_conda(parse_conda(text))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 3.10", '{\n  "a": 3.10\n}'),
        ("a: -0.50", '{\n  "a": -0.50\n}'),
        ("a: 1e3", '{\n  "a": 1e3\n}'),
        ("a: 3", '{\n  "a": 3\n}'),
        ("a: '3.10'", '{\n  "a": "3.10"\n}'),
        ("a: .5", '{\n  "a": ".5"\n}'),
        ("a: .inf", '{\n  "a": ".inf"\n}'),
        ("a: 010", '{\n  "a": "010"\n}'),
        ("a: 1:30", '{\n  "a": "1:30"\n}'),
        ("a: 2020-01-01", '{\n  "a": "2020-01-01"\n}'),
        ("a: on", '{\n  "a": "on"\n}'),
        ("a: true", '{\n  "a": true\n}'),
        ("a: ~", '{\n  "a": null\n}'),
        ("a:", '{\n  "a": null\n}'),
        ("3.10: a", '{\n  "3.10": "a"\n}'),
        ("1: a", '{\n  "1": "a"\n}'),
        ("a: é", '{\n  "a": "é"\n}'),
        ('{"a": "\\ud83d\\ude00"}', '{\n  "a": "😀"\n}'),
        ("a: []\nb: {}", '{\n  "a": [],\n  "b": {}\n}'),
        ("a: &x [1]\nb: *x", '{\n  "a": [\n    1\n  ],\n  "b": [\n    1\n  ]\n}'),
        ("b: {<<: {c: 1}, d: 2}", '{\n  "b": {\n    "c": 1,\n    "d": 2\n  }\n}'),
        ("b: 1\na: 2", '{\n  "b": 1,\n  "a": 2\n}'),
        ("{}", "{}"),
        ("", ""),
        (" \n", ""),
    ],
)
def test_each_scalar_keeps_its_meaning_and_its_spelling(text: str, found: str) -> None:
    """And what came out is rewritten to itself."""
    assert rewritten(text) == found
    assert rewritten(found) == found


def test_what_comes_out_is_json_that_says_the_same() -> None:
    """To any reader of JSON and of YAML."""
    text = "channels: [conda-forge]\ndependencies:\n- python=3.10\n- pip:\n  - 'a  # no comment'\nname: x\n"
    assert json.loads(rewritten(text)) == yaml.safe_load(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "- a",
        "text",
        "a: *nothing",
        "a: &a [*a]",
        "!!python/object/apply:os.system [x]",
        "a: !own b",
        "a: \x00",
        "? [a]\n: b",
        "a: " + "[" * 5000,
        '{"a": ' * 40 + "1" + "}" * 40,
    ],
)
def test_what_is_no_conda_file_is_refused(text: str) -> None:
    """400, whatever it is."""
    with pytest.raises(Refused) as caught:
        rewritten(text)
    assert caught.value.answer.status == 400


def test_a_few_aliases_cannot_stand_for_gigabytes() -> None:
    """They are given up on before they are written out."""
    lines: list[Any] = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for above, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{above}'] * 9)}]")
    with pytest.raises(Refused):
        rewritten("\n".join(lines))
