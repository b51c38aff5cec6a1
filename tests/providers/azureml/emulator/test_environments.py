"""Environments and their versions: what is made, changed, archived and deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.providers.azureml.emulator import Options

CONDA = "channels:\n- conda-forge\ndependencies:\n- python=3.8\n- pip\n- pip:\n  - pandas\nname: example\n"
CONDA_JSON = """{
  "channels": [
    "conda-forge"
  ],
  "dependencies": [
    "python=3.8",
    "pip",
    {
      "pip": [
        "pandas"
      ]
    }
  ],
  "name": "example"
}"""
WS = (
    "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/embedded"
    "/providers/Microsoft.MachineLearningServices/workspaces/embedded"
)


def put(platform: Any, name: str, version: str = "1", **properties: Any) -> tuple[int, Any]:
    wanted = {"image": "example.com/base:1", **properties}
    status, body = platform.ask("PUT", f"environments/{name}/versions/{version}", {"properties": wanted})
    return status, body


def message(answer: tuple[int, Any]) -> tuple[int, str]:
    status, body = answer
    return status, body["error"]["message"]


class TestVersions:
    def test_a_new_version_is_answered_whole(self, platform: Any) -> None:
        """What was not said is filled in, and the conda file comes back as indented JSON."""
        status, body = put(platform, "training", condaFile=CONDA, isAnonymous=False, isArchived=False)
        system = body.pop("systemData")
        assert (status, body) == (
            201,
            {
                "id": f"{WS}/environments/training/versions/1",
                "name": "1",
                "type": "Microsoft.MachineLearningServices/workspaces/environments/versions",
                "properties": {
                    "description": None,
                    "tags": {},
                    "properties": {},
                    "isArchived": False,
                    "isAnonymous": False,
                    "environmentType": "UserCreated",
                    "image": "example.com/base:1",
                    "condaFile": CONDA_JSON,
                    "osType": "Linux",
                },
            },
        )
        author = system["createdBy"]
        assert system == {
            "createdAt": "2026-03-01T08:00:00.0001244+00:00",
            "createdBy": author,
            "createdByType": "Application",
            "lastModifiedAt": "2026-03-01T08:00:00.0001244+00:00",
            "lastModifiedBy": author,
            "lastModifiedByType": "Application",
        }
        assert platform.ask("GET", "environments/training/versions/1") == (
            200,
            {**body, "systemData": system},
        )

    def test_without_a_conda_file_an_empty_one_comes_back(self, platform: Any) -> None:
        """The service says it so."""
        assert put(platform, "training")[1]["properties"]["condaFile"] == ""

    def test_a_build_context_has_a_dockerfile(self, platform: Any) -> None:
        """Called Dockerfile unless something else is said; an empty conda file may stand beside it."""
        _, body = put(
            platform, "ctx", image=None, condaFile="", build={"contextUri": "https://x.example.com/c/"}
        )
        assert body["properties"]["build"] == {
            "contextUri": "https://x.example.com/c/",
            "dockerfilePath": "Dockerfile",
        }
        assert "image" not in body["properties"]

    def test_every_part_of_a_definition_comes_back(self, platform: Any) -> None:
        """Also what azure-ai-ml cannot say."""
        said = {
            "description": "d",
            "tags": {"a": "b"},
            "properties": {"c": "d"},
            "stage": "Development",
            "osType": "Windows",
            "autoRebuild": "OnBaseImageUpdate",
            "isAnonymous": True,
            "inferenceConfig": {
                f"{kind}Route": {"path": f"/{kind}", "port": 8080}
                for kind in ("liveness", "readiness", "scoring", "startup")
            },
        }
        _, body = put(platform, "serve", **said)
        assert {key: body["properties"][key] for key in said} == said

    @pytest.mark.parametrize(
        "changed",
        [
            {"image": "example.com/base:2"},
            {"condaFile": CONDA.replace("3.8", "3.9")},
            {"condaFile": CONDA.replace("- pip\n", "").replace("dependencies:\n", "dependencies:\n- pip\n")},
            {"condaFile": None},
            {"osType": "Windows"},
            {"autoRebuild": "OnBaseImageUpdate"},
            {"isAnonymous": True},
            {"inferenceConfig": {"scoringRoute": {"path": "/", "port": 1}}},
            {"image": None, "condaFile": None, "build": {"contextUri": "https://x.example.com/c/"}},
        ],
    )
    def test_a_definition_cannot_be_changed(self, platform: Any, changed: dict[str, Any]) -> None:
        """409 for each part of it, and nothing was changed."""
        _, before = put(platform, "training", condaFile=CONDA)
        refused = put(platform, "training", **{"condaFile": CONDA, **changed})
        assert message(refused) == (
            409,
            "Environment training with version 1 is already registered and cannot be changed.",
        )
        assert platform.ask("GET", "environments/training/versions/1") == (200, before)

    @pytest.mark.parametrize(
        "same",
        [
            {},
            {"condaFile": CONDA_JSON},
            {"condaFile": "name: example\n" + CONDA.replace("name: example\n", "")},
            {"osType": "Linux", "autoRebuild": "Disabled", "isAnonymous": None, "unknown": 1},
            {"environmentType": "Curated", "provisioningState": "Failed"},
        ],
    )
    def test_the_same_definition_is_no_change(self, platform: Any, same: dict[str, Any]) -> None:
        """201 as before, nothing is modified: the meaning counts, and what the service sets does not."""
        first = put(platform, "training", condaFile=CONDA)
        platform.wait(60)
        assert put(platform, "training", **{"condaFile": CONDA, **same}) == first

    def test_a_put_replaces_what_can_be_changed(self, platform: Any) -> None:
        """What it does not mention is cleared."""
        put(platform, "training", description="d", tags={"a": "1"}, properties={"b": "2"}, stage="x")
        platform.wait(60)
        _, body = put(platform, "training", tags={"c": "3"})
        properties, system = body["properties"], body["systemData"]
        assert (properties["description"], properties["tags"], properties["properties"]) == (
            None,
            {"c": "3"},
            {},
        )
        assert "stage" not in properties
        assert (system["createdAt"][:19], system["lastModifiedAt"][:19]) == (
            "2026-03-01T08:00:00",
            "2026-03-01T08:01:00",
        )

    def test_archive_and_restore_modify_nothing_else(self, platform: Any) -> None:
        """What was read is put back with one word changed, as JSON text; lastModifiedAt stays."""
        _, before = put(platform, "training", condaFile=CONDA, description="d")
        platform.wait(60)
        read = platform.ask("GET", "environments/training/versions/1")[1]["properties"]
        del read["environmentType"]
        archived = put(platform, "training", **{**read, "isArchived": True})
        assert archived == (201, {**before, "properties": {**before["properties"], "isArchived": True}})
        assert platform.ask("GET", "environments/training/versions/1")[1] == archived[1]
        assert put(platform, "training", **{**read, "isArchived": False}) == (201, before)

    def test_a_put_that_does_not_mention_it_restores(self, platform: Any) -> None:
        """The whole of what can be changed is replaced."""
        put(platform, "training", isArchived=True)
        assert put(platform, "training", description="x")[1]["properties"]["isArchived"] is False

    @pytest.mark.parametrize(
        ("properties", "complaint"),
        [
            ({"build": {"contextUri": "https://x.example.com/c/"}}, "image and build exclude each other"),
            (
                {"image": None, "build": {"contextUri": "https://x.example.com/c/"}, "condaFile": CONDA},
                "condaFile goes with image, not with build",
            ),
            ({"image": None}, "one of image and build is required"),
            ({"image": None, "condaFile": CONDA}, "one of image and build is required"),
            ({"image": None, "build": {"contextUri": ""}}, "build.contextUri is required"),
            ({"condaFile": "a: ["}, "condaFile is not valid YAML"),
            ({"condaFile": "- a"}, "condaFile must be a mapping"),
            ({"condaFile": "a: &a [*a]"}, "condaFile is nested too deeply"),
            ({"tags": {"a": 1}}, "Expected `str | null`, got `int` - at `$.properties.tags[...]`"),
            ({"osType": "BeOS"}, "Invalid enum value 'BeOS' - at `$.properties.osType`"),
            (
                {"inferenceConfig": {"scoringRoute": {"path": "/"}}},
                "missing required field `port` - at `$.properties.inferenceConfig.scoringRoute`",
            ),
        ],
    )
    def test_what_makes_no_sense_is_refused(
        self, platform: Any, properties: dict[str, Any], complaint: str
    ) -> None:
        """400 UserError, and nothing was made: not even the environment."""
        status, body = put(platform, "training", **properties)
        assert (status, body["error"]["code"]) == (400, "UserError")
        assert complaint in body["error"]["message"]
        assert platform.names("environments", listViewType="All") == []

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"properties":null}', b"{}", b"\xff"])
    def test_a_body_that_is_none_is_refused(self, platform: Any, body: bytes) -> None:
        """400."""
        status, answer = platform.ask("PUT", "environments/training/versions/1", content=body)
        assert (status, answer["error"]["code"]) == (400, "UserError")

    @pytest.mark.parametrize(
        ("name", "complaint"),
        [
            (
                "AzureML-mine",
                "Environment name AzureML-mine is reserved: it starts with 'AzureML' or 'Microsoft'.",
            ),
            ("azuremlx", "Environment name azuremlx is reserved: it starts with 'AzureML' or 'Microsoft'."),
            (
                "Microsoft.x",
                "Environment name Microsoft.x is reserved: it starts with 'AzureML' or 'Microsoft'.",
            ),
            ("-x", "Environment name -x is invalid: it must match ^[a-zA-Z0-9][a-zA-Z0-9\\-_]{0,254}$"),
            ("a.b", "Environment name a.b is invalid: it must match ^[a-zA-Z0-9][a-zA-Z0-9\\-_]{0,254}$"),
        ],
    )
    def test_some_names_cannot_be_had(self, platform: Any, name: str, complaint: str) -> None:
        """Neither for a version nor for an environment; what the vendor made cannot be changed or deleted."""
        assert message(put(platform, name)) == (400, complaint)
        assert message(platform.ask("PUT", f"environments/{name}", {"properties": {}})) == (400, complaint)
        assert message(platform.ask("DELETE", f"environments/{name}")) == (400, complaint)
        assert message(platform.ask("DELETE", f"environments/{name}/versions/1")) == (400, complaint)

    def test_any_text_is_a_version_and_case_counts(self, platform: Any) -> None:
        """Also for names."""
        for name, version in (
            ("env", "foo"),
            ("env", "Foo"),
            ("Env", "2022-09-14-20-33-51-5820890"),
            ("env", "1.0"),
        ):
            put(platform, name, version)
        assert platform.names("environments") == ["Env", "env"]
        assert platform.names("environments/env/versions") == ["1.0", "Foo", "foo"]

    @pytest.mark.parametrize(
        ("path", "told"),
        [
            ("environments/nothing", "No environment exists for name: nothing, version: , label: "),
            ("environments/nothing/versions", "No environment exists for name: nothing, version: , label: "),
            (
                "environments/nothing/versions/1",
                "No environment exists for name: nothing, version: 1, label: ",
            ),
            ("environments/env/versions/2", "No environment exists for name: env, version: 2, label: "),
        ],
    )
    def test_what_is_not_there_is_told_in_full(self, platform: Any, path: str, told: str) -> None:
        """404 UserError; the kind of error is inside."""
        put(platform, "env")
        status, body = platform.ask("GET", path)
        error = body["error"]
        inner = [
            one["info"]["value"]["code"] for one in error["additionalInfo"] if one["type"] == "InnerError"
        ]
        assert (status, error["code"], error["message"], error["details"], inner) == (
            404,
            "UserError",
            told,
            [],
            ["NotFoundError"],
        )


class TestContainers:
    def test_the_first_version_makes_one(self, platform: Any) -> None:
        """Without the version's description and tags, and with what comes next."""
        put(platform, "training", description="d", tags={"a": "b"})
        status, body = platform.ask("GET", "environments/training")
        del body["systemData"]
        assert (status, body) == (
            200,
            {
                "id": f"{WS}/environments/training",
                "name": "training",
                "type": "Microsoft.MachineLearningServices/workspaces/environments",
                "properties": {
                    "description": "",
                    "tags": {},
                    "properties": {},
                    "isArchived": False,
                    "latestVersion": "1",
                    "nextVersion": "2",
                },
            },
        )

    def test_one_can_be_made_and_described_by_itself(self, platform: Any) -> None:
        """It has no version then."""
        status, made = platform.ask("PUT", "environments/x", {"properties": {"description": "d"}})
        assert (status, made["properties"]["latestVersion"], made["properties"]["nextVersion"]) == (
            201,
            None,
            "1",
        )
        status, told = platform.ask("PUT", "environments/x", {"properties": {"tags": {"a": "b"}}})
        assert (status, told["properties"]["description"], told["properties"]["tags"]) == (
            201,
            "",
            {"a": "b"},
        )
        assert platform.names("environments/x/versions") == []

    @pytest.mark.parametrize(
        ("versions", "latest", "following"),
        [
            (["1", "2", "10", "9"], "9", "11"),
            (["5", "foo"], "foo", "6"),
            (["foo"], "foo", "2026-03-01-08-00-00-0001230"),
        ],
    )
    def test_the_latest_is_the_newest_and_the_next_a_higher_number(
        self, platform: Any, versions: list[str], latest: str, following: str
    ) -> None:
        """A time where there is no number."""
        for version in versions:
            put(platform, "env", version)
        properties = platform.ask("GET", "environments/env")[1]["properties"]
        assert (properties["latestVersion"], properties["nextVersion"]) == (latest, following)

    def test_the_next_version_can_be_a_time(self, new_platform: Callable[..., Any]) -> None:
        """As it was seen once."""
        platform = new_platform(options=Options(next_version="timestamp"))
        put(platform, "env")
        assert (
            platform.ask("GET", "environments/env")[1]["properties"]["nextVersion"]
            == "2026-03-01-08-00-00-0001230"
        )

    def test_archiving_one_archives_every_version_and_restoring_it_restores_them(self, platform: Any) -> None:
        """Those that were archived on their own, too."""
        for version in ("1", "2"):
            put(platform, "env", version)
        put(platform, "env", "2", isArchived=True)
        status, body = platform.ask("PUT", "environments/env", {"properties": {"isArchived": True}})
        assert (status, body["properties"]["isArchived"]) == (201, True)
        assert platform.names("environments/env/versions", listViewType="ArchivedOnly") == ["2", "1"]
        assert platform.names("environments") == []
        platform.ask("PUT", "environments/env", {"properties": {"isArchived": False}})
        assert platform.names("environments/env/versions") == ["2", "1"]

    def test_describing_one_does_not_restore_versions(self, platform: Any) -> None:
        """Only a change of the flag does."""
        put(platform, "env", isArchived=True)
        platform.ask("PUT", "environments/env", {"properties": {"description": "x", "isArchived": False}})
        assert platform.names("environments/env/versions") == []

    def test_under_an_archived_one_a_version_is_born_archived_and_none_can_be_restored(
        self, platform: Any
    ) -> None:
        """The environment has to be restored."""
        put(platform, "env")
        platform.ask("PUT", "environments/env", {"properties": {"isArchived": True}})
        assert put(platform, "env", "2", isArchived=False)[1]["properties"]["isArchived"] is True
        assert message(put(platform, "env", "2", isArchived=False)) == (
            400,
            "Version 2 of environment env cannot be restored while the environment is archived."
            " Restore the environment.",
        )
        assert put(platform, "env", "2", isArchived=True, description="x")[0] == 201

    def test_archived_ones_can_be_read(self, platform: Any) -> None:
        """They are hidden from lists only."""
        put(platform, "env", isArchived=True)
        assert platform.ask("GET", "environments/env/versions/1")[0] == 200


class TestDeletion:
    def test_a_version_goes_and_its_number_is_not_offered_again(self, platform: Any) -> None:
        """200, then 204."""
        for version in ("1", "2"):
            put(platform, "env", version)
        assert platform.ask("DELETE", "environments/env/versions/2") == (200, None)
        assert platform.ask("DELETE", "environments/env/versions/2") == (204, None)
        assert platform.ask("GET", "environments/env/versions/2")[0] == 404
        properties = platform.ask("GET", "environments/env")[1]["properties"]
        assert (properties["latestVersion"], properties["nextVersion"]) == ("1", "3")

    def test_an_environment_goes_with_all_its_versions(self, platform: Any) -> None:
        """200, then 204."""
        put(platform, "env")
        assert platform.ask("DELETE", "environments/env") == (200, None)
        assert platform.ask("DELETE", "environments/env") == (204, None)
        assert platform.ask("GET", "environments/env/versions/1")[0] == 404

    def test_it_can_be_refused(self, new_platform: Callable[..., Any]) -> None:
        """405: whether deletion works is not known."""
        platform = new_platform(options=Options(delete="refused"))
        put(platform, "env")
        for path in ("environments/env", "environments/env/versions/1"):
            response = platform.send("DELETE", f"{WS}/{path}?api-version=2025-12-01")
            assert (response.status_code, response.headers["allow"]) == (405, "GET, PUT")
            assert platform.ask("GET", path)[0] == 200


class TestBirth:
    def test_a_workspace_has_curated_environments(self, platform: Any) -> None:
        """The vendor's, beside one's own."""
        put(platform, "mine")
        status, body = platform.ask("GET", "environments", params={"listViewType": "All"})
        names = [one["name"] for one in body["value"]]
        assert (status, names) == (
            200,
            [
                "mine",
                "AzureML-minimal-ubuntu20.04-py38-cpu-inference",
                "AzureML-acpt-pytorch-2.2-cuda12.1",
                "AzureML-sklearn-0.24-ubuntu18.04-py37-cpu",
            ],
        )
        _, versions = platform.ask("GET", f"environments/{names[-1]}/versions")
        (curated,) = versions["value"]
        assert curated["properties"]["environmentType"] == "Curated"
        assert curated["systemData"]["createdBy"] == "Microsoft"
        assert json.loads(curated["properties"]["condaFile"])["dependencies"][0] == "python=3.7"
