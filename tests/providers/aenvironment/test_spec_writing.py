"""From what is live to a spec: what comes out is read as what went in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rtoml
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.attributes import ID, REF
from reconciler.core.ports import Place, SpecWriting
from reconciler.providers.aenvironment import PLUGIN, api, conversion
from reconciler.providers.aenvironment.kinds import KINDS, STATUSES
from reconciler.providers.aenvironment.spec.document import DEPLOY_KEYS, SERVICE_KEYS
from reconciler.specs.writing import spec_text

PLACE = Place("aenv", "demo", Path(), Path())

texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=10)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
tables = st.none() | st.dictionaries(texts | st.sampled_from(["$ref", "build_policy"]), values, max_size=3)
amounts = st.sampled_from(["1", "500m", "4Gi", "much", ""])
deployments = st.none() | st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(DEPLOY_KEYS, texts),
        **dict.fromkeys(("cpu", "memory", "ephemeralStorage", "cpuRequest", "memoryLimit"), amounts),
        "cpu_request": amounts,
        "imagePrefix": texts,
        "podTemplate": st.sampled_from(["singleContainer", "Default", "own"]),
        "environmentVariables": st.dictionaries(
            st.sampled_from(["A", "B", "no good"]), texts | st.integers(), max_size=3
        ),
        "environment_variables": st.dictionaries(st.just("A"), texts, max_size=1),
        "service": st.fixed_dictionaries(
            {},
            optional={
                "replicas": st.integers(-1, 3),
                "port": st.integers(0, 70000),
                "enableStorage": st.booleans(),
                "storageSize": amounts,
                "storageName": texts,
                "unheard": values,
            },
        ),
        "unheardOf": values,
    },
)
artifacts = st.none() | st.lists(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["image", "image", "data", "Image", ""]),
            "content": st.sampled_from(["r.example.com/d:1", "a b", ""]),
        },
        optional={"id": st.sampled_from(["", "7"])},
    ),
    max_size=3,
)
entries = st.fixed_dictionaries(
    {"name": st.just("demo"), "version": st.just("1.0.0"), "status": st.integers(0, 10)},
    optional={
        "description": texts,
        "tags": st.none() | st.lists(texts, max_size=3),
        "code_url": texts,
        "artifacts": artifacts,
        "build_config": tables,
        "test_config": tables,
        "deploy_config": deployments,
    },
)
shown = st.fixed_dictionaries(
    {
        "id": st.just("demo"),
        "replicas": st.integers(0, 3),
        "service_url": st.sampled_from(["", "demo.svc:8081"]),
    },
    optional={
        "owner": texts,
        "environment_variables": st.none() | st.dictionaries(texts, texts, max_size=3),
        "pvc_name": st.sampled_from(["", "data"]),
    },
)


def written(kind: str, attributes: Mapping[str, Any]) -> SpecWriting:
    """The spec of these attributes."""
    return PLUGIN.write_spec(kind, attributes, PLACE)


def read(kind: str, table: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes that a table gives once it stood in a file."""
    reading = PLUGIN.read_spec(kind, rtoml.loads(spec_text(table)), PLACE)
    assert reading.problems == ()
    return reading.drafts[0].attributes


def meaning(kind: str, attributes: Mapping[str, Any], without: set[str]) -> dict[str, Any]:
    """What attributes mean: absence is the default, and what is left out is not looked at."""
    said = {key: value for key, value in attributes.items() if value is not None}
    return {key: value for key, value in {**KINDS[kind].defaults, **said}.items() if key not in without}


def comes_back(kind: str, attributes: Mapping[str, Any]) -> SpecWriting:
    """The spec of *attributes*, which means the same; and the spec of that, which says no less."""
    spec = written(kind, attributes)
    left = {str(one.path[0]) for one in spec.left_out}
    assert all(one.summary for one in spec.left_out)
    again = read(kind, spec.table)
    assert meaning(kind, again, left) == meaning(kind, attributes, left)
    assert written(kind, again).table == spec.table
    return spec


@settings(deadline=None, max_examples=300)
@given(entries)
def test_an_environment_comes_back_as_it_was(body: dict[str, Any]) -> None:
    """Whatever EnvHub may hold: the same, or left out by name."""
    comes_back("environment", conversion.environment_from_wire(msgspec.convert(body, api.EnvironmentEntry)))


@settings(deadline=None, max_examples=150)
@given(shown)
def test_a_service_comes_back_as_far_as_it_is_shown(body: dict[str, Any]) -> None:
    """What is never shown is said, since a new service in its place would come without."""
    entry = msgspec.convert({"status": "Running", **body}, api.ServiceEntry)
    spec = comes_back("service", conversion.service_from_wire(entry, "notes@2.0.1"))
    assert spec.table["environment"] == "notes@2.0.1"
    named = {str(one.path[0]) for one in spec.left_out}
    assert named >= ({"cpu", "storage_name"} if body.get("pvc_name") else {"cpu"})


def test_a_spec_says_it_in_its_own_words() -> None:
    """``deployConfig`` in snake_case, and nothing that is usual."""
    attributes = {
        "name": "notes",
        "version": "2.0.1",
        "status": "Ready",
        "tags": ["linux"],
        "image": "r.example.com/notes:2",
        "image_id": "",
        "artifacts": [],
        "build_config": {"dockerfile": "./Dockerfile"},
        "deploy_config": {
            "cpu": "1",
            "ephemeralStorage": "5Gi",
            "environmentVariables": {"LEVEL": "info"},
            "service": {"enableStorage": True, "storageSize": "10Gi", "replicas": 1},
            "ourOwn": {"keepThis": 1},
        },
    }
    assert comes_back("environment", {k: v for k, v in attributes.items() if v not in ("", [])}).table == {
        "name": "notes",
        "version": "2.0.1",
        "tags": ["linux"],
        "image": "r.example.com/notes:2",
        "build_config": {"dockerfile": "./Dockerfile"},
        "environment_variables": {"LEVEL": "info"},
        "deploy_config": {
            "cpu": "1",
            "ephemeral_storage": "5Gi",
            "service": {"enable_storage": True, "storage_size": "10Gi", "replicas": 1},
            "ourOwn": {"keepThis": 1},
        },
    }


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_comes_back(status: str) -> None:
    """A released one as a release; the usual one unsaid."""
    spec = comes_back("environment", {"name": "demo", "version": "1", "status": status})
    usual, released = status == "Ready", status == "Released"
    assert spec.table.get("status") == (None if usual or released else status)
    assert spec.table.get("release", False) == released


@pytest.mark.parametrize("known", [DEPLOY_KEYS, SERVICE_KEYS])
def test_every_known_key_of_a_config_has_a_word(known: tuple[str, ...]) -> None:
    """In snake_case, and read as the key that it was."""
    block = {
        key: "1"
        for key in known
        if key not in ("environmentVariables", "service", "podTemplate", *SERVICE_KEYS)
    }
    config = (
        {"service": {"replicas": 2, "port": 1, "enableStorage": False}} if known is SERVICE_KEYS else block
    )
    spec = comes_back("environment", {"name": "demo", "version": "1", "deploy_config": config})
    assert spec.left_out == ()
    assert all(key == key.lower() for key in spec.table["deploy_config"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("build_config", {"list": [1, None]}),
        ("test_config", {"n": 2**60}),
        ("deploy_config", {"environment_variables": {"A": "1"}}),
        ("deploy_config", {"cpu": 1}),
        ("status", "42"),
        ("artifacts", [{"id": "", "type": "Image", "content": "x"}]),
    ],
)
def test_what_a_spec_cannot_say_is_left_out(field: str, value: Any) -> None:
    """With its name and why; the rest is said."""
    live = {"name": "demo", "version": "1", "tags": ["linux"], field: value}
    spec = comes_back("environment", live)
    assert [one.path[0] for one in spec.left_out] == [field]
    assert spec.table == {"name": "demo", "version": "1", "tags": ["linux"]}


def test_what_a_record_remembers_of_a_service_is_said() -> None:
    """Its volume, its limits and what is for us alone."""
    record = {
        "name": "notes",
        "environment": {REF: "aenv.environment.notes"},
        "replicas": 1,
        "port": 8081,
        "storage_name": "data",
        "storage_size": "10Gi",
        "mount_path": "/data",
        "cpu_request": "500m",
        "delete_storage": True,
        "ready_timeout": 0,
    }
    spec = comes_back("service", record)
    assert spec == SpecWriting(
        {**{k: v for k, v in record.items() if k != "replicas"}, "environment": "notes"}
    )
    assert comes_back("service", {**record, "environment": {ID: "a@1"}}).table["environment"] == "a@1"
