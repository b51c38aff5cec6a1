"""azure-ai-ml's MLClient at the embedded Azure ML: what users of the vendor's SDK do with environments."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.providers.azureml.emulator import Options

# The SDK warns of itself: of deprecated parts of its own dependencies, and of experimental classes.
pytestmark = pytest.mark.filterwarnings("ignore")

CONDA = {
    "name": "py_env",
    "channels": ["conda-forge"],
    "dependencies": ["python=3.10", "pip", {"pip": ["azureml-defaults"]}],
}
TOKEN_CALLS = [
    "GET /00000000-0000-4000-8000-00000000c001/v2.0/.well-known/openid-configuration",
    "POST /00000000-0000-4000-8000-00000000c001/oauth2/v2.0/token",
]
MFE = "api-version=2023-04-01-preview"
CURATED = [
    "AzureML-minimal-ubuntu20.04-py38-cpu-inference",
    "AzureML-acpt-pytorch-2.2-cuda12.1",
    "AzureML-sklearn-0.24-ubuntu18.04-py37-cpu",
]


def environment(image: str = "example.com/base:1", **more: Any) -> Any:
    from azure.ai.ml.entities import Environment

    return Environment(name="training", image=image, conda_file=CONDA, **more)


def test_a_version_is_created_and_read(ml_client: Any, served: Any) -> None:
    """With a version of the user's own it takes one PUT; what is read says what was written."""
    made = ml_client.environments.create_or_update(
        environment(version="7", description="for training", tags={"team": "vision"})
    )
    assert served.asked == [*TOKEN_CALLS, f"PUT environments/training/versions/7?{MFE}"]
    found = ml_client.environments.get("training", version="7")
    assert (found.name, found.version, found.description, found.tags, found.image, found.os_type) == (
        "training",
        "7",
        "for training",
        {"team": "vision"},
        "example.com/base:1",
        "Linux",
    )
    assert found.conda_file == CONDA == made.conda_file
    assert found.creation_context.created_by_type == "Application"


def test_without_a_version_the_first_is_1_and_an_unchanged_definition_makes_no_other(
    ml_client: Any, served: Any
) -> None:
    """The SDK puts the latest version again: only description and tags are refreshed."""
    made = ml_client.environments.create_or_update(environment())
    assert (made.version, served.asked) == (
        "1",
        [*TOKEN_CALLS, f"GET environments/training?{MFE}", f"PUT environments/training/versions/1?{MFE}"],
    )
    again = ml_client.environments.create_or_update(environment(description="said later"))
    assert (again.version, again.description) == ("1", "said later")
    assert [one.version for one in ml_client.environments.list("training")] == ["1"]


def test_without_a_version_a_changed_definition_takes_the_number_that_is_offered(
    ml_client: Any, served: Any
) -> None:
    """The latest version answers 409, and the SDK goes on to nextVersion."""
    ml_client.environments.create_or_update(environment())
    served.asked  # noqa: B018  # forget these
    made = ml_client.environments.create_or_update(environment("example.com/base:2"))
    assert (made.version, served.asked) == (
        "2",
        [
            f"GET environments/training?{MFE}",
            f"PUT environments/training/versions/1?{MFE}",
            f"PUT environments/training/versions/2?{MFE}",
        ],
    )


def test_a_definition_cannot_be_changed(ml_client: Any) -> None:
    """The SDK says what the service says."""
    from azure.core.exceptions import ResourceExistsError

    ml_client.environments.create_or_update(environment(version="1"))
    with pytest.raises(ResourceExistsError) as caught:
        ml_client.environments.create_or_update(environment("example.com/base:2", version="1"))
    assert caught.value.error is not None
    assert (caught.value.status_code, caught.value.error.code, caught.value.error.message) == (
        409,
        "UserError",
        "Environment training with version 1 is already registered and cannot be changed.",
    )


def test_latest_is_what_was_created_last(ml_client: Any, served: Any) -> None:
    """And not the highest number."""
    ml_client.environments.create_or_update(environment(version="9"))
    ml_client.environments.create_or_update(environment("example.com/base:2", version="3"))
    served.asked  # noqa: B018  # forget these
    assert ml_client.environments.get("training", label="latest").version == "3"
    assert served.asked == [f"GET environments/training/versions?{MFE}&$orderBy=createdtime%20desc&$top=1"]


def test_what_is_archived_is_listed_no_more_until_it_is_restored(ml_client: Any) -> None:
    """A version or an environment with all its versions; both can be read all the while."""
    environments = ml_client.environments
    for number in ("1", "2"):
        environments.create_or_update(environment(f"example.com/base:{number}", version=number))
    environments.archive("training", version="2")
    assert [one.version for one in environments.list("training")] == ["1"]
    assert environments.get("training", version="2").image == "example.com/base:2"
    environments.restore("training", version="2")
    assert [one.version for one in environments.list("training")] == ["2", "1"]
    environments.archive("training")
    assert [one.name for one in environments.list()] == CURATED
    assert list(environments.list("training")) == []
    environments.restore("training")
    assert [one.name for one in environments.list()] == ["training", *CURATED]
    assert [one.version for one in environments.list("training")] == ["2", "1"]


@pytest.mark.parametrize("served", [Options(page_size=3)], indirect=True)
def test_lists_are_read_over_their_pages(ml_client: Any, served: Any) -> None:
    """The SDK follows nextLink, which keeps what it had asked for."""
    for number in range(1, 8):
        ml_client.environments.create_or_update(
            environment(f"example.com/base:{number}", version=str(number))
        )
    served.asked  # noqa: B018  # forget these
    found = ml_client.environments.list("training", list_view_type="All")
    assert [one.version for one in found] == ["7", "6", "5", "4", "3", "2", "1"]
    asked = served.asked
    assert [line.partition("&$skip")[0] for line in asked] == [
        f"GET environments/training/versions?{MFE}&listViewType=All"
    ] * 3


def test_what_is_not_there_is_an_error_of_its_own(ml_client: Any) -> None:
    """404."""
    from azure.core.exceptions import ResourceNotFoundError

    with pytest.raises(ResourceNotFoundError, match="No environment exists for name: nothing, version: 1"):
        ml_client.environments.get("nothing", version="1")


def test_names_of_the_vendor_are_refused(ml_client: Any) -> None:
    """400."""
    from azure.ai.ml.entities import Environment
    from azure.core.exceptions import HttpResponseError

    with pytest.raises(HttpResponseError, match="reserved") as caught:
        ml_client.environments.create_or_update(
            Environment(name="AzureML-mine", version="1", image="example.com/base:1")
        )
    assert caught.value.status_code == 400


def test_a_build_context_in_the_cloud_is_referred_to(ml_client: Any) -> None:
    """A URL is not uploaded; what is not said of it is the Dockerfile."""
    from azure.ai.ml.entities import BuildContext, Environment

    made = ml_client.environments.create_or_update(
        Environment(name="ctx", version="1", build=BuildContext(path="https://acct.example.com/c/ctx/"))
    )
    found = ml_client.environments.get("ctx", version="1")
    assert (found.build.path, found.build.dockerfile_path, found.image) == (
        "https://acct.example.com/c/ctx/",
        "Dockerfile",
        None,
    )
    assert made.build.path == found.build.path


def test_the_workspace_is_read(ml_client: Any) -> None:
    """With where its images and its storage are."""
    workspace = ml_client.workspaces.get("embedded")
    assert (workspace.name, workspace.location, workspace.public_network_access) == (
        "embedded",
        "eastus",
        "Enabled",
    )
    assert workspace.container_registry.endswith(workspace.storage_account.rsplit("/", 1)[1])
    assert [one.name for one in ml_client.workspaces.list()] == ["embedded"]
