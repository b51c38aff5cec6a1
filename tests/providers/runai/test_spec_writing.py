"""From what is live to a spec: what comes out is read as what went in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from providers.runai.test_conversion import computes, metas, requests

from reconciler.core.attributes import ID, REF, SECRET
from reconciler.core.ports import Place, SpecWriting
from reconciler.providers.runai import PLUGIN, conversion
from reconciler.providers.runai.kinds import KINDS

PLACE = Place("runai", "lab", Path(), Path())


def written(kind: str, attributes: Mapping[str, Any]) -> SpecWriting:
    """The spec of these attributes."""
    return PLUGIN.write_spec(kind, attributes, PLACE)


def read(kind: str, table: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes that a table gives."""
    reading = PLUGIN.read_spec(kind, table, PLACE)
    assert reading.problems == ()
    return reading.drafts[0].attributes


def meaning(kind: str, attributes: Mapping[str, Any], without: set[str]) -> dict[str, Any]:
    """What attributes mean: absence is the default, and what is left out or secret is not looked at."""
    rules = KINDS[kind]
    whole = {**rules.defaults, **{key: value for key, value in attributes.items() if value is not None}}
    return {key: value for key, value in whole.items() if key not in without | rules.write_only | {"keys"}}


def comes_back(kind: str, attributes: Mapping[str, Any]) -> SpecWriting:
    """The spec of *attributes*, which means the same; and the spec of that, which leaves nothing out."""
    spec = written(kind, attributes)
    left = {str(one.path[0]) for one in spec.left_out}
    assert left.isdisjoint(spec.table)
    again = read(kind, spec.table)
    assert meaning(kind, again, left) == meaning(kind, attributes, left)
    second = written(kind, again)
    assert (second.left_out, meaning(kind, read(kind, second.table), set())) == (
        (),
        meaning(kind, again, set()),
    )
    return spec


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.filter_too_much])
@given(requests)
def test_an_environment_comes_back_as_it_was(body: dict[str, Any]) -> None:
    """Whatever the wire can say: the same, or left out by name."""
    attributes = conversion.environment_from_wire(body["meta"], body["spec"])
    spec = written("environment", attributes)
    assume("image" in spec.table and not _blocked(spec))
    comes_back("environment", attributes)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.filter_too_much])
@given(metas, computes)
def test_a_compute_asset_comes_back_as_it_was(meta: dict[str, Any], spec: dict[str, Any]) -> None:
    """Amounts, limits and extended resources."""
    attributes = conversion.compute_from_wire(meta, spec)
    assume(not _blocked(written("compute", attributes)))
    comes_back("compute", attributes)


def _blocked(spec: SpecWriting) -> bool:
    """Whether a field that a spec must have cannot be said: then there is no spec, and that is told."""
    return bool(
        {str(one.path[0]) for one in spec.left_out} & {"image", "scope", "scope_id", "name", "workload_types"}
    )


def test_a_spec_says_only_what_is_not_usual() -> None:
    """Nothing that the platform or a spec takes for granted."""
    attributes = {
        "name": "lab",
        "scope": "project",
        "scope_id": "4501234",
        "image": "python:3.11",
        "image_pull_policy": "IfNotPresent",
        "workload_types": ["training", "workspace"],
        "uid_gid_source": "image",
        "host_ipc": False,
        "tools": {
            "Jupyter": {"type": "jupyter-notebook", "connection": "external-url", "container_port": 8888},
            "Board": {
                "type": "tensorboard",
                "connection": "node-port",
                "container_port": 70,
                "custom": True,
            },
            "W": {"type": "wandb", "url": "https://wandb.example.com"},
        },
        "environment_variables": {
            "A": "1",
            "B": {"credential": {REF: "runai.credential.hub"}, "key": "token"},
            "C": {"credential": {ID: "0b6a3f5e-0000-4000-8000-000000000000"}, "key": "k"},
            "D": {"value": "", "instructions": "where to"},
        },
        "inference_endpoint": {
            "protocol": "http",
            "serving_port": 80,
            "name": "endpoint",
            "type": "custom",
        },
        "readiness_probe": {"scheme": "HTTP", "port": 80},
    }
    spec = comes_back("environment", attributes)
    assert spec == SpecWriting(
        {
            "name": "lab",
            "scope": "project",
            "scope_id": 4501234,
            "image": "python:3.11",
            "environment_variables": {
                "A": "1",
                "B": {"credential": "hub", "key": "token"},
                "C": {"credential_id": "0b6a3f5e-0000-4000-8000-000000000000", "key": "k"},
                "D": {"value": "", "instructions": "where to"},
            },
            "tools": [
                "jupyter",
                {
                    "type": "tensorboard",
                    "name": "Board",
                    "connection": "node-port",
                    "container_port": 70,
                    "custom": True,
                },
                {"type": "wandb", "name": "W", "url": "https://wandb.example.com"},
            ],
            "inference_endpoint": {"serving_port": 80},
            "readiness_probe": {"port": 80},
        }
    )


@pytest.mark.parametrize(
    ("field", "value", "at"),
    [
        ("tools", {"x": {"as_is": {"isExternal": True}}}, ("tools", "x")),
        (
            "environment_variables",
            {"x": {"as_is": {"value": "a", "exclude": True}}},
            ("environment_variables", "x"),
        ),
        ("capabilities", ["NET_ADMIN", "NEW_ONE"], ("capabilities",)),
        ("supplemental_groups", ["staff"], ("supplemental_groups",)),
        ("run_as_uid", 1000, ("run_as_uid",)),
        ("readiness_probe", {"period_seconds": 3}, ("readiness_probe",)),
    ],
)
def test_what_a_spec_cannot_say_is_left_out(field: str, value: Any, at: tuple[str, ...]) -> None:
    """With its name and why; the rest is said."""
    attributes = {"name": "lab", "scope": "tenant", "image": "python:3.11", "image_pull_policy": "Always"}
    attributes |= {"workload_types": ["training", "workspace"]}
    spec = written("environment", {**attributes, field: value})
    assert [one.path for one in spec.left_out] == [at]
    assert all(one.summary for one in spec.left_out)
    assert meaning("environment", read("environment", spec.table), set()) == meaning(
        "environment", attributes, set()
    )


CREDENTIALS = {
    "generic-secret": ({"keys": ["a", "token"]}, {"data": {"a": "HUB_A", "token": "HUB_TOKEN"}}),
    "password": ({"user": "ann"}, {"user": "ann", "password": "HUB_PASSWORD"}),
    "docker-registry": (
        {"url": "https://r.example.com", "user": "ann"},
        {"url": "https://r.example.com", "user": "ann", "password": "HUB_PASSWORD"},
    ),
    "access-key": (
        {"access_key_id": "AK"},
        {"access_key_id": "AK", "secret_access_key": "HUB_SECRET_ACCESS_KEY"},
    ),
    "ngc-api-key": ({}, {"ngc_api_key": "HUB_NGC_API_KEY"}),
}


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_a_secret_that_nobody_sees_is_a_reference_to_fill_in(kind: str) -> None:
    """For each secret of each type, named; never a value."""
    shown, expected = CREDENTIALS[kind]
    spec = comes_back("credential", {"name": "hub", "scope": "tenant", "type": kind, **shown})
    secret = KINDS["credential"].write_only

    def referred(key: str, value: Any) -> Any:
        if key not in secret:
            return value
        return {name: {"env": env} for name, env in value.items()} if key == "data" else {"env": value}

    wanted = {key: referred(key, value) for key, value in expected.items()}
    assert spec.table == {"name": "hub", "scope": "tenant", "type": kind, **wanted}
    paths = (
        [("data", name) for name in expected["data"]]
        if kind == "generic-secret"
        else [(key,) for key in expected if key in secret]
    )
    assert list(spec.to_fill) == paths


def test_a_reference_that_is_known_stays() -> None:
    """What a record remembers needs no filling in; a secret of the cluster needs no reference."""
    attributes = {
        "name": "hub", "scope": "tenant", "type": "password", "user": "a", "password": {SECRET: {"file": "x"}}
    }  # fmt: skip
    spec = written("credential", attributes)
    assert (spec.table["password"], spec.to_fill) == ({"file": "x"}, ())
    shared = {"name": "hub", "scope": "tenant", "type": "password", "existing_secret_name": "s"}
    assert written("credential", shared) == SpecWriting(shared)
