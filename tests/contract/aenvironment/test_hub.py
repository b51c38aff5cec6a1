"""The vendor's EnvHub client and command line against the embedded EnvHub: they cannot tell."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.providers.aenvironment.emulator import Options

DEMO = {
    "name": "demo-env",
    "version": "1.2.3",
    "tags": ["linux"],
    "status": "Ready",
    "codeUrl": "",
    "artifacts": [{"id": "", "type": "image", "content": "registry.example.com/demo-env:1.2.3"}],
    "buildConfig": {"dockerfile": "./Dockerfile", "context": "."},
    "testConfig": {"script": ""},
    "deployConfig": {"cpu": "1", "memory": "2Gi", "service": {"replicas": 1, "port": 8081}},
}
THIS: dict[str, Any] = {"name": "demo-env", "version": "1.2.3"}


class TestClient:
    """Class ``AEnvHubClient``."""

    def test_an_environment_lives_through_every_call_there_is(self, served: Any) -> None:
        """What it reads loads into the SDK's model; the redirects of /env are followed with their body."""
        seen = [served.hub("check_env", **THIS), served.hub("create_environment", meta_data=DEMO)]
        found = served.hub("get_environment", **THIS)
        loaded = served.load("Env", found)
        listed = served.hub("list_environments")
        update = {**THIS, "tags": ["linux", "gpu"], "status": "Verified"}
        seen += [
            served.hub("check_env", **THIS),
            served.hub("update_environment", meta_data=update),
            served.hub("state_environment", **THIS),
            served.hub("release_environment", **THIS),
            served.hub("state_environment", **THIS),
        ]
        assert seen == [False, True, True, True, {"status": "Verified"}, True, {"status": "Released"}]
        times = ("created_at", "updated_at")
        assert {**loaded, **{key: found[key] for key in times}} == found
        assert [one["id"] for one in listed if one["name"] == "demo-env"] == ["demo-env-1.2.3"]
        for one in listed:
            served.load("Env", one)
        assert found["deploy_config"] == DEMO["deployConfig"]

    @pytest.mark.parametrize(
        ("method", "arguments", "error"),
        [
            ("get_environment", THIS, ("NotFoundError", "Environment not found")),
            ("update_environment", {"meta_data": THIS}, ("NotFoundError", "Environment not found")),
            ("delete_environment", {"name": "demo-env"}, ("NotFoundError", "404 page not found")),
            ("search_environments", {"query": "demo"}, ("NotFoundError", "404 page not found")),
            (
                "create_environment",
                {"meta_data": {"name": "terminal", "version": "1.0.0"}},
                ("AEnvHubError", "HTTP 409: Environment with same name and version already exists"),
            ),
            (
                "create_environment",
                {"meta_data": {"name": 1}},
                (
                    "AEnvHubError",
                    "HTTP 400: Invalid request format: json: cannot unmarshal number into Go struct field "
                    "EnvRequest.name of type string",
                ),
            ),
            (
                "update_environment",
                {"meta_data": {"name": "terminal", "version": "1.0.0"}},
                ("AEnvHubError", "HTTP 403: Cannot update released environment"),
            ),
        ],
    )
    def test_it_understands_our_refusals(
        self, served: Any, method: str, arguments: dict[str, Any], error: tuple[str, str]
    ) -> None:
        """Including the pages of calls that no EnvHub has."""
        with pytest.raises(Exception) as caught:
            served.hub(method, **arguments)
        assert caught.value.args == error

    def test_it_signs_uploads_and_downloads(self, serve: Callable[..., Any]) -> None:
        """With a bucket; the addresses differ."""
        served = serve(Options(bucket=True))
        one, other = (served.hub("apply_sign_url", **THIS, style=style) for style in (None, "read"))
        assert one.startswith(f"{served.hub_url}/oss/aenv/demo-env-1.2.3.tar?")
        assert one != other


class TestCommandLine:
    """Script ``aenv``."""

    @pytest.mark.parametrize("profile", ["v0.1", "next"])
    def test_a_project_is_pushed_got_and_listed(self, serve: Callable[..., Any], profile: Any) -> None:
        """Made by its own ``init``, pushed twice: the second time all of it is replaced."""
        served = serve(Options(profile=profile))
        served.aenv("init", "demo-env", "-v", "1.2.3")
        project = served.home / "demo-env"
        config = json.loads((project / "config.json").read_text())
        served.aenv("push", cwd=project)
        first = json.loads(served.aenv("get", "demo-env", "-v", "1.2.3", "-f", "json"))
        (project / "config.json").write_text(json.dumps({**config, "tags": ["gpu"], "artifacts": []}))
        served.aenv("push", cwd=project)
        listed = json.loads(served.aenv("list", "-f", "json"))
        second = next(one for one in listed if one["name"] == "demo-env")
        assert first["deploy_config"] == config["deployConfig"]
        assert first["build_config"] == config["buildConfig"]
        assert (second["id"], second["tags"], second["artifacts"]) == ("demo-env-1.2.3", ["gpu"], [])

    def test_the_archive_goes_to_the_bucket(self, serve: Callable[..., Any], tmp_path: Path) -> None:
        """By a signed address; what comes back from another one is the project."""
        served = serve(Options(bucket=True), storage="aenv_hub")
        served.aenv("init", "demo-env", "-v", "1.2.3")
        served.aenv("push", cwd=served.home / "demo-env")
        with served.store.write() as db:
            (content,) = db.execute("SELECT text FROM aenv_record WHERE kind = 'archive'").fetchone()
        archive = tmp_path / "demo.tar"
        archive.write_bytes(content)
        with tarfile.open(archive) as tar:
            assert any(name.endswith("config.json") for name in tar.getnames())

    def test_what_is_not_there_fails(self, served: Any) -> None:
        """With our text and status 1."""
        done = served.run("get", "demo-env", "-v", "1.2.3")
        assert done.returncode == 1
        assert "Environment not found" in done.stdout + done.stderr
