"""JSON Schema for editors: it accepts what ``validate`` accepts, and marks what nobody knows."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import rtoml
from harness import CONFIG
from jsonschema import Draft202012Validator

from reconciler.providers import discover
from reconciler.specs.schema import config_schema, spec_schema

ROOT = Path(__file__).parents[2]
STACKS = sorted(path.parent for path in ROOT.glob("states/*/reconciler.toml"))
SPECS = sorted(path for stack in STACKS for path in stack.rglob("*.toml") if path.name != "reconciler.toml")


@pytest.fixture(scope="module")
def spec() -> Draft202012Validator:
    """The schema of specs."""
    return Draft202012Validator(spec_schema(discover()))


@pytest.fixture(scope="module")
def config() -> Draft202012Validator:
    """The schema of ``reconciler.toml``."""
    return Draft202012Validator(config_schema(discover()))


def test_they_are_schemas_of_the_dialect_that_they_name(
    spec: Draft202012Validator, config: Draft202012Validator
) -> None:
    """Valid themselves, and every reference inside leads somewhere."""
    for found in (spec, config):
        assert found.schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        Draft202012Validator.check_schema(found.schema)
        names = set(found.schema["$defs"])
        assert references(found.schema) <= {f"#/$defs/{name}" for name in names}


def references(schema: Any) -> set[str]:
    """Every ``$ref`` in a schema."""
    if isinstance(schema, dict):
        own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
        return own.union(*map(references, schema.values()))
    return set().union(*map(references, schema)) if isinstance(schema, list) else set()


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_every_spec_of_this_repository_fits(spec: Draft202012Validator, path: Path) -> None:
    """As it is, and no more with a key that nobody knows, at the top or on a platform."""
    table = rtoml.loads(path.read_text())
    assert list(spec.iter_errors(table)) == []
    for place in ((), ("on",), ("on", "runai"), ("lifecycle",), ("compute",), ("readiness_probe",)):
        changed = copy.deepcopy(table)
        here = changed
        for key in place:
            here = here.setdefault(key, {})
        here["hologram"] = 1
        assert list(spec.iter_errors(changed)) != []


@pytest.mark.parametrize("stack", STACKS, ids=lambda path: path.name)
def test_every_stack_of_this_repository_fits(config: Draft202012Validator, stack: Path) -> None:
    """The same for ``reconciler.toml``."""
    table = rtoml.loads((stack / "reconciler.toml").read_text())
    assert list(config.iter_errors(table)) == []
    for place in ((), ("stack",), ("platforms", "runai"), ("policy",), ("apply",), ("state",)):
        changed = copy.deepcopy(table)
        here = changed
        for key in place:
            here = here.setdefault(key, {})
        here["hologram"] = 1
        assert list(config.iter_errors(changed)) != []


GOOD = {
    "words of the guides": """
        image = "python:3.11"
        image_pull_policy = "if not present"
        workload_types = ["Training"]
        workload_architecture = "Distributed"
        distributed_framework = "TensorFlow"
        tools = ["jupyter", { type = "VS Code", connection = "External URL" }]
        args = ["a", "b"]
        uid_gid_source = "From the IdP token"
        supplemental_groups = "100,200"
        on.runai.scope = "account"
    """,
    "variables of every kind": """
        image = "python:3.11"
        [environment_variables]
        A = "x"
        B = 5
        C = true
        D = { credential = "hub", key = "token" }
        E = { value = "", instructions = "why" }
        [on.runai]
        scope = "project"
        scope_id = 4501234
    """,
    "a table in two places": """
        image = "python:3.11"
        inference_endpoint.serving_port = 8000
        on.runai.inference_endpoint.protocol = "grpc"
        on.runai.scope = "tenant"
    """,
    "a pattern": 'image = "python:3.11"',
    "a copy of a credential": """
        extends = "hub"
        data = { token = { command = ["pass", "show", "hub"] } }
        on.runai.scope = "tenant"
    """,
    "a copy with a kind": 'extends = "hub"\nkind = "credential"\nuser = "u"',
    "a compute asset": 'kind = "compute"\ngpu = 1\nmemory = "64Gi"\non.runai.scope = "tenant"',
    "what every spec may have": """
        name = "lab"
        depends_on = ["runai.environment.x"]
        image = "python:3.11"
        on.runai = { scope = "tenant", ignore = ["compute"] }
        [lifecycle]
        prevent_destroy = true
        create_before_destroy = true
        adopt = true
        ignore_changes = ["image"]
    """,
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_what_validate_accepts_is_accepted(spec: Draft202012Validator, text: str) -> None:
    """An editor must not mark what is right."""
    assert [error.message for error in spec.iter_errors(rtoml.loads(text))] == []


BAD = {
    "a kind that does not exist": 'kind = "hologram"',
    "a field of another kind": 'kind = "compute"\nimage = "python:3.11"',
    "a field of no kind, in a copy": 'extends = "a"\nhologram = 1',
    "a secret in plain text": 'kind = "credential"\ntype = "password"\npassword = "x"',
    "a wrong type": "image = 3",
    "a port that does not exist": 'tools = [{ type = "custom", container_port = 70000 }]',
    "a null": "{}",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_validate_refuses_by_its_form_is_refused(spec: Draft202012Validator, text: str) -> None:
    """As far as one file alone can be told to be wrong."""
    table = {"image": None} if text == "{}" else rtoml.loads(text)
    assert not spec.is_valid(table)


def test_settings_of_a_platform_go_by_its_provider(config: Draft202012Validator) -> None:
    """What must be there, what may be, and that the provider exists."""
    good = rtoml.loads(CONFIG)
    assert config.is_valid(good)
    for change in ({"provider": "hologram"}, {"endpoint": 3}, {"hologram": 1}, {"client_secret": "x"}):
        changed = copy.deepcopy(good)
        changed["platforms"]["runai"].update(change)
        assert not config.is_valid(changed), change
    for missing in ("provider", "endpoint"):
        changed = copy.deepcopy(good)
        del changed["platforms"]["runai"][missing]
        assert not config.is_valid(changed), missing
    assert not config.is_valid({**good, "platforms": {}})


def test_two_providers_share_one_schema(stack) -> None:
    """Fields of both, each as either describes it; what they refer to by one name stays apart."""
    stack.with_boxes()

    class Twin:
        """A provider whose definitions have the names of the other's, and say something else."""

        def __getattr__(self, name: str) -> Any:
            return getattr(stack.plugins["boxes"], name)

        def spec_schema(self, kind: str) -> dict[str, Any]:
            return {
                "properties": {"tools": {"$ref": "#/$defs/Tool"}, "image": {"type": "integer"}},
                "$defs": {"Tool": {"type": "number"}},
            }

    schema = spec_schema({"runai": stack.plugins["runai"], "twin": Twin()})
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for text in (
        'image = "python:3.11"\ntools = ["jupyter"]',
        "image = 3\ntools = 3",
        'kind = "key"\ntools = 3',
    ):
        assert list(validator.iter_errors(rtoml.loads(text))) == []
    for text in ("image = 1.5", "tools = true", 'kind = "key"\ntools = ["jupyter"]'):
        assert not validator.is_valid(rtoml.loads(text))


def test_the_same_schema_every_time() -> None:
    """It is kept in repositories."""
    for make in (spec_schema, config_schema):
        assert json.dumps(make(discover())) == json.dumps(make(discover()))
