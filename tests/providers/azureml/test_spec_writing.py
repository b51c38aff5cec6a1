"""From what is live to a spec: what comes out is read as what went in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import rtoml
from hypothesis import given, settings
from hypothesis import strategies as st
from workspaces import LATEST

from reconciler.core.ports import Place, SpecWriting
from reconciler.providers.azureml import PLUGIN, conversion
from reconciler.providers.azureml.kinds import ENVIRONMENT
from reconciler.specs.writing import spec_text

PLACE = Place("azureml", "lab", Path(), Path())
BLOBS = "https://account.blob.core.windows.net/container/LocalUpload"

texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=12)
words = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
packages = st.one_of(
    st.sampled_from(
        ["python=3.12", "conda-forge::numpy", "pip", "numpy >=2,<3", "x - y", "", "git+https://a:b@c"]
    ),
    words,
)
pip = st.fixed_dictionaries(
    {"pip": st.lists(st.sampled_from(["torch==2.2", "-r other.txt", "https://u:p@e.example.com/x.whl"]))}
)
condas = st.fixed_dictionaries(
    {"dependencies": st.lists(packages | pip, max_size=4)},
    optional={
        "name": texts,
        "channels": st.lists(
            st.sampled_from(["conda-forge", "nvidia", "https://e.example.com/t/s3cret-s3cret/x"])
        ),
        "variables": st.dictionaries(words, texts | st.integers() | st.booleans() | st.none(), max_size=2),
        "prefix": st.none() | texts,
    },
)
routes = st.fixed_dictionaries(
    {}, optional={"path": st.sampled_from(["/score", "score"]), "port": st.integers(0, 70000)}
)
uris = st.sampled_from(
    [
        f"{BLOBS}/1",
        f"{BLOBS}/1/",
        f"{BLOBS}/1?sig=abcdef",
        "https://git.example.com/team/repo.git#main:folder",
        "http://plain.example.com/x",
        "azureml://datastores/x/paths/y",
        "folder",
    ]
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "image": st.sampled_from(
            ["python:3.11", "r.example.com/base@sha256:" + "0" * 64, "not an image", ""]
        ),
        "condaFile": condas.map(json.dumps) | st.sampled_from(["", "[", "a: 1"]),
        "build": st.fixed_dictionaries(
            {"contextUri": uris}, optional={"dockerfilePath": st.sampled_from(["Dockerfile", "d/Dockerfile"])}
        ),
        "inferenceConfig": st.fixed_dictionaries(
            {}, optional={"livenessRoute": routes, "scoringRoute": routes}
        ),
        "osType": st.sampled_from(["Linux", "Windows", "Plan9"]),
        "autoRebuild": st.sampled_from(["Disabled", "OnBaseImageUpdate"]),
        "description": texts,
        "tags": st.dictionaries(texts | st.just("$ref"), texts, max_size=3),
        "properties": st.dictionaries(texts | st.just("azureml.x"), texts, max_size=2),
        "stage": st.none() | texts,
    },
)


def read(table: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that a table gives once it stood in a file."""
    reading = PLUGIN.read_spec("environment", rtoml.loads(spec_text(table)), PLACE)
    assert reading.problems == ()
    return dict(reading.drafts[0].attributes)


def meaning(attributes: Mapping[str, Any], without: set[str]) -> dict[str, Any]:
    """What attributes mean: absence is the default, and what is left out is not looked at."""
    said = {key: value for key, value in attributes.items() if value is not None}
    whole = {"stage": None, **ENVIRONMENT.defaults, **said}
    return {key: value for key, value in whole.items() if key not in without}


def comes_back(attributes: Mapping[str, Any], versions: str = "explicit") -> SpecWriting:
    """The spec of *attributes*, which means the same; and the spec of that, which leaves nothing out."""
    spec = PLUGIN.write_spec("environment", attributes, PLACE, {"versions": versions})
    left = {str(one.path[0]) for one in spec.left_out}
    assert left.isdisjoint(spec.table)
    assert all(one.summary for one in spec.left_out)
    again = read(spec.table)
    assert meaning(again, left) == meaning(attributes, left)
    second = PLUGIN.write_spec("environment", again, PLACE, {"versions": versions})
    assert (second.left_out, second.table) == ((), spec.table)
    return spec


@settings(deadline=None, max_examples=300)
@given(bodies)
def test_an_environment_comes_back_as_it_was(body: dict[str, Any]) -> None:
    """Whatever the wire can say: the same, or left out by name."""
    attributes = conversion.attributes_of("lab", "7", body)
    spec = PLUGIN.write_spec("environment", attributes, PLACE, {"versions": "explicit"})
    if {"image", "build"} & spec.table.keys():
        comes_back(attributes)
    else:  # there is nothing that it could be made of, and the spec of it says so
        problems = PLUGIN.read_spec("environment", spec.table, PLACE).problems
        assert [one.summary for one in problems] == ["`image` is missing"]


WHOLE = {
    "name": "lab",
    "version": "7",
    "image": "python:3.11",
    "conda": {"channels": ["conda-forge"], "dependencies": ["python=3.11", {"pip": ["torch==2.2"]}]},
    "build": None,
    "inference_config": {"scoring_route": {"path": "/score", "port": 5001}},
    "os_type": "Linux",
    "auto_rebuild": "OnBaseImageUpdate",
    "description": "",
    "tags": {"team": "vision"},
    "properties": {},
    "stage": None,
}


def test_a_spec_says_only_what_is_not_usual() -> None:
    """Packages inline, and nothing that the platform or a spec takes for granted."""
    assert comes_back(WHOLE).table == {
        "name": "lab",
        "version": "7",
        "image": "python:3.11",
        "conda": {"channels": ["conda-forge"], "dependencies": ["python=3.11", {"pip": ["torch==2.2"]}]},
        "inference_config": {"scoring_route": {"path": "/score", "port": 5001}},
        "auto_rebuild": "OnBaseImageUpdate",
        "tags": {"team": "vision"},
    }


@pytest.mark.parametrize("platform", [None, {"versions": "auto"}, {"versions": "hash"}])
def test_a_version_that_the_platform_numbers_is_not_said(platform: dict[str, str] | None) -> None:
    """It is what a spec would have to say that says one."""
    spec = PLUGIN.write_spec("environment", WHOLE, PLACE, platform)
    assert ("version" in spec.table, spec.chosen) == (False, {"version": "7"})
    assert read(spec.table) == {
        **{key: value for key, value in WHOLE.items() if key not in ("properties", "stage")},
        "version": LATEST,
    }


@pytest.mark.parametrize(
    ("dockerfile", "said"),
    [
        ("Dockerfile", f"{BLOBS}/1/"),
        ("d/File", {"path": f"{BLOBS}/1/", "dockerfile_path": "d/File"}),
    ],
)
def test_a_build_context_is_named_by_its_address(dockerfile: str, said: Any) -> None:
    """The files that it was uploaded from are not on the platform under their names."""
    build = {"context_uri": f"{BLOBS}/1/", "dockerfile": dockerfile}
    live = {**WHOLE, "image": None, "conda": None, "build": build}
    assert comes_back(live).table["build"] == said
    record = {**live, "context": {"directory": "train"}}
    spec = PLUGIN.write_spec("environment", record, PLACE)
    assert [one.path for one in spec.left_out] == [("context",)]
    assert spec.table["build"] == said


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("conda", "not: [yaml"),
        ("conda", {"dependencies": ["python=3.12"], "prefix": None}),
        ("conda", {"channels": ["https://u:p@e.example.com/c"], "dependencies": ["python=3.12"]}),
        ("build", {"context_uri": f"{BLOBS}/1/", "dockerfile": "Dockerfile"}),
        ("build", {"context_uri": "tests", "dockerfile": "Dockerfile"}),
        ("os_type", "Plan9"),
        ("tags", {"$ref": "x"}),
        ("inference_config", {"scoring_route": {"path": None, "port": 80}}),
    ],
)
def test_what_a_spec_cannot_say_is_left_out(field: str, value: Any) -> None:
    """With its name and why; the rest is said."""
    live = {**WHOLE, field: value}
    if field == "build":  # which nothing is installed into
        live["conda"] = None
    spec = comes_back(live)
    assert [one.path[0] for one in spec.left_out] == [field]
