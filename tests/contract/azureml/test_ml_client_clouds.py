"""azure-ai-ml's MLClient where it needs a cloud of its own: uploads of build contexts, and registries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.providers.azureml.emulator import Options

pytestmark = pytest.mark.filterwarnings("ignore")


def told(served: Any) -> list[str]:
    """What was asked, in few words. Which file of a context comes last is the directory's affair."""
    lines = []
    for line in served.asked:
        method, _, target = line.partition(" ")
        path, _, query = target.partition("?")
        if "LocalUpload/" in path:
            what = " metadata" if "comp=metadata" in query else ""
            lines.append(f"{method}{what} a file")
        elif "az-ml-artifacts" not in path and "c001" not in path:
            lines.append(f"{method} {path}")
    return lines


def test_a_local_build_context_is_uploaded_once(
    in_a_cloud: Callable[..., Any], served: Any, tmp_path: Path
) -> None:
    """Blob by blob, and then named by its content: the same content has the same address."""
    from azure.ai.ml.entities import BuildContext, Environment

    place = tmp_path / "ctx"
    place.mkdir()
    (place / "Dockerfile").write_text("FROM x\n")
    (place / "wheel.whl").write_bytes(bytes(range(256)))
    client = in_a_cloud(workspace_name="embedded")

    def create(version: str) -> str:
        wanted = Environment(name="ctx", version=version, build=BuildContext(path=str(place)))
        return str(client.environments.create_or_update(wanted).build.path)

    first = create("1")
    asking = ["GET datastores/workspaceblobstore", "POST datastores/workspaceblobstore/listSecrets"]
    assert told(served) == [
        *asking,
        "HEAD a file",
        "PUT a file",
        "PUT a file",
        "PUT metadata a file",
        "PUT environments/ctx/versions/1",
    ]
    assert first.endswith("/ctx/")
    assert create("1") == first
    assert told(served) == [*asking, "HEAD a file", "PUT environments/ctx/versions/1"]
    (place / "Dockerfile").write_text("FROM y\n")
    assert create("2") != first
    blobs = served.store.rows("SELECT name, content FROM azureml_blob")
    assert sorted((name.rpartition("/")[2], content) for name, content in blobs) == [
        ("Dockerfile", b"FROM x\n"),
        ("Dockerfile", b"FROM y\n"),
        ("wheel.whl", bytes(range(256))),
        ("wheel.whl", bytes(range(256))),
    ]


@pytest.mark.parametrize("served", [Options(datastore_tells="key")], indirect=True)
def test_it_is_uploaded_with_the_key_of_the_account_where_that_is_told(
    in_a_cloud: Callable[..., Any], served: Any, tmp_path: Path
) -> None:
    """The storage client signs each request; the platform checks it."""
    from azure.ai.ml.entities import BuildContext, Environment

    (tmp_path / "ctx").mkdir()
    (tmp_path / "ctx" / "Dockerfile").write_text("FROM x\n")
    wanted = Environment(name="ctx", version="1", build=BuildContext(path=str(tmp_path / "ctx")))
    in_a_cloud(workspace_name="embedded").environments.create_or_update(wanted)
    assert served.store.rows("SELECT content FROM azureml_blob") == [(b"FROM x\n",)]


@pytest.mark.parametrize("served", [Options(operation_seconds=0.02)], indirect=True)
def test_a_registry_is_written_and_read(in_a_cloud: Callable[..., Any], served: Any) -> None:
    """By its other door: found, written to the end of the operation, read by version and by label."""
    from azure.ai.ml.entities import Environment
    from azure.core.exceptions import HttpResponseError

    client = in_a_cloud(registry_name="embedded-registry")
    wanted = Environment(name="env", version="1", image="example.com/base:1", description="d")
    made = client.environments.create_or_update(wanted)
    assert made.id == "azureml://registries/embedded-registry/environments/env/versions/1"
    found = client.environments.get("env", version="1")
    assert (found.image, found.description) == ("example.com/base:1", "d")
    assert client.environments.get("env", label="latest").version == "1"
    assert [one.name for one in client.environments.list()] == ["env"]
    assert [one.version for one in client.environments.list("env")] == ["1"]
    with pytest.raises(HttpResponseError, match="already registered and cannot") as caught:
        client.environments.create_or_update(Environment(name="env", version="1", image="example.com/base:2"))
    assert caught.value.status_code == 409


def test_a_version_is_shared(in_a_cloud: Callable[..., Any], served: Any) -> None:
    """From the workspace to the registry."""
    from azure.ai.ml.entities import Environment

    client = in_a_cloud(workspace_name="embedded")
    client.environments.create_or_update(Environment(name="env", version="1", image="example.com/base:1"))
    client.environments.share(
        "env",
        "1",
        share_with_name="shared",
        share_with_version="3",
        registry_name="embedded-registry",
    )
    found = in_a_cloud(registry_name="embedded-registry").environments.get("shared", version="3")
    assert found.image == "example.com/base:1"
