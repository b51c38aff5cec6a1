"""The embedded EnvHub, asked over HTTP inside the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hubs import BORN, Platform, error

from reconciler.providers.aenvironment.emulator import Options, damage, fail_store, lose_races
from reconciler.providers.emulator import Fault, Store

DEPLOY = {
    "cpu": "1",
    "memory": "2Gi",
    "os": "linux",
    "ephemeralStorage": "5Gi",
    "environmentVariables": {},
    "service": {"replicas": 1, "port": 8081, "enableStorage": False, "storageSize": "10Gi"},
}
WRITTEN = {
    "name": "demo-env",
    "version": "1.2.3",
    "tags": ["linux"],
    "status": "Ready",
    "codeUrl": "",
    "artifacts": [{"id": "", "type": "image", "content": "registry.example.com/demo-env:1.2.3"}],
    "buildConfig": {"dockerfile": "./Dockerfile", "context": "."},
    "testConfig": {"script": ""},
    "deployConfig": DEPLOY,
}
READ = {
    "id": "demo-env-1.2.3",
    "name": "demo-env",
    "description": "",
    "version": "1.2.3",
    "tags": ["linux"],
    "code_url": "",
    "status": 6,
    "artifacts": WRITTEN["artifacts"],
    "build_config": WRITTEN["buildConfig"],
    "test_config": WRITTEN["testConfig"],
    "deploy_config": DEPLOY,
    "created_at": "2026-03-16T13:13:06.123456825+08:00",
    "updated_at": "2026-03-16T13:13:06.123456825+08:00",
}
NOTHING = {
    **READ,
    "id": "-",
    "name": "",
    "version": "",
    "tags": None,
    "status": 0,
    "artifacts": None,
    "build_config": None,
    "test_config": None,
    "deploy_config": None,
}
ONE = "/env/demo-env/1.2.3"
NOT_FOUND = error(404, "Environment not found")


class TestWriting:
    """POST and PUT."""

    def test_what_is_written_in_camel_case_is_read_in_snake_case(self, platform: Platform) -> None:
        """The state is written by name and read as a number; success is 200, never 201."""
        assert platform.data("POST", "/env/", WRITTEN) is True
        assert platform.read() == READ

    def test_nothing_is_required(self, platform: Platform) -> None:
        """Not even a name: then the key is a hyphen, and no path leads to it."""
        assert platform.data("POST", "/env/", {}) is True
        listed = platform.data("GET", "/env/")
        assert listed[0] == NOTHING
        assert platform.send("GET", "/env/-").status_code == 404

    def test_a_second_one_with_the_same_key_is_a_conflict(self, platform: Platform) -> None:
        """The key is name-version, so two different environments can have one."""
        platform.add("a", "1-2")
        answer = platform.ask("POST", "/env/", {"name": "a-1", "version": "2"})
        assert answer == error(409, "Environment with same name and version already exists")
        found = platform.read("a-1", "2")
        assert (found["id"], found["name"], found["version"]) == ("a-1-2", "a", "1-2")

    @pytest.mark.parametrize(
        ("name", "number"),
        [
            *((name, n) for n, name in enumerate(("Init", "Pending", "Creating", "Created", "Testing"))),
            *((name, n + 5) for n, name in enumerate(("Verified", "Ready", "Released", "Failed"))),
            ("rEADY", 6),
            ("", 0),
            ("Raedy", 0),
        ],
    )
    def test_a_state_has_a_number(self, platform: Platform, name: str, number: int) -> None:
        """In any case of letters; a word that is none means Init, without a complaint."""
        platform.add(status=name)
        assert platform.read()["status"] == number

    def test_keys_match_in_any_case_and_unknown_ones_are_dropped(self, platform: Platform) -> None:
        """What has been read cannot be written back: its keys are unknown."""
        sent = {"NAME": "demo-env", "Version": "1.2.3", "CODEURL": "x", "deploy_config": {"a": 1}, "needs": 1}
        assert platform.data("POST", "/env/", sent) is True
        found = platform.read()
        assert (found["name"], found["code_url"], found["deploy_config"]) == ("demo-env", "x", None)
        answer = platform.ask("PUT", ONE, found)
        assert answer == error(
            400,
            "Invalid request format: json: cannot unmarshal number into Go struct field "
            "EnvRequest.status of type string",
        )

    def test_the_content_of_a_config_survives(self, platform: Platform) -> None:
        """Every key and value; a number is a double, the keys come back in order."""
        config = '{"b":1.0,"a":{"Z":null,"y":[1e3,0.5,12345678901234567890,true]},"c":"\\ud800é"}'
        body = f'{{"name":"demo-env","version":"1.2.3","buildConfig":{config}}} and what follows is not read'
        assert platform.data("POST", "/env/", content=body) is True
        text = platform.send("GET", ONE).text
        assert (
            '"build_config":{"a":{"Z":null,"y":[1000,0.5,12345678901234567000,true]},"b":1,"c":"\ufffdé"}'
            in text
        )

    def test_null_in_a_list_is_empty(self, platform: Platform) -> None:
        """As Go has no null among strings."""
        platform.add(tags=["a", None])
        assert platform.read()["tags"] == ["a", ""]

    def test_an_artifact_has_three_strings(self, platform: Platform) -> None:
        """What is missing or null is empty, what is more is dropped."""
        platform.add(artifacts=[{"Type": "image", "size": 3}, None, {"id": None, "content": "x"}])
        assert platform.read()["artifacts"] == [
            {"id": "", "type": "image", "content": ""},
            {"id": "", "type": "", "content": ""},
            {"id": "", "type": "", "content": "x"},
        ]

    @pytest.mark.parametrize(
        ("body", "complaint"),
        [
            ("", "EOF"),
            (" \n", "EOF"),
            ('{"name":', "unexpected EOF"),
            ('{"name":"x', "unexpected EOF"),
            ("{'name'}", 'invalid character "\'" looking for beginning of value'),
            ('{"buildConfig":{"a":NaN}}', "invalid character 'N' looking for beginning of value"),
            ('{"a":' + "[" * 100_000, "exceeded max depth"),
            ('{"testConfig":{"a":' + "[" * 700 + "]" * 700 + "}}", "exceeded max depth"),
            ("[]", "json: cannot unmarshal array into Go value of type models.EnvRequest"),
            ('"x"', "json: cannot unmarshal string into Go value of type models.EnvRequest"),
            ('{"name":1}', "number into Go struct field EnvRequest.name of type string"),
            ('{"version":true}', "bool into Go struct field EnvRequest.version of type string"),
            ('{"tags":"x"}', "string into Go struct field EnvRequest.tags of type []string"),
            ('{"tags":["x",{}]}', "object into Go struct field EnvRequest.tags of type string"),
            (
                '{"artifacts":{}}',
                "object into Go struct field EnvRequest.artifacts of type []models.Artifact",
            ),
            ('{"artifacts":[1]}', "number into Go struct field EnvRequest.artifacts of type models.Artifact"),
            ('{"artifacts":[{"id":1}]}', "number into Go struct field Artifact.artifacts.id of type string"),
            (
                '{"deployConfig":[]}',
                "array into Go struct field EnvRequest.deployConfig of type map[string]interface {}",
            ),
            (
                '{"deployConfig":{"a":1e999}}',
                "number 1e999 into Go struct field EnvRequest.deployConfig of type float64",
            ),
        ],
    )
    def test_a_body_that_is_wrong_is_refused_in_the_words_of_go(
        self, platform: Platform, body: str, complaint: str
    ) -> None:
        """And nothing of it is kept, by neither method."""
        if "into" in complaint and not complaint.startswith("json"):
            complaint = f"json: cannot unmarshal {complaint}"
        platform.add()
        before = platform.data("GET", "/env/")
        answers = [platform.ask(*call, content=body) for call in (("POST", "/env/"), ("PUT", ONE))]
        assert answers == [error(400, f"Invalid request format: {complaint}")] * 2
        assert platform.data("GET", "/env/") == before

    def test_a_put_replaces_whole_keys(self, platform: Platform) -> None:
        """What is missing or null stays; empty lists and objects clear; there is no merge below."""
        platform.data("POST", "/env/", WRITTEN)
        platform.wait(413.876544)
        changes = {
            "name": "other",
            "version": "9",
            "tags": [],
            "artifacts": None,
            "buildConfig": {"context": "x"},
            "testConfig": {},
            "codeUrl": "",
            "status": "",
        }
        assert platform.data("PUT", ONE, changes) is True
        assert platform.read() == {
            **READ,
            "tags": [],
            "build_config": {"context": "x"},
            "test_config": {},
            "updated_at": "2026-03-16T13:20:00+08:00",
        }
        assert platform.data("PUT", ONE, {"codeUrl": "y", "status": "no state"}) is True
        assert (platform.read()["code_url"], platform.read()["status"]) == ("y", 0)

    @pytest.mark.parametrize("body", ["{}", "null"])
    def test_a_put_of_nothing_is_a_write_too(self, platform: Platform, body: str) -> None:
        """It moves updated_at and nothing else."""
        platform.data("POST", "/env/", WRITTEN)
        platform.wait(0.5)
        assert platform.data("PUT", ONE, content=body) is True
        assert platform.read() == {**READ, "updated_at": "2026-03-16T13:13:06.623456331+08:00"}

    def test_a_put_looks_at_the_record_before_it_looks_at_the_body(self, platform: Platform) -> None:
        """Not found, then released, then the body."""
        answers = [platform.ask("PUT", ONE, content="broken")]
        platform.add()
        answers.append(platform.ask("PUT", ONE, content="broken"))
        platform.data("POST", f"{ONE}/release")
        answers.append(platform.ask("PUT", ONE, content="broken"))
        assert answers == [
            NOT_FOUND,
            error(400, "Invalid request format: invalid character 'b' looking for beginning of value"),
            error(403, "Cannot update released environment"),
        ]

    def test_released_is_for_ever(self, platform: Platform) -> None:
        """By its own call, by POST or by PUT: afterwards nothing can be changed."""
        assert platform.ask("POST", f"{ONE}/release") == NOT_FOUND
        platform.add()
        platform.add("born", "1", status="Released")
        assert platform.data("PUT", ONE, {"status": "released"}) is True
        for path in (ONE, "/env/born/1"):
            assert platform.ask("PUT", path, {"status": "Ready"})[0] == 403
            assert platform.ask("POST", f"{path}/release") == error(403, "Environment already released")

    def test_description_is_known_to_the_next_release_only(
        self, platform: Platform, next_platform: Platform
    ) -> None:
        """Before, even a wrong type of it goes unnoticed."""
        platform.add(description=1)
        platform.data("PUT", ONE, {"description": "x"})
        next_platform.add(description="first")
        seen = [platform.read()["description"], next_platform.read()["description"]]
        for value in (None, "second", ""):
            next_platform.data("PUT", ONE, {"description": value})
            seen.append(next_platform.read()["description"])
        assert seen == ["", "first", "first", "second", ""]
        assert next_platform.ask("PUT", ONE, {"description": 1})[0] == 400

    def test_an_image_build_elsewhere_reports_its_image(self, platform: Platform) -> None:
        """It overwrites the image artifacts or adds one; what changed something has no body at all."""
        path = f"{ONE}/aci_trigger"
        image = {"image": "registry.example.com/new:1"}
        unknown = platform.ask("POST", path, image)
        other = {"id": "1", "type": "code", "content": "z"}
        platform.add(artifacts=[other])
        changed = platform.send("POST", path, json=image)
        assert (changed.status_code, changed.content) == (200, b"")
        assert platform.data("POST", path, image) is None
        added = platform.read()["artifacts"]
        platform.data("PUT", ONE, {"artifacts": [{"id": "7", "type": "image", "content": "old"}, other]})
        platform.send("POST", path, json=image)
        replaced = platform.read()["artifacts"]
        twice = platform.send("POST", path, content="{").text
        missing = platform.ask("POST", path, {"image": ""})
        platform.data("POST", f"{ONE}/release")
        assert unknown == NOT_FOUND
        assert added == [other, {"id": "", "type": "image", "content": image["image"]}]
        assert replaced == [{"id": "7", "type": "image", "content": image["image"]}, other]
        assert missing == error(400, "Missing environment image message")
        assert [half[:32] for half in twice.partition("}{")[::2]] == [
            '{"success":false,"code":400,"mes',
            '"success":false,"code":400,"mess',
        ]
        assert platform.ask("POST", path, image)[0] == 403


class TestReading:
    """One, all, and whether it is there."""

    def test_there_is_a_list_of_all_by_key(self, platform: Platform) -> None:
        """As plain strings, so 1.10 comes before 1.9; the query is ignored."""
        for version in ("1.9", "1.10", "10"):
            platform.add(version=version)
        platform.add("Demo", "1")
        found = platform.data("GET", "/env/", params={"limit": 1, "offset": 3})
        keys = [one["id"] for one in found]
        assert keys == ["Demo-1", *BORN[:1], "demo-env-1.10", "demo-env-1.9", "demo-env-10", *BORN[1:]]

    def test_an_empty_list_is_null_or_empty(self, platform: Platform, next_platform: Platform) -> None:
        """As nothing can be deleted, only a hub that nobody has written to has one."""
        answers = []
        for one in (platform, next_platform):
            with one.store.write() as db:
                db.execute("DELETE FROM aenv_record")
            answers.append(one.data("GET", "/env/"))
        assert answers == [None, []]

    def test_whether_it_is_there_is_a_question_of_its_own(self, platform: Platform) -> None:
        """Its answer leaves out the state Init."""
        answers = [platform.data("GET", f"{ONE}/exists")]
        for state in ("Init", "Ready"):
            platform.add(version=state, status=state)
            answers.append(platform.data("GET", f"/env/demo-env/{state}/exists"))
        assert answers == [{"exists": False}, {"exists": True}, {"exists": True, "status": 6}]

    def test_the_state_by_its_name(self, platform: Platform) -> None:
        """Here it is a word."""
        assert platform.ask("GET", f"{ONE}/status") == NOT_FOUND
        platform.add(status="verified")
        assert platform.data("GET", f"{ONE}/status") == {"status": "Verified"}

    def test_health_is_answered_twice_and_without_envelope(self, platform: Platform) -> None:
        """Only the status can be used."""
        well = platform.send("GET", "/health")
        fail_store(platform.store)
        ill = platform.send("GET", "/health")
        assert (well.status_code, well.text) == (200, '{"status":"healthy"}' * 2)
        assert (ill.status_code, ill.text.count('{"status":"unhealthy","message":')) == (503, 2)

    def test_data_knows_the_images_of_one_benchmark(self, platform: Platform) -> None:
        """Null for what it does not know, 400 when a part of the question is missing."""
        asked = {"scenario": "swebench", "instance": "django__django-11099"}
        assert platform.data("GET", "/data", params=asked) == {
            "image": "registry.example.com/aenv/swebench:django-11099",
            "instance": "django__django-11099",
        }
        assert platform.data("GET", "/data", params={**asked, "instance": "x"}) is None
        assert platform.data("GET", "/data", params={**asked, "scenario": "x"}) is None
        for part in asked:
            answer = platform.ask("GET", "/data", params={part: asked[part]})
            assert answer == error(400, "Invalid scenario or instance")

    def test_names_are_taken_as_they_are(self, platform: Platform) -> None:
        """Decoded from the path; what contains a slash can be listed, never addressed."""
        platform.add("a@b", "1.0+c d")
        platform.add("x/y", "1")
        assert platform.read("a%40b", "1.0%2Bc%20d")["id"] == "a@b-1.0+c d"
        assert platform.keys() == ["a@b-1.0+c d", "x/y-1"]
        assert platform.send("GET", "/env/x%2Fy/1").text == "404 page not found"

    def test_who_asks_does_not_matter(self, platform: Platform) -> None:
        """A token is neither needed nor looked at."""
        platform.add()
        assert platform.data("GET", ONE, headers={"authorization": "Bearer nonsense"})["name"] == "demo-env"


class TestPaths:
    """What is not there, and what is somewhere else."""

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/"),
            ("GET", "/environments"),
            ("DELETE", ONE),
            ("DELETE", "/env/demo-env"),
            ("PATCH", ONE),
            ("POST", ONE),
            ("HEAD", ONE),
            ("POST", "/api/v1/environments/clone"),
            ("GET", "/token/validate/x"),
        ],
    )
    def test_an_unknown_path_and_a_wrong_method_are_the_same(
        self, platform: Platform, method: str, path: str
    ) -> None:
        """A plain 404, and no delete among what there is."""
        platform.add()
        answer = platform.send(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/plain")
        assert method == "HEAD" or answer.text == "404 page not found"

    @pytest.mark.parametrize(
        ("method", "path", "status", "location"),
        [
            ("GET", "/env?limit=1&offset=0", 301, "/env/?limit=1&offset=0"),
            ("POST", "/env", 307, "/env/"),
            ("GET", f"{ONE}/", 301, ONE),
            ("PUT", f"{ONE}/", 307, ONE),
            ("GET", "/env/a%40b%20c%2A/1/?x=%20", 301, "/env/a@b%20c%2A/1?x=%20"),
            ("POST", f"{ONE}/sign/?style=read", 307, f"{ONE}/sign?style=read"),
            ("GET", "/health/", 301, "/health"),
        ],
    )
    def test_a_slash_too_many_or_too_few_is_redirected(
        self, platform: Platform, method: str, path: str, status: int, location: str
    ) -> None:
        """GET for good, the others with their body; the query stays."""
        answer = platform.send(method, path)
        assert (answer.status_code, answer.headers["location"]) == (status, location)

    def test_what_is_not_http_is_left_alone(self, platform: Platform) -> None:
        """A server that announces its start gets no answer, which it takes for one that needs none."""

        async def nothing(*message: Any) -> Any:
            raise AssertionError(message)

        asyncio.run(platform.app({"type": "lifespan"}, nothing, nothing))

    def test_the_next_release_serves_both_and_redirects_nothing(self, next_platform: Platform) -> None:
        """Which is how the two are told apart: GET /env without following."""
        assert next_platform.data("POST", "/env", WRITTEN) is True
        assert next_platform.data("GET", "/env") == next_platform.data("GET", "/env/")
        assert next_platform.send("GET", f"{ONE}/").text == "404 page not found"

    def test_the_next_release_has_a_console(self, platform: Platform, next_platform: Platform) -> None:
        """No login; the release has none."""
        for path in ("/console", "/console/env/1"):
            found = next_platform.send("GET", path)
            assert (found.status_code, found.headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert platform.send("GET", path).status_code == 404


class TestArchives:
    """Addresses to upload to and to download from."""

    def test_without_a_bucket_nothing_is_signed(self, platform: Platform) -> None:
        """Whether the environment exists or not."""
        assert platform.ask("POST", f"{ONE}/sign") == error(503, "OSS storage is not configured")

    def test_what_is_uploaded_can_be_downloaded(self, new_platform: Callable[..., Platform]) -> None:
        """At addresses of their own; the environment need not exist."""
        platform = new_platform(options=Options(bucket=True))
        upload = platform.data("POST", f"{ONE}/sign")
        download = platform.data("POST", f"{ONE}/sign?style=read")
        header = {"x-oss-object-acl": "public-read-write"}
        statuses = [
            platform.send("GET", download).status_code,
            platform.send("PUT", upload, content=b"tar").status_code,
            platform.send("PUT", download, content=b"tar", headers=header).status_code,
            platform.send("PUT", upload, content=b"tar", headers=header).status_code,
            platform.send("GET", upload).status_code,
        ]
        found = platform.send("GET", download)
        platform.wait(3600)
        late = platform.send("GET", download).status_code
        assert upload.startswith("http://aenv.example.com/oss/aenv/demo-env-1.2.3.tar?Expires=1773641586&")
        assert statuses == [404, 403, 403, 200, 403]
        assert (found.status_code, found.content, late) == (200, b"tar", 403)


class TestTroubles:
    """What a client must not take for absence."""

    def test_an_outage_of_its_database_looks_like_absence(self, platform: Platform) -> None:
        """Reads and updates say 404; only exists, the list and POST say what it is."""
        platform.add()
        fail_store(platform.store)
        absent = [
            platform.ask("GET", ONE),
            platform.ask("GET", f"{ONE}/status"),
            platform.ask("PUT", ONE, {"tags": []}),
            platform.ask("POST", f"{ONE}/release"),
            platform.ask("POST", f"{ONE}/aci_trigger", {"image": "x"}),
        ]
        trouble = [
            platform.ask("GET", f"{ONE}/exists"),
            platform.ask("GET", "/env/"),
            platform.ask("POST", "/env/", {"name": "x"}),
        ]
        fail_store(platform.store, fails=False)
        assert absent == [NOT_FOUND] * 5
        assert [status for status, _ in trouble] == [500] * 3
        assert platform.keys() == ["demo-env-1.2.3"]

    def test_a_record_that_cannot_be_read_is_left_out(self, platform: Platform) -> None:
        """The list is silent about it, reads say 404, exists says 500, and its key is taken."""
        platform.add()
        platform.add("other", "1")
        damage(platform.store, "demo-env", "1.2.3")
        assert platform.keys() == ["other-1"]
        assert platform.ask("GET", ONE) == NOT_FOUND
        assert platform.ask("PUT", ONE, {}) == NOT_FOUND
        assert platform.ask("GET", f"{ONE}/exists")[0] == 500
        answer = platform.ask("POST", "/env/", WRITTEN)
        assert answer == error(500, "env demo-env-1.2.3 already exists")
        with pytest.raises(LookupError, match="no environment nobody 1"):
            damage(platform.store, "nobody", "1")

    def test_a_writer_can_lose_against_another(self, platform: Platform) -> None:
        """Then it is 500, what was to be written is not, and the other's is there."""
        lose_races(platform.store, 2)
        created = platform.ask("POST", "/env/", WRITTEN)
        theirs = platform.read()
        updated = platform.ask("PUT", ONE, {"tags": ["mine"]})
        assert created == error(500, "env demo-env-1.2.3 already exists")
        assert theirs == {**NOTHING, "id": "demo-env-1.2.3", "name": "demo-env", "version": "1.2.3"}
        assert updated == error(500, "resource version mismatch for demo-env-1.2.3")
        assert platform.read()["tags"] is None
        assert platform.data("PUT", ONE, {"tags": ["mine"]}) is True

    def test_faults_are_told_in_the_envelope(self, new_platform: Callable[..., Platform]) -> None:
        """And a list that lags or is cut short shows the past, or less."""
        faults = [
            Fault("GET /health", status=503, message="later"),
            Fault("GET /env/", nth=(1,), hide=2),
            Fault("GET /env/", nth=(2,), lag=5),
        ]
        platform = new_platform(faults=faults)
        platform.wait(10)
        platform.add("terminal", "1.2.0")
        platform.data("PUT", "/env/notes/2.0.1", {"tags": ["new"]})
        cut, lagging, now = (platform.data("GET", "/env/") for _ in range(3))
        assert platform.ask("GET", "/health") == error(503, "later")
        assert [one["id"] for one in cut] == BORN[:3]
        assert [(one["id"], one["tags"]) for one in lagging] == [(key, ["linux"]) for key in BORN]
        assert [(one["id"], one["tags"]) for one in now[1:2]] == [("notes-2.0.1", ["new"])]
        assert len(now) == 5

    def test_the_file_keeps_it_all(self, tmp_path: Path) -> None:
        """A second process sees what the first one wrote, and is not born again."""
        found: list[Any] = []
        for _ in range(2):
            with Store(tmp_path / "aenv.sqlite") as store:
                platform = Platform(store)
                if not found:
                    platform.add()
                found.append(platform.data("GET", "/env/"))
        assert found[0] == found[1]
        assert len(found[0]) == len(BORN) + 1
