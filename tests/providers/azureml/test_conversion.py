"""Wire and attributes: what the live service was recorded to answer, read by its meaning, and sent back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from workspaces import wanted

from reconciler.core.attributes import Attributes
from reconciler.providers.azureml import api, conversion

RECORDED = Path(__file__).parent / "recorded"
NO_CONDA: tuple[Any, ...] = (None, "", "  \n", "null", "{}")


def recorded(name: str) -> list[dict[str, Any]]:
    """Requests to the live service, and answers. Source: the recordings of azure-ai-ml's own tests."""
    found = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    assert isinstance(found, list)
    return found


def read(body: dict[str, Any], name: str = "lab") -> dict[str, Any]:
    """The attributes of a version's body."""
    return conversion.attributes_of(name, body["name"], body["properties"])


def conda(text: Any) -> Any:
    """What a conda file of this text says."""
    return conversion.attributes_of("lab", "1", {"condaFile": text})["conda"]


PUTS = [
    (name, number)
    for name in ("archive_and_restore", "build_context", "create", "minimal")
    for number, one in enumerate(recorded(name))
    if one["method"] == "PUT"
]


@pytest.mark.parametrize(("name", "number"), PUTS)
def test_what_was_recorded_reads_as_it_was_sent(name: str, number: int) -> None:
    """YAML that came back as JSON, nulls, absent fields, an operating system that nobody named."""
    one = recorded(name)[number]
    sent = conversion.attributes_of("lab", one["responseBody"]["name"], one["requestBody"]["properties"])
    assert read(one["responseBody"]) == sent


def test_the_smallest_environment_has_every_attribute() -> None:
    """All that was not sent is there as its default."""
    assert read(recorded("minimal")[0]["responseBody"], "env") == {
        "name": "env",
        "version": "1",
        "image": "mcr.microsoft.com/azureml/openmpi3.1.2-ubuntu18.04",
        "conda": None,
        "build": None,
        "inference_config": None,
        "os_type": "Linux",
        "auto_rebuild": "Disabled",
        "description": "",
        "tags": {},
        "properties": {},
        "stage": None,
    }


def test_archiving_sends_what_the_vendors_client_sends() -> None:
    """The definition as GET returned it, and nothing that only the service may say."""
    entries = recorded("archive_and_restore")
    shown = next(one for one in entries if one["method"] == "GET" and "name" in one["responseBody"])
    archiving = [one["requestBody"] for one in entries if one["method"] == "PUT"][2]["properties"]
    ours = conversion.put_back(shown["responseBody"]["properties"], archived=True)
    assert ours == archiving


@pytest.mark.parametrize("text", NO_CONDA)
def test_an_empty_conda_file_is_none(text: Any) -> None:
    """In each spelling of nothing."""
    assert conda(text) is None


def test_a_conda_file_is_what_it_says() -> None:
    """YAML or JSON, keys in any order, anchors written out."""
    yaml = "name: x\nchannels: &c\n- conda-forge\ndependencies:\n- python=3.10\n- pip:\n  - numpy\nmore: *c\n"
    table = {
        "more": ["conda-forge"],
        "dependencies": ["python=3.10", {"pip": ["numpy"]}],
        "channels": ["conda-forge"],
        "name": "x",
    }
    assert conda(json.dumps(table)) == conda(json.dumps(table, indent=2)) == table
    plain = yaml.replace(" &c", "").replace("more: *c", "more:\n- conda-forge")
    assert conda(plain) == table


@pytest.mark.parametrize("text", ["just words", "- a\n- list", "a: [", "a: 1\na: 2", "[1]"])
def test_a_conda_file_that_is_none_equals_nothing_of_ours(text: str) -> None:
    """It is shown as it is, and differs from whatever a spec says."""
    assert conda(text) == text


@pytest.mark.parametrize(
    "uri",
    [
        "https://acct.blob.core.windows.net/c/LocalUpload/1/x/",
        "https://acct.blob.core.windows.net/c/LocalUpload/1/x",
        "https://acct.blob.core.windows.net:443/c/LocalUpload/1/x/",
        "https://ACCT.blob.core.windows.net/c/LocalUpload/1/x/",
    ],
)
def test_a_build_context_has_one_address(uri: str) -> None:
    """However the service spells it."""
    assert conversion.context_address(uri) == "https://acct.blob.core.windows.net/c/LocalUpload/1/x/"


@pytest.mark.parametrize(
    "uri", ["https://git.example.com/team/repo.git", "https://git.example.com/r#main:x", "git@example.com:x"]
)
def test_a_repository_stays_as_it_is(uri: str) -> None:
    """It is no directory in blob storage."""
    assert conversion.context_address(uri) == uri


def test_a_dockerfile_has_a_default_name() -> None:
    """Absent and said are the same."""
    build = {"contextUri": "https://a.example.com/c/"}
    shown = {"context_uri": "https://a.example.com/c/", "dockerfile": "Dockerfile"}
    for more in ({}, {"dockerfilePath": None}, {"dockerfilePath": "Dockerfile"}):
        assert conversion.attributes_of("lab", "1", {"build": build | more})["build"] == shown


def test_a_digest_is_of_the_meaning() -> None:
    """Words do not count, nor does the spelling of a default; everything of the definition does."""
    one = conversion.definition_digest(wanted())
    assert one == conversion.definition_digest(wanted("other", "9", description="x", os_type=None))
    changes: list[dict[str, Any]] = [
        {"image": "x"},
        {"conda": None},
        {"build": {"context_uri": "https://a.example.com/c/", "dockerfile": "D"}},
        {"inference_config": {"scoring_route": {"path": "/", "port": 1}}},
        {"os_type": "Windows"},
        {"auto_rebuild": "OnBaseImageUpdate"},
    ]
    others = {conversion.definition_digest(wanted(**change)) for change in changes}
    assert len(others | {one}) == len(changes) + 1


def test_what_is_not_known_is_kept() -> None:
    """Members of a newer API, on a change in place and in a new version; the service's own properties too."""
    shown = {
        "image": "a",
        "condaFile": "",
        "future": {"a": 1},
        "isArchived": False,
        "environmentType": "UserCreated",
        "provisioningState": "Succeeded",
        "properties": {"azureml.labels": "latest", "mine": "1"},
        "tags": {"a": None},
    }
    assert conversion.attributes_of("lab", "1", shown)["properties"] == {"mine": "1"}
    assert conversion.attributes_of("lab", "1", shown)["tags"] == {"a": ""}
    back = conversion.with_mutable(conversion.put_back(shown), {"properties": {"new": "2"}})
    assert back["future"] == {"a": 1}
    assert back["properties"] == {"azureml.labels": "latest", "new": "2"}
    assert not back.keys() & {"environmentType", "provisioningState"}
    new = conversion.new_version(wanted(properties={"x": "1"}), shown)
    assert new["future"] == {"a": 1}
    assert new["properties"] == {"azureml.labels": "latest", "x": "1"}
    assert not new.keys() & {"environmentType", "provisioningState"}


def test_a_change_in_place_says_all_that_can_be_changed() -> None:
    """What a PUT leaves out may be cleared: it is sent again, and None clears."""
    shown = {"image": "a", "description": "old", "tags": {"a": "1"}, "stage": "Dev", "isArchived": True}
    changed = conversion.with_mutable(conversion.put_back(shown), Attributes({"tags": {"b": "2"}}))
    assert changed == {**shown, "tags": {"b": "2"}, "properties": {}}
    cleared = conversion.with_mutable(
        conversion.put_back(shown), {"description": None, "tags": None, "properties": None, "stage": None}
    )
    assert cleared == {"image": "a", "isArchived": True, "description": "", "tags": {}, "properties": {}}


# --- references ----------------------------------------------------------------------------------------

ROOT = "subscriptions/s/resourcegroups/g/providers/microsoft.machinelearningservices/workspaces/w"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("azureml:lab:1", ("", "lab", "1")),
        ("azureml:lab@latest", ("", "lab", "")),
        (
            "/subscriptions/S/resourceGroups/G/providers/Microsoft.MachineLearningServices/workspaces/W"
            "/environments/Lab/versions/V1",
            (ROOT, "Lab", "V1"),
        ),
        (f"azureml:/{ROOT}/environments/lab/versions/1", (ROOT, "lab", "1")),
        ("azureml://registries/Shared/environments/lab/versions/1", ("registries/shared", "lab", "1")),
        ("azureml://registries/Shared/environments/lab/labels/latest", ("registries/shared", "lab", "")),
        (
            "azureml://locations/eastus/workspaces/ABC-1/environments/lab/versions/1",
            ("workspaces/abc-1", "lab", "1"),
        ),
        ("lab:1", None),
        ("azureml:lab", None),
        ("python:3.11", None),
        ("azureml:/subscriptions/s/models/m/versions/1", None),
        ("", None),
    ],
)
def test_a_reference_is_understood_in_each_form(text: str, found: tuple[str, str, str] | None) -> None:
    """Case-insensitive up to the workspace, exact in name and version."""
    assert api.reference(text) == (None if found is None else api.Reference(*found))
