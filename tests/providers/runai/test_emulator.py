"""The embedded Run:ai, asked over HTTP inside the process."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from wire import JUPYTER, SECURITY, TENSORBOARD, serving

from reconciler.providers.emulator import Fault, Faults, Store
from reconciler.providers.runai import api
from reconciler.providers.runai.emulator import Options, add_access_key, add_workload, build_app, refuse
from reconciler.providers.runai.emulator.secrets import digest_of

EAST = "3f1b7c2e-9a54-4d0e-8c61-2b7e5d90a111"
WEST = "8d52a6f0-1c3b-4e97-b5a8-6f04c9e7d222"
UNKNOWN = "00000000-0000-4000-8000-00000000dead"
START = datetime(2026, 3, 1, 8, 0, 0, 123, tzinfo=UTC)
PREINSTALLED = ["jupyter-lab", "jupyter-tensorboard", "tensorboard", "llm-server", "chatbot-ui", "gpt2"]


class Platform:
    """A client that is signed in, on a clock that stands still until it is moved."""

    def __init__(
        self, store: Store, *, options: Options | None = None, faults: Sequence[Fault] = (), first_id: int = 1
    ) -> None:
        self.store = store
        self.now = START
        self.ids = first_id
        app = build_app(store, clock=self.clock, new_id=self.new_id, options=options or Options())
        self.app = Faults(faults).around(app, refuse=refuse)
        self.token = ""
        key = {"grantType": "client_credentials", "clientId": "embedded", "clientSecret": "embedded"}
        self.token = self.ask("POST", api.TOKEN_V1, json=key)[1]["accessToken"]

    def clock(self) -> datetime:
        return self.now

    def new_id(self) -> str:
        self.ids += 1
        return f"00000000-0000-4000-8000-{self.ids:012d}"

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def send(self, method: str, path: str, *, token: str | None = None, **more: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(self.app),
                base_url="http://runai",
                headers={"authorization": f"Bearer {self.token if token is None else token}"},
            ) as client:
                return await client.request(method, path, **more)

        return asyncio.run(run())

    def ask(self, method: str, path: str, json: Any = None, **more: Any) -> tuple[int, Any]:
        response = self.send(method, path, **({} if json is None else {"json": json}), **more)
        return response.status_code, response.json() if response.content else None

    def create(self, meta: Any, spec: Any = None, path: str = api.ENVIRONMENTS) -> dict[str, Any]:
        """A created asset; *meta* may be a name, in tenant scope."""
        meta = {"name": meta, "scope": "tenant"} if isinstance(meta, str) else meta
        status, asset = self.ask("POST", path, {"meta": meta, "spec": {} if spec is None else spec})
        assert status == 202, asset
        return dict(asset)

    def names(self, path: str = api.ENVIRONMENTS, **query: Any) -> list[str]:
        """The names in a list, without the preinstalled environments."""
        status, listed = self.ask("GET", path, params=query)
        assert status == 200, listed
        names = [entry["meta"]["name"] for entry in listed["entries"]]
        return [name for name in names if name not in PREINSTALLED]


@pytest.fixture
def new_platform() -> Iterator[Callable[..., Platform]]:
    """Makes platforms, each in memory and new."""
    stores: list[Store] = []

    def make(**more: Any) -> Platform:
        stores.append(Store(None))
        return Platform(stores[-1], **more)

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def platform(new_platform: Callable[..., Platform]) -> Platform:
    return new_platform()


def error(code: int, message: str, details: str) -> tuple[int, dict[str, Any]]:
    return code, {"code": code, "message": message, "details": details}


class TestTokens:
    """Who is let in."""

    @pytest.mark.parametrize(
        "body",
        [
            {"grantType": "client_credentials", "clientID": "embedded", "clientSecret": "embedded"},
            {"grantType": "client_credentials", "clientId": "embedded", "clientSecret": "embedded"},
            {"GRANTTYPE": "client_credentials", "clientid": "embedded", "CLIENTSECRET": "embedded"},
            {"grantType": "app_token", "appID": "embedded", "appSecret": "embedded"},
            {"grantType": "app_token", "AppId": "embedded", "AppSecret": "embedded"},
        ],
    )
    def test_v1_reads_its_keys_in_any_case(self, platform: Platform, body: dict[str, str]) -> None:
        """OpenAPI, documentation and SDK spell them differently, and all are in use."""
        status, answer = platform.ask("POST", api.TOKEN_V1, body, token="")
        listed = platform.ask("GET", api.CLUSTERS, token=answer["accessToken"])
        assert (status, sorted(answer), answer["expiresIn"], listed[0]) == (
            200,
            ["accessToken", "expiresIn"],
            3600,
            200,
        )

    @pytest.mark.parametrize(
        ("content", "message", "details"),
        [
            (
                {"grantType": "client_credentials", "clientId": "embedded", "clientSecret": "wrong"},
                "Invalid credentials",
                "no access key with this id and secret",
            ),
            (
                {"grantType": "app_token", "appId": "nobody", "appSecret": "embedded"},
                "Invalid credentials",
                "no access key with this id and secret",
            ),
            (
                {"grantType": "app_token", "clientId": "embedded", "clientSecret": "embedded"},
                "Required parameter is missing",
                "app_token needs an id and a secret",
            ),
            (
                {"grantType": "client_credentials", "clientId": "embedded", "clientSecret": 1},
                "Required parameter is missing",
                "client_credentials needs an id and a secret",
            ),
            (
                {"grantType": "refresh_token", "refreshToken": "x"},
                "Invalid request",
                "grantType: one of client_credentials, app_token",
            ),
            ({"grantType": []}, "Invalid request", "grantType: one of client_credentials, app_token"),
            ({}, "Invalid request", "grantType: one of client_credentials, app_token"),
            ([], "The body is not a JSON object", "Expected `object`, got `array`"),
        ],
    )
    def test_v1_refuses_with_400(self, platform: Platform, content: Any, message: str, details: str) -> None:
        """400 is all that v1 declares, wrong secrets included."""
        assert platform.ask("POST", api.TOKEN_V1, content) == error(400, message, details)

    def test_v2_speaks_oauth2(self, platform: Platform) -> None:
        """A form in, snake case out."""
        form = {
            "grant_type": "client_credentials",
            "client_id": "embedded",
            "client_secret": "embedded",
        }
        status, answer = platform.ask("POST", api.TOKEN_V2, data=form, token="")
        token = answer.pop("access_token")
        assert (status, answer, platform.ask("GET", api.CLUSTERS, token=token)[0]) == (
            200,
            {"token_type": "Bearer", "expires_in": 3600},
            200,
        )

    @pytest.mark.parametrize(
        ("form", "status", "kind", "description"),
        [
            (
                {"grant_type": "client_credentials", "client_id": "embedded", "client_secret": "wrong"},
                401,
                "invalid_client",
                "no access key with this id and secret",
            ),
            (
                {"grant_type": "client_credentials"},
                401,
                "invalid_client",
                "no access key with this id and secret",
            ),
            (
                {"grant_type": "password", "username": "u", "password": "p"},
                400,
                "unsupported_grant_type",
                "only client_credentials is supported",
            ),
            ({}, 400, "invalid_request", "grant_type is missing"),
        ],
    )
    def test_v2_refuses_in_oauth2_words(
        self, platform: Platform, form: dict[str, str], status: int, kind: str, description: str
    ) -> None:
        """Not in the envelope that all other calls use."""
        assert platform.ask("POST", api.TOKEN_V2, data=form) == (
            status,
            {"error": kind, "error_description": description},
        )

    @pytest.mark.parametrize("client_id", ["embedded", "a~b?c>d~~??>>", "schlüssel", 'quo"te\\'])
    def test_a_token_is_a_jwt_that_plain_base64_can_read(self, platform: Platform, client_id: str) -> None:
        """The SDK decodes the middle part with the standard alphabet and needs exp."""
        add_access_key(platform.store, client_id=client_id, client_secret="s")
        body = {"grantType": "client_credentials", "clientId": client_id, "clientSecret": "s"}
        token = platform.ask("POST", api.TOKEN_V1, body)[1]["accessToken"]
        middle = token.split(".")[1]
        issued = int(START.timestamp())
        assert (set(middle) & set("-_"), json.loads(base64.b64decode(middle + "==", validate=False))) == (
            set(),
            {"iss": "embedded", "sub": client_id, "iat": issued, "exp": issued + 3600},
        )
        assert platform.ask("GET", api.CLUSTERS, token=token)[0] == 200

    def test_a_token_lasts_as_long_as_it_says(self, new_platform: Callable[..., Platform]) -> None:
        """To the second, and then it is 401."""
        platform = new_platform(options=Options(token_lifetime=60))
        platform.now = datetime(2026, 3, 1, 8, 0, 59, 999999, tzinfo=UTC)
        before = platform.ask("GET", api.CLUSTERS)[0]
        platform.wait(0.000001)
        assert (before, platform.ask("GET", api.CLUSTERS)) == (
            200,
            error(401, "Token is expired.", "ask for a new access token"),
        )

    @pytest.mark.parametrize(
        ("header", "message", "details"),
        [
            ("", "Unauthorized", "Authorization: Bearer <access token> is needed"),
            ("Basic YTpi", "Unauthorized", "Authorization: Bearer <access token> is needed"),
            ("Bearer opaque", "Unauthorized", "Authorization: Bearer <access token> is needed"),
            ("Bearer a.b.c", "Issuer is not familiar.", "the access token was not issued here"),
        ],
    )
    def test_what_is_not_our_token_is_401(
        self, platform: Platform, header: str, message: str, details: str
    ) -> None:
        """Before anything else is looked at."""
        response = platform.send(
            "POST", api.ENVIRONMENTS, content=b"not JSON", headers={"authorization": header}
        )
        assert (response.status_code, response.json()) == error(401, message, details)

    def test_an_altered_token_is_401(self, platform: Platform) -> None:
        """Another payload under the same signature is not ours."""
        head, payload, signature = platform.token.split(".")
        claims = json.loads(base64.b64decode(payload + "=="))
        claims["exp"] += 1
        forged = base64.b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        assert platform.ask("GET", api.CLUSTERS, token=f"{head}.{forged}.{signature}") == error(
            401, "Issuer is not familiar.", "the access token was not issued here"
        )

    def test_a_token_is_good_for_every_process_on_the_store_and_no_other(
        self, platform: Platform, new_platform: Callable[..., Platform]
    ) -> None:
        """The key that signs is in the store."""
        restarted = Platform(platform.store, first_id=100)
        stranger = new_platform(first_id=200)
        statuses = [
            other.ask("GET", api.CLUSTERS, token=platform.token)[0] for other in (restarted, stranger)
        ]
        assert statuses == [200, 401]

    def test_an_access_key_can_be_added_and_changed(self, platform: Platform) -> None:
        """The new secret counts, the old one no longer; what it creates carries its id."""
        add_access_key(platform.store, client_id="ci", client_secret="one")
        add_access_key(platform.store, client_id="ci", client_secret="two")
        answers = [
            platform.ask("POST", api.TOKEN_V1, {"grantType": "app_token", "appId": "ci", "appSecret": secret})
            for secret in ("one", "two")
        ]
        platform.token = answers[1][1]["accessToken"]
        created = platform.create("lab")["meta"]
        assert ([status for status, _ in answers], created["createdBy"], created["updatedBy"]) == (
            [400, 200],
            "ci",
            "ci",
        )


# An environment in which every field is set.

META = {
    "name": "torch-24-01",
    "description": "PyTorch with notebook, shared by the vision team",
    "scope": "project",
    "clusterId": EAST,
    "departmentId": "4500001",
    "projectId": 4501234,
    "autoDelete": False,
    "workloadSupportedTypes": {
        "workspace": True,
        "training": True,
        "inference": False,
        "distributed": True,
        "distFramework": "PyTorch",
    },
    "private": False,
}
SPEC = {
    "image": "jupyter/scipy-notebook:2024-05-01",
    "imagePullPolicy": "IfNotPresent",
    "command": "start-notebook.sh",
    "args": "--ServerApp.base_url=/lab",
    "workingDir": "/home/jovyan",
    "environmentVariables": [
        {"name": "NCCL_DEBUG", "value": "INFO", "exclude": False, "description": "verbosity of NCCL"},
        {"name": "DATASET", "value": "", "exclude": False, "description": "fill in at submission"},
        {"name": "SCHEMA", "configMap": {"name": "team-config", "key": "schema"}},
        {"name": "POD", "podFieldRef": {"path": "metadata.name"}},
    ],
    "connections": [
        JUPYTER,
        TENSORBOARD,
        serving("http"),
        {
            "name": "Weights & Biases",
            "isExternal": True,
            "externalToolInfo": {
                "toolType": "wandb",
                "externalUrl": "https://wandb.example.com/${WANDB_PROJECT}",
            },
        },
    ],
    **SECURITY,
    "probes": {
        "readiness": {
            "initialDelaySeconds": 5,
            "periodSeconds": 10,
            "timeoutSeconds": 2,
            "successThreshold": 1,
            "failureThreshold": 3,
            "handler": {
                "httpGet": {"path": "/healthz", "port": 8000, "host": "svc.example.com", "scheme": "HTTP"}
            },
        }
    },
}
FIRST_ID = "00000000-0000-4000-8000-000000000004"  # two ids went into the signing key
SIGNED = {
    "id": FIRST_ID,
    "kind": "environment",
    "tenantId": 1001,
    "createdBy": "embedded",
    "createdAt": "2026-03-01T08:00:00.000123Z",
    "updatedBy": "embedded",
    "updatedAt": "2026-03-01T08:00:00.000123Z",
    "updateCount": 1,
}


class TestEnvironments:
    """E1 to E5, without filters."""

    def test_a_full_environment_comes_back_as_it_was_sent(self, platform: Platform) -> None:
        """The server adds its own part of meta; POST, GET and list say the same."""
        created = platform.ask("POST", api.ENVIRONMENTS, {"meta": META, "spec": SPEC})
        read = platform.ask("GET", f"{api.ENVIRONMENTS}/{FIRST_ID}")
        listed = platform.ask("GET", api.ENVIRONMENTS)[1]["entries"][-1]
        expected = {"meta": {**META, **SIGNED, "projectName": "vision"}, "spec": SPEC}
        assert (created, read, listed) == ((202, expected), (200, expected), expected)

    def test_the_spec_has_the_23_fields_of_the_api(self) -> None:
        """The full environment of these tests has them all."""
        assert sorted(api.SPEC_FIELDS) == sorted(SPEC)

    def test_null_is_absent_and_empty_is_not(self, platform: Platform) -> None:
        """The SDK sends null for what is not set; what is set to nothing stays."""
        nulls = dict.fromkeys(set(SPEC) - {"connections", "overrideUidGidInWorkspace"})
        meta = dict.fromkeys(set(META) - {"name", "scope"})
        empty = {
            "environmentVariables": [],
            "capabilities": [],
            "connections": [],
            "overrideUidGidInWorkspace": False,
            "supplementalGroups": "",
            "probes": {},
        }
        created = platform.create({"name": "n", "scope": "tenant", **meta}, {**nulls, **empty})
        assert created == {"meta": {"name": "n", "scope": "tenant", **SIGNED}, "spec": empty}

    def test_nested_nulls_are_absent_too(self, platform: Platform) -> None:
        """In variables, tools, probes and workload types."""
        spec = {
            "environmentVariables": [
                {
                    "name": "A",
                    "value": None,
                    "credential": None,
                    "configMap": None,
                    "podFieldRef": None,
                    "exclude": None,
                    "description": None,
                }
            ],
            "connections": [
                {
                    "name": "t",
                    "isExternal": False,
                    "externalToolInfo": None,
                    "internalToolInfo": {
                        "toolType": "custom",
                        "connectionType": "LoadBalancer",
                        "containerPort": 1,
                        "nodePortInfo": None,
                        "servingPortInfo": {"protocol": None},
                        "externalUrlInfo": {},
                    },
                }
            ],
            "probes": {"readiness": {"handler": {"httpGet": {"path": None, "port": None}}}},
        }
        meta = {
            "name": "n",
            "scope": "tenant",
            "workloadSupportedTypes": {"training": True, "workspace": None},
        }
        created = platform.create(meta, spec)
        assert (created["meta"]["workloadSupportedTypes"], created["spec"]) == (
            {"training": True},
            {
                "environmentVariables": [{"name": "A"}],
                "connections": [
                    {
                        "name": "t",
                        "isExternal": False,
                        "internalToolInfo": {
                            "toolType": "custom",
                            "connectionType": "LoadBalancer",
                            "containerPort": 1,
                            "servingPortInfo": {},
                            "externalUrlInfo": {},
                        },
                    }
                ],
                "probes": {"readiness": {"handler": {"httpGet": {}}}},
            },
        )

    @pytest.mark.parametrize(
        ("given", "filled"),
        [
            ({"scope": "tenant"}, {}),
            ({"scope": "cluster", "clusterId": EAST.upper()}, {"clusterId": EAST}),
            (
                {"scope": "department", "departmentId": "4500002"},
                {"clusterId": EAST, "departmentId": "4500002"},
            ),
            (
                {"scope": "project", "projectId": 4501238},
                {
                    "clusterId": WEST,
                    "departmentId": "4500003",
                    "projectId": 4501238,
                    "projectName": "vision",
                },
            ),
        ],
    )
    def test_the_ids_above_the_scope_are_filled_in(
        self, platform: Platform, given: dict[str, Any], filled: dict[str, Any]
    ) -> None:
        """A client sends the scope's own id and gets those above with it."""
        created = platform.create({"name": "n", **given})["meta"]
        assert created == {"name": "n", "scope": given["scope"], **filled, **SIGNED}

    @pytest.mark.parametrize(
        ("meta", "message", "details"),
        [
            (
                {"scope": "cluster"},
                "Required parameter is missing",
                "meta.clusterId: required in scope cluster",
            ),
            (
                {"scope": "department", "clusterId": EAST},
                "Required parameter is missing",
                "meta.departmentId: required in scope department",
            ),
            (
                {"scope": "project", "projectId": None},
                "Required parameter is missing",
                "meta.projectId: required in scope project",
            ),
            (
                {"scope": "project", "projectId": 7},
                "project not found",
                "meta.projectId: 7 does not exist",
            ),
            (
                {"scope": "cluster", "clusterId": UNKNOWN},
                "cluster not found",
                f"meta.clusterId: {UNKNOWN} does not exist",
            ),
            (
                {"scope": "department", "departmentId": "4501234"},
                "department not found",
                "meta.departmentId: 4501234 does not exist",
            ),
            (
                {"scope": "tenant", "projectId": 4501234},
                "Scope and scope id do not match",
                "meta.projectId: 4501234 does not fit scope tenant",
            ),
            (
                {"scope": "cluster", "clusterId": EAST, "departmentId": "4500001"},
                "Scope and scope id do not match",
                "meta.departmentId: 4500001 does not fit scope cluster",
            ),
            (
                {"scope": "project", "projectId": 4501234, "clusterId": WEST},
                "Scope and scope id do not match",
                f"meta.clusterId: {WEST} does not fit scope project",
            ),
        ],
    )
    def test_a_scope_needs_its_own_id_and_no_foreign_one(
        self, platform: Platform, meta: dict[str, Any], message: str, details: str
    ) -> None:
        """The SDK's model does not check that, so the server does."""
        body = {"meta": {"name": "n", **meta}, "spec": {}}
        assert platform.ask("POST", api.ENVIRONMENTS, body) == error(400, message, details)

    def test_nobody_creates_in_the_vendors_scope(self, platform: Platform) -> None:
        """It is a permission we do not have, not a mistake in the body."""
        body = {"meta": {"name": "n", "scope": "system"}, "spec": {}}
        assert platform.ask("POST", api.ENVIRONMENTS, body) == error(
            403, "You do not have sufficient permissions.", "meta.scope: system is the vendor's own"
        )

    def test_a_name_is_taken_once_per_scope(self, platform: Platform) -> None:
        """The same name elsewhere is another environment."""
        meta = {"name": "lab", "scope": "project", "projectId": 4501234}
        elsewhere = [
            {"name": "lab", "scope": "tenant"},
            {"name": "lab", "scope": "cluster", "clusterId": EAST},
            {"name": "lab", "scope": "project", "projectId": 4501235},
        ]
        for other in [meta, *elsewhere]:
            platform.create(other)
        assert platform.ask("POST", api.ENVIRONMENTS, {"meta": meta, "spec": {}}) == error(
            409, "environment already exists", "name=lab"
        )

    def test_a_name_may_be_taken_once_per_tenant(self, new_platform: Callable[..., Platform]) -> None:
        """What the vendor really does is not known, so both can be had."""
        platform = new_platform(options=Options(unique="tenant"))
        platform.create("lab")
        meta = {"name": "lab", "scope": "project", "projectId": 4501234}
        assert platform.ask("POST", api.ENVIRONMENTS, {"meta": meta, "spec": {}}) == error(
            409, "environment already exists", "name=lab"
        )

    def test_an_unknown_id_is_404(self, platform: Platform) -> None:
        """For every method on one object, be the id a UUID or not."""
        body = {"meta": {"name": "n"}, "spec": {}}
        for asset_id in (UNKNOWN, "nonsense"):
            path = f"{api.ENVIRONMENTS}/{asset_id}"
            answers = [
                platform.ask("GET", path),
                platform.ask("PUT", path, body),
                platform.ask("DELETE", path),
            ]
            assert answers == [error(404, "Resource id not found.", f"environment {asset_id}")] * 3

    def test_a_deleted_environment_is_gone(self, platform: Platform) -> None:
        """202 once, then 404; the name is free again and the id is not used again."""
        created = platform.create("lab")
        path = f"{api.ENVIRONMENTS}/{created['meta']['id']}"
        answers = [
            platform.ask("DELETE", path),
            platform.ask("DELETE", path)[0],
            platform.ask("GET", path)[0],
        ]
        again = platform.create("lab")
        assert (answers, platform.names(), again["meta"]["id"] == created["meta"]["id"]) == (
            [(202, {"code": 202, "message": "Request has been accepted."}), 404, 404],
            ["lab"],
            False,
        )

    @pytest.mark.parametrize("name", ["llm-server", "chatbot-ui"])
    def test_a_protected_environment_is_left_alone(self, platform: Platform, name: str) -> None:
        """The vendor's own two can be read, not changed."""
        entries = platform.ask("GET", api.ENVIRONMENTS)[1]["entries"]
        [before] = [entry for entry in entries if entry["meta"]["name"] == name]
        path = f"{api.ENVIRONMENTS}/{before['meta']['id']}"
        answers = [
            platform.ask("PUT", path, {"meta": {"name": "mine"}, "spec": {}}),
            platform.ask("DELETE", path),
        ]
        refused = error(403, "You do not have sufficient permissions.", "the vendor protects this asset")
        assert (answers, platform.ask("GET", path)) == ([refused, refused], (200, before))

    def test_the_other_preinstalled_environments_can_be_changed(self, platform: Platform) -> None:
        """Nothing marks them but who created them."""
        first = platform.ask("GET", api.ENVIRONMENTS)[1]["entries"][0]
        path = f"{api.ENVIRONMENTS}/{first['meta']['id']}"
        status, changed = platform.ask(
            "PUT", path, {"meta": {"name": "jupyter-lab"}, "spec": {"image": "a:1"}}
        )
        assert (status, changed["spec"], changed["meta"]["createdBy"], changed["meta"]["updatedBy"]) == (
            202,
            {"image": "a:1"},
            "Run:ai",
            "embedded",
        )


class TestUpdates:
    """PUT."""

    def test_a_put_replaces_what_it_does_not_mention(self, platform: Platform) -> None:
        """Description and spec are what was sent; the rest of meta stays; the version moves."""
        created = platform.create(META, SPEC)
        platform.wait(60)
        body = {"meta": {"name": "torch-24-02"}, "spec": {"image": "pytorch/pytorch:2.4.0", "args": None}}
        expected_meta = {
            **created["meta"],
            "name": "torch-24-02",
            "updatedAt": "2026-03-01T08:01:00.000123Z",
            "updateCount": 2,
        }
        del expected_meta["description"]
        expected = {"meta": expected_meta, "spec": {"image": "pytorch/pytorch:2.4.0"}}
        path = f"{api.ENVIRONMENTS}/{FIRST_ID}"
        assert (platform.ask("PUT", path, body), platform.ask("GET", path)) == (
            (202, expected),
            (200, expected),
        )

    def test_a_put_may_merge(self, new_platform: Callable[..., Platform]) -> None:
        """What it mentions is changed, null included; what it does not stays."""
        platform = new_platform(options=Options(put="merge"))
        platform.create(META, SPEC)
        path = f"{api.ENVIRONMENTS}/{FIRST_ID}"
        body = {"meta": {"name": "torch-24-01"}, "spec": {"image": "a:1", "args": None, "connections": []}}
        kept = platform.ask("PUT", path, body)[1]
        cleared = platform.ask("PUT", path, {"meta": {**body["meta"], "description": None}, "spec": {}})[1]
        spec = {**SPEC, "image": "a:1", "connections": []}
        del spec["args"]
        assert (kept["spec"], kept["meta"]["description"]) == (spec, META["description"])
        assert (cleared["spec"], cleared["meta"].get("description")) == (spec, None)

    def test_every_put_moves_the_version(self, platform: Platform) -> None:
        """Also when nothing differs and the clock stands still."""
        platform.create("lab")
        body = {"meta": {"name": "lab"}, "spec": {}}
        versions = [
            (meta["updatedAt"], meta["updateCount"])
            for meta in (
                platform.ask("PUT", f"{api.ENVIRONMENTS}/{FIRST_ID}", body)[1]["meta"] for _ in range(3)
            )
        ]
        assert versions == [
            ("2026-03-01T08:00:00.000124Z", 2),
            ("2026-03-01T08:00:00.000125Z", 3),
            ("2026-03-01T08:00:00.000126Z", 4),
        ]

    def test_a_rename_onto_a_taken_name_is_409(self, platform: Platform) -> None:
        """And changes nothing; one's own name is not taken."""
        platform.create("taken")
        other = platform.create("lab", {"image": "a:1"})
        path = f"{api.ENVIRONMENTS}/{other['meta']['id']}"
        refused = platform.ask("PUT", path, {"meta": {"name": "taken"}, "spec": {}})
        assert (refused, platform.ask("GET", path)) == (
            error(409, "environment already exists", "name=taken"),
            (200, other),
        )
        assert platform.ask("PUT", path, {"meta": {"name": "lab"}, "spec": {}})[0] == 202

    @pytest.mark.parametrize("field", ["scope", "clusterId", "projectId", "workloadSupportedTypes", "id"])
    def test_meta_takes_name_and_description_only(self, platform: Platform, field: str) -> None:
        """Everything else is fixed at creation, and saying it again is an unknown field."""
        created = platform.create("lab")
        path = f"{api.ENVIRONMENTS}/{created['meta']['id']}"
        body = {"meta": {"name": "lab", field: None}, "spec": {}}
        assert platform.ask("PUT", path, body) == error(
            400, "Invalid request", f"Object contains unknown field `{field}` - at `$.meta`"
        )

    def test_a_put_is_checked_like_a_post(self, platform: Platform) -> None:
        """E4 declares no 400, yet a bad body must fail."""
        created = platform.create("lab")
        path = f"{api.ENVIRONMENTS}/{created['meta']['id']}"
        connection = {"name": "x", "externalToolInfo": {"toolType": "comet", "externalUrl": "https://c"}}
        answers = [
            platform.ask("PUT", path, {"spec": {}}),
            platform.ask("PUT", path, {"meta": {"name": "lab"}, "spec": {"connections": [connection]}}),
        ]
        assert answers == [
            error(400, "Invalid request", "Object missing required field `meta`"),
            error(400, "Invalid request", "spec.connections[0].isExternal: does not fit the tool"),
        ]


# Each line changes one thing of a sound request: the place, the new value (or - for without), the complaint.
LIMITS = r"""
meta.name = ""                                  Expected `str` of length >= 1
meta.name = null                                Expected `str`, got `null`
meta.name = -                                   Object missing required field `name`
meta.description = ""                           Expected `str` of length >= 1
meta.scope = "account"                          Invalid enum value 'account'
meta.scope = -                                  Object missing required field `scope`
meta.clusterId = "gpu-east"                     Invalid UUID
meta.departmentId = ""                          Expected `str` of length >= 1
meta.projectId = "4501234"                      Expected `int | null`, got `str`
meta.projectId = 2147483648                     Expected `int` <= 2147483647
meta.autoDelete = "no"                          Expected `bool | null`, got `str`
meta.private = 0                                Expected `bool | null`, got `int`
meta.id = "1"                                   Object contains unknown field `id`
meta.workloadSupportedTypes.distFramework = "TensorFlow"    Invalid enum value 'TensorFlow'
meta.workloadSupportedTypes.training = "yes"    Expected `bool | null`, got `str`
meta.workloadSupportedTypes.jobs = true         Object contains unknown field `jobs`
spec.gpu = 1                                    Object contains unknown field `gpu`
spec.image = ""                                 Expected `str` of length >= 1
spec.imagePullPolicy = "always"                 Invalid enum value 'always'
spec.command = ""                               Expected `str` of length >= 1
spec.args = ["a"]                               Expected `str | null`, got `array`
spec.args = ""                                  Expected `str` of length >= 1
spec.workingDir = ""                            Expected `str` of length >= 1
spec.uidGidSource = "idpToken"                  Invalid enum value 'idpToken'
spec.runAsUid = 1.5                             Expected `int | null`, got `float`
spec.runAsGid = 9223372036854775808             Expected `int` <= 9223372036854775807
spec.supplementalGroups = [1]                   Expected `str | null`, got `array`
spec.connections = null                         Expected `array`, got `null`
spec.overrideUidGidInWorkspace = null           Expected `bool`, got `null`
spec.capabilities.0 = "ALL"                     Invalid enum value 'ALL'
spec.capabilities.1 = "CAP_CHOWN"               Invalid enum value 'CAP_CHOWN'
spec.seccompProfileType = ""                    Invalid enum value ''
spec.stdin = "yes"                              Expected `bool | null`, got `str`
spec.probes.liveness = {}                       Object contains unknown field `liveness`
spec.probes.readiness.initialDelaySeconds = -1  Expected `int` >= 0
spec.probes.readiness.periodSeconds = 0         Expected `int` >= 1
spec.probes.readiness.timeoutSeconds = 0        Expected `int` >= 1
spec.probes.readiness.successThreshold = 0      Expected `int` >= 1
spec.probes.readiness.failureThreshold = 0      Expected `int` >= 1
spec.probes.readiness.handler.exec = {}         Object contains unknown field `exec`
spec.probes.readiness.handler.httpGet = null    Expected `object`, got `null`
spec.probes.readiness.handler.httpGet.port = 0  Expected `int` >= 1
spec.probes.readiness.handler.httpGet.port = 65536          Expected `int` <= 65535
spec.probes.readiness.handler.httpGet.scheme = "http"       Invalid enum value 'http'
spec.probes.readiness.handler.httpGet.path = "healthz"      Expected `str` matching regex PROBE
spec.probes.readiness.handler.httpGet.path = "/a\n"         Expected `str` matching regex PROBE
spec.environmentVariables.0 = null              Expected `object`, got `null`
spec.environmentVariables.0.name = -            Object missing required field `name`
spec.environmentVariables.0.name = ""           Expected `str` of length >= 1
spec.environmentVariables.0.value = 1           Expected `str | null`, got `int`
spec.environmentVariables.0.secret = {}         Object contains unknown field `secret`
spec.environmentVariables.2.configMap.name = "Team"         Expected `str` matching regex CONFIGMAP
spec.environmentVariables.2.configMap.name = "a\n"          Expected `str` matching regex CONFIGMAP
spec.environmentVariables.2.configMap.key = ""  Expected `str` of length >= 1
spec.environmentVariables.3.podFieldRef.path = ""           Expected `str` of length >= 1
spec.environmentVariables.3.credential = {"assetId": "db"}  Invalid UUID at .assetId
spec.connections.0.name = ""                    Expected `str` of length >= 1
spec.connections.0.name = -                     Object missing required field `name`
spec.connections.0.isExternal = null            Expected `bool`, got `null`
spec.connections.0.internalToolInfo.toolType = "wandb"      Invalid enum value 'wandb'
spec.connections.0.internalToolInfo.connectionType = "Ingress"    Invalid enum value 'Ingress'
spec.connections.0.internalToolInfo.connectionType = -      Object missing required field `connectionType`
spec.connections.0.internalToolInfo.containerPort = 0       Expected `int` >= 1
spec.connections.0.internalToolInfo.containerPort = -       Object missing required field `containerPort`
spec.connections.0.internalToolInfo.externalUrlInfo.externalUrl = ""    Expected `str` of length >= 1
spec.connections.1.internalToolInfo.nodePortInfo.isCustomPort = null    Expected `bool`, got `null`
spec.connections.2.internalToolInfo.servingPortInfo.protocol = "tcp"    Invalid enum value 'tcp'
spec.connections.3.externalToolInfo.toolType = "mlflow"     Invalid enum value 'mlflow'
spec.connections.3.externalToolInfo.externalUrl = ""        Expected `str` of length >= 1
spec.connections.3.externalToolInfo.externalUrl = -         Object missing required field `externalUrl`
"""
PATTERNS = {
    "PROBE": r"'^(/[a-zA-Z0-9\\-_./]*)?\\Z'",
    "CONFIGMAP": r"'^[a-z0-9]([a-z0-9-]*[a-z0-9])?\\Z'",
}


def changed(path: str, value: str) -> dict[str, Any]:
    """The full request with the value at *path* replaced or, when it is ``-``, taken away."""
    body: dict[str, Any] = {"meta": copy.deepcopy(META), "spec": copy.deepcopy(SPEC)}
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    inner: Any = body
    for part in parents:
        inner = inner[part]
    if value == "-":
        del inner[last]
    else:
        inner[last] = json.loads(value)
    return body


TOOL = {"toolType": "custom", "connectionType": "NodePort", "containerPort": 1}
WANDB = {"toolType": "wandb", "externalUrl": "https://w"}


class TestLimits:
    """What is not as the schema says is 400, and the answer says where."""

    @pytest.mark.parametrize("line", LIMITS.strip().splitlines())
    def test_of_each_field(self, platform: Platform, line: str) -> None:
        """One thing wrong, everything else sound."""
        found = re.fullmatch(r"(\S+) = (.+?) {2,}(.+)", line)
        assert found is not None
        path, value, complaint = found.groups()
        complaint, _, below = complaint.partition(" at ")
        # A field that is unknown or missing is complained about at the object it should be in.
        place = path.rpartition(".")[0] if complaint.startswith("Object") else path + below
        place = re.sub(r"\.(\d+)", r"[\1]", place)
        for name, pattern in PATTERNS.items():
            complaint = complaint.replace(name, pattern)
        assert platform.ask("POST", api.ENVIRONMENTS, changed(path, value)) == error(
            400, "Invalid request", f"{complaint} - at `$.{place}`"
        )
        assert platform.names() == []

    def test_of_a_description(self, platform: Platform) -> None:
        """250 characters, whatever they are."""
        platform.create({"name": "a", "scope": "tenant", "description": "é" * 250})
        body = {"meta": {"name": "b", "scope": "tenant", "description": "é" * 251}, "spec": {}}
        assert platform.ask("POST", api.ENVIRONMENTS, body) == error(
            400, "Invalid request", "Expected `str` of length <= 250 - at `$.meta.description`"
        )

    @pytest.mark.parametrize(
        ("spec", "details"),
        [
            (
                {"environmentVariables": [{"name": "A", "credential": {"key": "k"}}]},
                "spec.environmentVariables[0].credential.assetId: required",
            ),
            (
                {"environmentVariables": [{"name": "A"}, {"name": "B", "value": "", "podFieldRef": {}}]},
                "spec.environmentVariables[1]: value, credential, configMap and podFieldRef exclude "
                "each other",
            ),
            (
                {"connections": [{"name": "a"}]},
                "spec.connections[0]: exactly one of internalToolInfo and externalToolInfo is needed",
            ),
            (
                {"connections": [{"name": "a", "internalToolInfo": TOOL, "externalToolInfo": WANDB}]},
                "spec.connections[0]: exactly one of internalToolInfo and externalToolInfo is needed",
            ),
            (
                {"connections": [{"name": "a", "isExternal": True, "internalToolInfo": TOOL}]},
                "spec.connections[0].isExternal: does not fit the tool",
            ),
            (
                {"connections": [{"name": "a", "externalToolInfo": WANDB}]},
                "spec.connections[0].isExternal: does not fit the tool",
            ),
            (
                {"connections": [{"name": "a", "internalToolInfo": TOOL}] * 2},
                "spec.connections[1].name: used by another connection",
            ),
        ],
    )
    def test_of_what_belongs_together(self, platform: Platform, spec: dict[str, Any], details: str) -> None:
        """What the schema cannot say."""
        body = {"meta": {"name": "n", "scope": "tenant"}, "spec": spec}
        assert platform.ask("POST", api.ENVIRONMENTS, body) == error(400, "Invalid request", details)

    @pytest.mark.parametrize(
        ("content", "message", "details"),
        [
            (b"", "The body is not JSON", "Input data was truncated"),
            (b"{", "The body is not JSON", "Input data was truncated"),
            (
                b'{"meta":{"name":"\xff"}}',
                "The body is not JSON",
                "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
            ),
            (b'"{}"', "Invalid request", "Expected `object`, got `str`"),
            (
                b'{"meta":{"name":"n","scope":"tenant"}}',
                "Invalid request",
                "Object missing required field `spec`",
            ),
            (b'{"spec":{}}', "Invalid request", "Object missing required field `meta`"),
            (
                b'{"meta":{"name":"n","scope":"tenant"},"spec":{},"kind":"environment"}',
                "Invalid request",
                "Object contains unknown field `kind`",
            ),
        ],
    )
    def test_of_the_body(self, platform: Platform, content: bytes, message: str, details: str) -> None:
        """It is a JSON object with meta and spec."""
        response = platform.send("POST", api.ENVIRONMENTS, content=content)
        assert (response.status_code, response.json()) == error(400, message, details)


PLACED = {
    "everywhere": {"scope": "tenant"},
    "on-east": {"scope": "cluster", "clusterId": EAST},
    "on-west": {"scope": "cluster", "clusterId": WEST},
    "of-research": {"scope": "department", "departmentId": "4500001"},
    "of-products": {"scope": "department", "departmentId": "4500002"},
    "of-field": {"scope": "department", "departmentId": "4500003"},
    "in-vision": {"scope": "project", "projectId": 4501234},
    "in-nlp": {"scope": "project", "projectId": 4501235},
    "in-speech": {"scope": "project", "projectId": 4501236},
    "in-west-vision": {"scope": "project", "projectId": 4501238},
}


class TestFilters:
    """The query of a list."""

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ({}, list(PLACED)),
            ({"scope": "tenant"}, ["everywhere"]),
            ({"scope": "cluster"}, ["on-east", "on-west"]),
            ({"scope": "department"}, ["of-research", "of-products", "of-field"]),
            ({"scope": "project"}, ["in-vision", "in-nlp", "in-speech", "in-west-vision"]),
            ({"projectId": 4501234}, ["everywhere", "on-east", "of-research", "in-vision"]),
            ({"projectId": 4501238}, ["everywhere", "on-west", "of-field", "in-west-vision"]),
            ({"projectId": 4501234, "scope": "project"}, ["in-vision"]),
            ({"projectId": 4501237, "scope": "project"}, []),
            ({"projectId": 7}, ["everywhere"]),
            (
                {"projectId": 4501234, "includeDescendants": "true"},
                ["everywhere", "on-east", "of-research", "in-vision"],
            ),
            ({"departmentId": "4500001"}, ["everywhere", "on-east", "of-research"]),
            ({"departmentId": "4500001", "scope": "department"}, ["of-research"]),
            (
                {"departmentId": "4500001", "includeDescendants": "true"},
                ["everywhere", "on-east", "of-research", "in-vision", "in-nlp"],
            ),
            ({"clusterId": WEST}, ["everywhere", "on-west"]),
            ({"clusterId": WEST, "scope": "cluster"}, ["on-west"]),
            ({"clusterId": WEST, "scope": "tenant"}, ["everywhere"]),
            ({"clusterId": WEST, "includeDescendants": "false"}, ["everywhere", "on-west"]),
            (
                {"clusterId": WEST, "includeDescendants": "true"},
                ["everywhere", "on-west", "of-field", "in-west-vision"],
            ),
            ({"includeDescendants": "true"}, list(PLACED)),
            (
                {"projectId": 4501234, "departmentId": "4500001", "clusterId": EAST},
                ["everywhere", "on-east", "of-research", "in-vision"],
            ),
            ({"projectId": 4501234, "clusterId": WEST}, []),
            ({"name": "in-vision"}, ["in-vision"]),
            ({"name": "vision"}, ["in-vision", "in-west-vision"]),
            ({"name": "vision", "projectId": 4501234}, ["in-vision"]),
            ({"name": "nothing"}, []),
            ({"name": "%"}, []),
        ],
    )
    def test_by_place_and_name(self, platform: Platform, query: dict[str, Any], names: list[str]) -> None:
        """An id brings what is inherited from above; a scope leaves what is exactly there."""
        for name, place in PLACED.items():
            platform.create({"name": name, **place})
        assert platform.names(**query) == names

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ({"isWorkspace": "true"}, ["interactive", "both"]),
            ({"isWorkspace": "false"}, ["plain", "served", "torch", "mpi"]),
            ({"isTraining": "true"}, ["both", "torch"]),
            ({"isInference": "true"}, ["served"]),
            ({"isDistributed": "true"}, ["torch", "mpi"]),
            ({"isDistributed": "true", "isTraining": "true"}, ["torch"]),
            ({"distributedFramework": "PyTorch"}, ["torch"]),
            ({"distributedFramework": "TF"}, []),
        ],
    )
    def test_by_workload_type(self, platform: Platform, query: dict[str, str], names: list[str]) -> None:
        """A framework counts for distributed environments only."""
        for name, types in {
            "plain": None,
            "interactive": {"workspace": True, "distFramework": "PyTorch"},
            "both": {"workspace": True, "training": True, "inference": None},
            "served": {"inference": True, "workspace": False},
            "torch": {"distributed": True, "training": True, "distFramework": "PyTorch"},
            "mpi": {"distributed": True, "distFramework": "MPI"},
        }.items():
            platform.create({"name": name, "scope": "tenant", "workloadSupportedTypes": types})
        assert platform.names(**query) == names

    @pytest.mark.parametrize(
        ("query", "details"),
        [
            ({"scope": "system"}, "scope: one of tenant, cluster, department, project"),
            (
                {"scope": "project", "includeDescendants": "true"},
                "scope and includeDescendants exclude each other",
            ),
            ({"projectId": "vision"}, "projectId: a whole number from -2147483648 to 2147483647"),
            ({"projectId": "2147483648"}, "projectId: a whole number from -2147483648 to 2147483647"),
            ({"usageInfo": "yes"}, "usageInfo: true or false"),
            ({"isWorkspace": "True"}, "isWorkspace: true or false"),
            (
                {"complyToProject": "4501234"},
                "complyToProject and complyToWorkloadType go together",
            ),
            (
                {"complyToWorkloadType": "Training"},
                "complyToProject and complyToWorkloadType go together",
            ),
            (
                {"complyToProject": "1", "complyToWorkloadType": "Job"},
                "complyToWorkloadType: one of Workspace, Training, Distributed, Inference",
            ),
            (
                {"complyToReplicaType": "Leader"},
                "complyToReplicaType: one of Worker, Master",
            ),
        ],
    )
    def test_a_query_that_cannot_be_is_400(
        self, platform: Platform, query: dict[str, str], details: str
    ) -> None:
        """The answer names the parameter."""
        assert platform.ask("GET", api.ENVIRONMENTS, params=query) == error(400, "Invalid query", details)

    def test_names_are_found_as_they_were_sent(self, platform: Platform) -> None:
        """Blanks, slashes, commas and other alphabets, escaped as a client escapes them."""
        odd = "a/b c,d+é%"
        platform.create(odd)
        assert platform.names(name=odd) == [odd]


class TestExtras:
    """What an asset says in addition, when asked."""

    def test_nothing_is_said_unasked(self, platform: Platform) -> None:
        """An asset is meta and spec."""
        entries = platform.ask("GET", api.ENVIRONMENTS)[1]["entries"]
        read = platform.ask("GET", f"{api.ENVIRONMENTS}/{entries[0]['meta']['id']}?usageInfo=false")[1]
        assert {*map(tuple, entries), tuple(read)} == {("meta", "spec")}

    def test_a_used_environment_names_its_workloads_and_templates(self, platform: Platform) -> None:
        """By kind, each with its phase; in the list as in the single answer."""
        created = platform.create(META, SPEC)
        submitted = [
            add_workload(
                platform.store,
                environment_id=FIRST_ID,
                name=f"{kind}-{status}",
                kind=kind,
                status=status,
                project_id="4501234",
                clock=platform.clock,
                new_id=platform.new_id,
            )
            for kind, status in (
                ("workspace", "Running"),
                ("training", "Completed"),
                ("distributed", "Pending"),
                ("inference", "Running"),
                ("workspace", "Stopped"),
            )
        ]
        expected = {
            **created,
            "usedBy": {
                "workspaces": [
                    {"id": submitted[0], "name": "workspace-Running", "status": "Running"},
                    {"id": submitted[4], "name": "workspace-Stopped", "status": "Stopped"},
                ],
                "trainings": [{"id": submitted[1], "name": "training-Completed", "status": "Completed"}],
                "distributed": [{"id": submitted[2], "name": "distributed-Pending", "status": "Pending"}],
                "inferences": [{"id": submitted[3], "name": "inference-Running", "status": "Running"}],
            },
        }
        listed = platform.ask("GET", api.ENVIRONMENTS, params={"usageInfo": "true"})[1]["entries"]
        read = platform.ask("GET", f"{api.ENVIRONMENTS}/{FIRST_ID}", params={"usageInfo": "true"})
        assert (listed[-1], read) == (expected, (200, expected))
        assert {entry["meta"]["name"]: entry["usedBy"] for entry in listed[:-1]} == {
            "jupyter-lab": {
                "workspaces": [
                    {"id": "c0a8f3b2-6f5d-4f8e-9d38-3b1f4d6a7e01", "name": "lab-1", "status": "Running"},
                    {"id": "c0a8f3b2-6f5d-4f8e-9d38-3b1f4d6a7e02", "name": "lab-2", "status": "Stopped"},
                ],
                "templates": [{"id": "c0a8f3b2-6f5d-4f8e-9d38-3b1f4d6a7e04", "name": "notebook"}],
            },
            "jupyter-tensorboard": {},
            "tensorboard": {},
            "llm-server": {},
            "chatbot-ui": {},
            "gpt2": {
                "inferences": [
                    {"id": "c0a8f3b2-6f5d-4f8e-9d38-3b1f4d6a7e03", "name": "gpt2-demo", "status": "Running"}
                ]
            },
        }

    def test_status_and_compliance_come_on_request(self, platform: Platform) -> None:
        """All at once, in the order of the schema; the last use is that of the latest workload."""
        platform.create(META)
        for seconds in (60, -30):
            platform.wait(seconds)
            add_workload(
                platform.store,
                environment_id=FIRST_ID,
                name=f"at-{seconds}",
                kind="training",
                status="Running",
                project_id="4501234",
                clock=platform.clock,
                new_id=platform.new_id,
            )
        query = {
            "usageInfo": "true",
            "statusInfo": "true",
            "complyToProject": "4501234",
            "complyToWorkloadType": "Distributed",
            "complyToReplicaType": "Worker",
        }
        read = platform.ask("GET", f"{api.ENVIRONMENTS}/{FIRST_ID}", params=query)[1]
        listed = platform.ask("GET", api.ENVIRONMENTS, params=query)[1]["entries"]
        extras = {
            "usageTimes": {"lastUsedByWorkload": "2026-03-01T08:01:00.000123Z"},
            "compliance": {"imposed": False, "compliance": True, "reason": []},
            "status": {"status": "No issues found"},
        }
        assert list(read) == ["meta", "spec", "usedBy", "usageTimes", "compliance", "status"]
        assert ({key: read[key] for key in extras}, listed[-1]) == (extras, read)
        assert listed[1]["usageTimes"] == {}

    def test_an_unknown_environment_or_project_submits_nothing(self, platform: Platform) -> None:
        """The helper for tests fails instead of making an impossible workload."""

        def submit(environment_id: str, project_id: str) -> None:
            add_workload(
                platform.store,
                environment_id=environment_id,
                name="w",
                kind="training",
                status="Running",
                project_id=project_id,
                clock=platform.clock,
                new_id=platform.new_id,
            )

        platform.create("lab")
        with pytest.raises(LookupError, match=f"no environment {UNKNOWN}"):
            submit(UNKNOWN, "4501234")
        with pytest.raises(LookupError, match="no project 7"):
            submit(FIRST_ID, "7")


SECRET = "hunter2-hunter2"
CREDENTIALS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "generic-secret",
        {"keyValuePairs": [{"key": "password", "value": SECRET}, {"key": "user", "value": SECRET}]},
        {"keyValuePairs": [{"key": "password"}, {"key": "user"}], "keyId": 1},
    ),
    (
        "docker-registry",
        {"url": "https://images.example.com", "user": "u", "password": SECRET},
        {"url": "https://images.example.com", "user": "u", "keyId": 1},
    ),
    (
        "access-key",
        {"accessKeyId": "id", "secretAccessKey": SECRET},
        {"accessKeyId": "id", "keyId": 1},
    ),
    ("password", {"user": "u", "password": SECRET}, {"user": "u", "keyId": 1}),
    ("ngc-api-key", {"ngc_api_key": SECRET}, {"keyId": 1}),
]
KIND = {kind.segment: kind for kind in api.CREDENTIAL_KINDS}


class TestCredentials:
    """The five kinds."""

    @pytest.mark.parametrize(("segment", "sent", "kept"), CREDENTIALS)
    def test_a_credential_is_answered_without_its_secret(
        self, platform: Platform, segment: str, sent: dict[str, Any], kept: dict[str, Any]
    ) -> None:
        """Of a generic secret the names of the keys remain."""
        kind = KIND[segment]
        meta = {"name": "db", "scope": "project", "projectId": 4501234, "description": "login"}
        created = platform.create(meta, sent, kind.path)
        expected = {
            "meta": {
                **meta,
                "clusterId": EAST,
                "departmentId": "4500001",
                **SIGNED,
                "kind": kind.kind,
                "projectName": "vision",
            },
            "spec": kept,
            "clusterInfo": {"resources": [{"name": f"{kind.kind.lower()}-db"}]},
        }
        assert (
            created,
            platform.ask("GET", f"{kind.path}/{FIRST_ID}"),
            platform.ask("GET", kind.path),
            platform.ask("GET", api.CREDENTIALS),
        ) == (
            expected,
            (200, expected),
            (200, {"entries": [expected]}),
            (200, {"entries": [{**expected, "spec": {kind.kind: kept}}]}),
        )

    def test_no_secret_reaches_the_disk(self, tmp_path: Path) -> None:
        """Neither in the database nor in the log beside it."""
        path = tmp_path / "s"
        with Store(path) as store:
            platform = Platform(store)
            for segment, sent, _ in CREDENTIALS:
                platform.create("c", sent, KIND[segment].path)
            add_access_key(store, client_id="ci", client_secret=SECRET)
            found = {file.name: SECRET.encode() in file.read_bytes() for file in tmp_path.iterdir()}
            names = platform.names(api.CREDENTIALS)
        found["after"] = SECRET.encode() in path.read_bytes()
        assert (found, names) == (
            {"s": False, "s-wal": False, "s-shm": False, "after": False},
            ["c"] * 5,
        )

    @pytest.mark.parametrize(("segment", "sent", "kept"), CREDENTIALS)
    def test_a_digest_tells_which_secret_a_credential_got(
        self, platform: Platform, segment: str, sent: dict[str, Any], kept: dict[str, Any]
    ) -> None:
        """In the file alone, under a salt of its own, until the credential is deleted."""
        created = platform.create("c", sent, KIND[segment].path)
        digests = "SELECT name, digest FROM runai_secret WHERE asset_id = ?"
        found = dict(platform.store.rows(digests, (created["meta"]["id"],)))
        salt = platform.store.row("SELECT value FROM runai_setting WHERE name = 'signing_key'")
        assert salt is not None
        assert set(found.values()) == {digest_of(salt[0], SECRET)} != {digest_of("other", SECRET)}
        said = platform.send("GET", api.CREDENTIALS).text + json.dumps(created)
        assert [one for one in found.values() if one in said] == []
        platform.ask("DELETE", f"{KIND[segment].path}/{created['meta']['id']}")
        assert platform.store.rows(digests, (created["meta"]["id"],)) == []

    @pytest.mark.parametrize("segment", ["generic-secret", "docker-registry", "access-key", "password"])
    def test_a_kubernetes_secret_may_be_named_instead(self, platform: Platform, segment: str) -> None:
        """Then nothing else is needed."""
        created = platform.create("c", {"existingSecretName": "mine"}, KIND[segment].path)
        assert created["spec"] == {"existingSecretName": "mine", "keyId": 1}

    @pytest.mark.parametrize(
        ("segment", "spec", "message", "details"),
        [
            (
                "generic-secret",
                {"keyValuePairs": []},
                "Required parameter is missing",
                "spec: keyValuePairs or existingSecretName needed",
            ),
            (
                "docker-registry",
                {"user": "u"},
                "Required parameter is missing",
                "spec: password, url or existingSecretName needed",
            ),
            (
                "access-key",
                {"existingSecretName": None},
                "Required parameter is missing",
                "spec: accessKeyId, secretAccessKey or existingSecretName needed",
            ),
            (
                "password",
                {"user": "u", "password": None},
                "Required parameter is missing",
                "spec: password or existingSecretName needed",
            ),
            (
                "ngc-api-key",
                {},
                "Invalid request",
                "Object missing required field `ngc_api_key` - at `$.spec`",
            ),
            (
                "ngc-api-key",
                {"ngc_api_key": f"{SECRET}!"},
                "Invalid request",
                "Expected `str` matching regex '^[-._A-Za-z0-9]+\\\\Z' - at `$.spec.ngc_api_key`",
            ),
            (
                "password",
                {"user": "u", "password": ""},
                "Invalid request",
                "Expected `str` of length >= 1 - at `$.spec.password`",
            ),
            (
                "password",
                {"user": "u", "password": "p", "token": SECRET},
                "Invalid request",
                "Object contains unknown field `token` - at `$.spec`",
            ),
            (
                "generic-secret",
                {"keyValuePairs": [{"key": "", "value": SECRET}]},
                "Invalid request",
                "Expected `str` of length >= 1 - at `$.spec.keyValuePairs[0].key`",
            ),
        ],
    )
    def test_an_incomplete_credential_is_400(
        self, platform: Platform, segment: str, spec: dict[str, Any], message: str, details: str
    ) -> None:
        """The answer names what is wrong and never a value."""
        body = {"meta": {"name": "c", "scope": "tenant"}, "spec": spec}
        assert platform.ask("POST", KIND[segment].path, body) == error(400, message, details)

    def test_one_list_shows_all_kinds(self, platform: Platform) -> None:
        """Each spec under the name of its kind; the same name may be used by several kinds."""
        for segment, sent, _ in CREDENTIALS:
            platform.create("c", sent, KIND[segment].path)
        entries = platform.ask("GET", api.CREDENTIALS)[1]["entries"]
        assert [(entry["meta"]["kind"], entry["spec"]) for entry in entries] == [
            (KIND[segment].kind, {KIND[segment].kind: kept}) for segment, _, kept in CREDENTIALS
        ]
        assert platform.names(KIND["password"].path) == ["c"]

    @pytest.mark.parametrize("segment", list(KIND))
    def test_only_the_description_can_be_changed(self, platform: Platform, segment: str) -> None:
        """A new value is a new credential; saying name or spec is refused; no meta changes nothing."""
        kind = KIND[segment]
        [sent] = [sent for name, sent, _ in CREDENTIALS if name == segment]
        created = platform.create({"name": "c", "scope": "tenant", "description": "old"}, sent, kind.path)
        path = f"{kind.path}/{FIRST_ID}"
        answers = [
            platform.ask("PUT", path, {"meta": {"description": "new"}}),
            platform.ask("PUT", path, {}),
            platform.ask("PUT", path, {"meta": {}}),
            platform.ask("PUT", path, {"meta": {"name": "d"}}),
            platform.ask("PUT", path, {"spec": sent}),
        ]
        described = [asset["meta"].get("description") for _, asset in answers[:3]]
        untouched = {key: created[key] for key in ("spec", "clusterInfo")}
        assert described == ["new", "new", None]
        assert [{key: asset[key] for key in untouched} for _, asset in answers[:3]] == [untouched] * 3
        assert answers[3:] == [
            error(400, "Invalid request", "Object contains unknown field `name` - at `$.meta`"),
            error(400, "Invalid request", "Object contains unknown field `spec`"),
        ]

    @pytest.mark.parametrize("segment", list(KIND))
    def test_a_delete_answers_202_or_204(self, platform: Platform, segment: str) -> None:
        """Two kinds answer without a body; afterwards all are gone."""
        kind = KIND[segment]
        [sent] = [sent for name, sent, _ in CREDENTIALS if name == segment]
        platform.create("c", sent, kind.path)
        path = f"{kind.path}/{FIRST_ID}"
        accepted = (202, {"code": 202, "message": "Request has been accepted."})
        expected = (204, None) if segment in ("generic-secret", "ngc-api-key") else accepted
        assert (platform.ask("DELETE", path), platform.ask("DELETE", path)) == (
            expected,
            error(404, "Resource id not found.", f"{kind.kind} {FIRST_ID}"),
        )

    def test_a_credential_is_found_under_its_own_kind_only(self, platform: Platform) -> None:
        """Its id says nothing at another path."""
        platform.create("c", {"user": "u", "password": "p"}, KIND["password"].path)
        paths = [f"{KIND['generic-secret'].path}/{FIRST_ID}", f"{api.ENVIRONMENTS}/{FIRST_ID}"]
        assert [platform.ask("GET", path)[0] for path in paths] == [404, 404]

    def test_a_taken_name_is_409(self, platform: Platform) -> None:
        """Within one kind and one scope."""
        platform.create("c", {"user": "u", "password": "p"}, KIND["password"].path)
        body = {"meta": {"name": "c", "scope": "tenant"}, "spec": {"user": "u", "password": "p"}}
        assert platform.ask("POST", KIND["password"].path, body) == error(
            409, "password already exists", "name=c"
        )

    @pytest.mark.parametrize("path", [api.CREDENTIALS, KIND["password"].path])
    def test_lists_filter_by_place_and_name(self, platform: Platform, path: str) -> None:
        """As environments do, but includeDescendants is not a parameter here."""
        for name, place in PLACED.items():
            platform.create({"name": name, **place}, {"user": "u", "password": "p"}, KIND["password"].path)
        queries = [
            {"projectId": 4501234},
            {"scope": "cluster"},
            {"departmentId": "4500003", "includeDescendants": "true"},
            {"name": "nlp"},
        ]
        assert [platform.names(path, **query) for query in queries] == [
            ["everywhere", "on-east", "of-research", "in-vision"],
            ["on-east", "on-west"],
            ["everywhere", "on-west", "of-field"],
            ["in-nlp"],
        ]

    def test_a_used_credential_names_its_environments_and_stays(self, platform: Platform) -> None:
        """Until the last environment that takes a value from it is changed or deleted."""
        password = KIND["password"].path
        credential = platform.create("git", {"user": "u", "password": "p"}, password)["meta"]["id"]
        other = platform.create("spare", {"user": "u", "password": "p"}, password)["meta"]["id"]
        variables = [
            {"name": "USER", "credential": {"assetId": credential, "key": "user"}},
            {"name": "PASSWORD", "credential": {"assetId": credential, "key": "password"}},
        ]
        one = platform.create("one", {"environmentVariables": variables})["meta"]["id"]
        two = platform.create("two", {"environmentVariables": variables})["meta"]["id"]
        path = f"{password}/{credential}"
        usage = {"usageInfo": "true", "statusInfo": "true"}
        used = {"assets": {"environments": [{"id": one, "name": "one"}, {"id": two, "name": "two"}]}}
        everything = platform.ask("GET", api.CREDENTIALS, params=usage)[1]["entries"]
        assert [(entry["usedBy"], entry["status"]) for entry in everything] == [
            (used, {"status": "No issues found"}),
            ({}, {"status": "No issues found"}),
        ]
        assert platform.ask("GET", path, params=usage)[1]["usedBy"] == used
        assert platform.ask("GET", f"{password}/{other}", params=usage)[1]["usedBy"] == {}
        refusals = [platform.ask("DELETE", path)]
        platform.ask("DELETE", f"{api.ENVIRONMENTS}/{one}")
        refusals.append(platform.ask("DELETE", path))
        platform.ask("PUT", f"{api.ENVIRONMENTS}/{two}", {"meta": {"name": "two"}, "spec": {}})
        assert (refusals, platform.ask("DELETE", path)[0]) == (
            [
                error(412, "Precondition failed", "used by environments: one, two"),
                error(412, "Precondition failed", "used by environments: two"),
            ],
            202,
        )
        assert platform.store.row("SELECT count(*) FROM runai_reference") == (0,)

    def test_a_put_can_take_values_from_a_credential(self, platform: Platform) -> None:
        """The variable comes back as it was sent."""
        credential = platform.create("git", {"user": "u", "password": "p"}, KIND["password"].path)["meta"][
            "id"
        ]
        environment = platform.create("one")["meta"]["id"]
        spec = {"environmentVariables": [{"name": "U", "credential": {"assetId": credential, "key": "user"}}]}
        body = {"meta": {"name": "one"}, "spec": spec}
        status, changed = platform.ask("PUT", f"{api.ENVIRONMENTS}/{environment}", body)
        assert (status, changed["spec"]) == (202, spec)
        assert platform.ask("DELETE", f"{KIND['password'].path}/{credential}")[0] == 412

    @pytest.mark.parametrize(
        ("place", "statuses"),
        [
            ({"scope": "tenant"}, [202, 202, 202, 202]),
            ({"scope": "cluster", "clusterId": EAST}, [400, 202, 202, 202]),
            ({"scope": "department", "departmentId": "4500001"}, [400, 400, 202, 202]),
            ({"scope": "project", "projectId": 4501234}, [400, 400, 400, 202]),
            ({"scope": "project", "projectId": 4501235}, [400, 400, 400, 400]),
            ({"scope": "cluster", "clusterId": WEST}, [400, 400, 400, 400]),
        ],
    )
    def test_a_credential_serves_its_scope_and_what_is_below(
        self, platform: Platform, place: dict[str, Any], statuses: list[int]
    ) -> None:
        """For environments at tenant, cluster, department and project of the same line."""
        credential = platform.create(
            {"name": "git", **place}, {"user": "u", "password": "p"}, KIND["password"].path
        )["meta"]["id"]
        spec = {"environmentVariables": [{"name": "U", "credential": {"assetId": credential, "key": "user"}}]}
        line = ["everywhere", "on-east", "of-research", "in-vision"]
        answers = [
            platform.ask("POST", api.ENVIRONMENTS, {"meta": {"name": "e", **PLACED[name]}, "spec": spec})
            for name in line
        ]
        refused = error(
            400,
            "Invalid request",
            f"spec.environmentVariables: no credential {credential} at or above this scope",
        )
        assert [status for status, _ in answers] == statuses
        assert all(answer == refused for answer in answers if answer[0] == 400)

    def test_an_environment_cannot_use_a_credential_that_is_not_there(self, platform: Platform) -> None:
        """Nor an asset of another family."""
        environment = platform.create("e")["meta"]["id"]
        answers = [
            platform.ask(
                "POST",
                api.ENVIRONMENTS,
                {
                    "meta": {"name": "n", "scope": "tenant"},
                    "spec": {"environmentVariables": [{"name": "A", "credential": {"assetId": asset_id}}]},
                },
            )
            for asset_id in (UNKNOWN, environment)
        ]
        assert answers == [
            error(
                400,
                "Invalid request",
                f"spec.environmentVariables: no credential {asset_id} at or above this scope",
            )
            for asset_id in (UNKNOWN, environment)
        ]


COMPUTE = {
    "cpuCoreLimit": 16.0,
    "cpuCoreRequest": 8.0,
    "cpuMemoryLimit": "+128Gi",
    "cpuMemoryRequest": "64Gi",
    "extendedResources": [{"resource": "vendor.example/x", "quantity": "2", "exclude": False}],
    "gpuDevicesRequest": 1,
    "gpuMemoryLimit": "40G",
    "gpuMemoryRequest": "20M",
    "gpuPortionLimit": 1.0,
    "gpuPortionRequest": 0.5,
    "gpuRequestType": "portion",
    "largeShmRequest": True,
}


class TestCompute:
    """Compute assets: as environments, with another spec."""

    def test_a_compute_asset_lives_as_an_environment_does(self, platform: Platform) -> None:
        """POST, GET, list, PUT, DELETE."""
        meta = {"name": "gpu-2", "scope": "project", "projectId": 4501235}
        created = platform.create(meta, COMPUTE, api.COMPUTE)
        filled = {"clusterId": EAST, "departmentId": "4500001", "projectName": "nlp"}
        expected = {"meta": {**meta, **filled, **SIGNED, "kind": "compute"}, "spec": COMPUTE}
        path = f"{api.COMPUTE}/{FIRST_ID}"
        assert (created, platform.ask("GET", path), platform.ask("GET", api.COMPUTE)) == (
            expected,
            (200, expected),
            (200, {"entries": [expected]}),
        )
        status, changed = platform.ask(
            "PUT", path, {"meta": {"name": "gpu-4"}, "spec": {"gpuDevicesRequest": 4}}
        )
        assert (status, changed["meta"]["name"], changed["spec"]) == (202, "gpu-4", {"gpuDevicesRequest": 4})
        assert [platform.ask("DELETE", path)[0], platform.ask("GET", path)[0]] == [202, 404]

    def test_a_spec_may_be_null(self, platform: Platform) -> None:
        """It has to be there all the same, and a taken name is taken."""
        meta = {"name": "c", "scope": "tenant"}
        answers = [
            platform.ask("POST", api.COMPUTE, {"meta": meta, "spec": None}),
            platform.ask("POST", api.COMPUTE, {"meta": meta, "spec": None}),
            platform.ask("POST", api.COMPUTE, {"meta": meta}),
            platform.ask("PUT", f"{api.COMPUTE}/{FIRST_ID}", {"meta": {"name": "c"}, "spec": None}),
        ]
        assert (answers[0][0], answers[0][1]["spec"], answers[3][0], answers[3][1]["spec"]) == (
            202,
            {},
            202,
            {},
        )
        assert answers[1:3] == [
            error(409, "compute already exists", "name=c"),
            error(400, "Invalid request", "Object missing required field `spec`"),
        ]

    @pytest.mark.parametrize(
        ("spec", "details"),
        [
            ({"gpus": 1}, "Object contains unknown field `gpus` - at `$.spec`"),
            ({"gpuDevicesRequest": -1}, "Expected `int` >= 0 - at `$.spec.gpuDevicesRequest`"),
            ({"cpuCoreRequest": -0.5}, "Expected `float` >= 0.0 - at `$.spec.cpuCoreRequest`"),
            ({"gpuRequestType": "device"}, "Invalid enum value 'device' - at `$.spec.gpuRequestType`"),
            (
                {"cpuMemoryRequest": "lots"},
                "Expected `str` matching regex '^([+]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)\\\\Z' - at "
                "`$.spec.cpuMemoryRequest`",
            ),
        ],
    )
    def test_limits(self, platform: Platform, spec: dict[str, Any], details: str) -> None:
        """Counts, amounts and quantities."""
        body = {"meta": {"name": "c", "scope": "tenant"}, "spec": spec}
        assert platform.ask("POST", api.COMPUTE, body) == error(400, "Invalid request", details)

    def test_usage_is_empty_and_status_is_no_parameter(self, platform: Platform) -> None:
        """Nothing uses compute assets here."""
        created = platform.create("c", COMPUTE, api.COMPUTE)
        query = {"usageInfo": "true", "statusInfo": "true"}
        assert platform.ask("GET", f"{api.COMPUTE}/{FIRST_ID}", params=query) == (
            200,
            {**created, "usedBy": {}},
        )


class TestOrganisation:
    """Clusters, departments, projects."""

    def test_clusters_are_a_bare_array(self, platform: Platform) -> None:
        """Not an object with entries, and not paged."""
        status, clusters = platform.ask("GET", api.CLUSTERS)
        born = "2025-01-01T00:00:00.000000Z"
        assert (status, clusters) == (
            200,
            [
                {
                    "uuid": uuid,
                    "tenantId": 1001,
                    "name": name,
                    "createdAt": born,
                    "domain": f"{name}.example.com",
                    "version": "2.24.30",
                    "status": {"state": "Connected"},
                    "updatedAt": born,
                    "lastLiveness": born,
                }
                for uuid, name in ((EAST, "gpu-east"), (WEST, "gpu-west"))
            ],
        )
        assert platform.ask("GET", f"{api.CLUSTERS}/{WEST}") == (200, clusters[1])
        short = [{key: entry[key] for key in ("uuid", "tenantId", "name", "createdAt")} for entry in clusters]
        assert platform.ask("GET", f"{api.CLUSTERS}?verbosity=metadata") == (200, short)
        assert platform.ask("GET", f"{api.CLUSTERS}/{WEST}?verbosity=metadata") == (200, short[1])

    def test_projects_come_in_pages(self, platform: Platform) -> None:
        """next is the offset of the page that follows, absent on the last one."""
        pages = []
        query = {"limit": 2}
        while True:
            page = platform.ask("GET", api.PROJECTS, params=query)[1]
            pages.append(([(p["id"], p["name"], p["clusterId"]) for p in page["projects"]], page.get("next")))
            if "next" not in page:
                break
            query = {"limit": 2, "offset": page["next"]}
        assert pages == [
            ([("4501234", "vision", EAST), ("4501235", "nlp", EAST)], 2),
            ([("4501236", "speech", EAST), ("4501237", "forecast", EAST)], 4),
            ([("4501238", "vision", WEST)], None),
        ]

    def test_a_page_that_is_just_full_is_the_last(self, platform: Platform) -> None:
        """There is no empty page behind it."""
        page = platform.ask("GET", api.PROJECTS, params={"limit": 5})[1]
        assert (len(page["projects"]), sorted(page)) == (5, ["projects"])

    def test_the_size_of_a_page_has_a_default(self, new_platform: Callable[..., Platform]) -> None:
        """A switch, for trying pages without many objects."""
        platform = new_platform(options=Options(page_size=3))
        page = platform.ask("GET", api.PROJECTS)[1]
        assert (len(page["projects"]), page["next"]) == (3, 3)

    def test_one_unit_is_read_by_id(self, platform: Platform) -> None:
        """As the list shows it; an unknown id is 404."""
        listed = {
            path: platform.ask("GET", path)[1][key]
            for path, key in ((api.PROJECTS, "projects"), (api.DEPARTMENTS, "departments"))
        }
        assert platform.ask("GET", f"{api.PROJECTS}/4501238") == (200, listed[api.PROJECTS][4])
        assert platform.ask("GET", f"{api.DEPARTMENTS}/4500002") == (200, listed[api.DEPARTMENTS][1])
        assert [
            platform.ask("GET", f"{path}/1") for path in (api.PROJECTS, api.DEPARTMENTS, api.CLUSTERS)
        ] == [
            error(404, "Resource id not found.", "project 1"),
            error(404, "Resource id not found.", "department 1"),
            error(404, "Resource id not found.", "cluster 1"),
        ]

    @pytest.mark.parametrize(
        ("query", "ids"),
        [
            ({"filterBy": "name==vision"}, [4, 8]),
            ({"filterBy": f"name==vision,clusterId=={WEST}"}, [8]),
            ({"filterBy": "name!=vision"}, [5, 6, 7]),
            ({"filterBy": "name=@e"}, [6, 7]),
            ({"filterBy": "name!@e"}, [4, 5, 8]),
            ({"filterBy": "name=^s"}, [6]),
            ({"filterBy": "name=$n"}, [4, 8]),
            ({"filterBy": "name<=nlp"}, [5, 7]),
            ({"filterBy": "departmentId==4500001"}, [4, 5]),
            ({"filterBy": "parentId==4500003"}, [8]),
            ({"filterBy": "phase==Ready"}, [4, 5, 6, 7, 8]),
            ({"filterBy": "totalGpuQuota>=4.5"}, []),
            ({"filterBy": "totalGpuQuota==4"}, [4, 5, 6, 7, 8]),
            ({"filterBy": "avgGpuUtilization7d<=0"}, [4, 5, 6, 7, 8]),
            ({"filterBy": "createdAt>=2025-01-01T01:00:00+01:00"}, [4, 5, 6, 7, 8]),
            ({"filterBy": "createdAt<=2024-12-31"}, []),
            ({"filterBy": ""}, [4, 5, 6, 7, 8]),
            ({"search": "ISI"}, [4, 8]),
            ({"sortBy": "name"}, [7, 5, 6, 4, 8]),
            ({"sortBy": "name", "sortOrder": "desc"}, [4, 8, 6, 5, 7]),
            ({"sortBy": "name", "filterBy": "name!=vision", "limit": "1", "offset": "1"}, [5]),
            ({"offset": "9"}, []),
        ],
    )
    def test_projects_are_filtered_searched_and_sorted(
        self, platform: Platform, query: dict[str, str], ids: list[int]
    ) -> None:
        """The numbers are the last digits of the ids."""
        projects = platform.ask("GET", api.PROJECTS, params=query)[1]["projects"]
        assert [project["id"] for project in projects] == [f"450123{digit}" for digit in ids]

    @pytest.mark.parametrize(
        ("query", "details"),
        [
            ({"limit": "0"}, "limit: a whole number from 1 to 500"),
            ({"limit": "501"}, "limit: a whole number from 1 to 500"),
            ({"offset": "-1"}, "offset: a whole number from 0 to 2147483647"),
            ({"sortOrder": "up"}, "sortOrder: one of asc, desc"),
            ({"filterBy": "totalGpuQuota==many"}, "filterBy: totalGpuQuota cannot be many"),
            ({"filterBy": "createdAt<=yesterday"}, "filterBy: createdAt cannot be yesterday"),
            ({"filterBy": "createdAt=^2025"}, "filterBy: createdAt has no =^"),
        ],
    )
    def test_a_page_that_cannot_be_is_400(
        self, platform: Platform, query: dict[str, str], details: str
    ) -> None:
        """The answer names the parameter."""
        assert platform.ask("GET", api.PROJECTS, params=query) == error(400, "Invalid query", details)

    @pytest.mark.parametrize(
        "query", ["filterBy=owner==me", "filterBy=name", "filterBy=name==", "sortBy=owner"]
    )
    def test_an_unknown_field_is_400(self, platform: Platform, query: str) -> None:
        """The answer lists those that are known."""
        status, answer = platform.ask("GET", f"{api.DEPARTMENTS}?{query}")
        assert (status, answer["code"], answer["message"]) == (400, 400, "Invalid query")
        assert "name, clusterId, totalGpuQuota, createdAt, gpuAllocated" in answer["details"]

    def test_departments_are_listed_and_counted(self, platform: Platform) -> None:
        """Counting takes the same filters as listing."""
        departments = platform.ask("GET", api.DEPARTMENTS, params={"filterBy": f"clusterId=={EAST}"})[1]
        counts = [
            platform.ask("GET", f"{api.DEPARTMENTS}/count?filterBy=clusterId=={EAST}"),
            platform.ask("GET", f"{api.PROJECTS}/count"),
            platform.ask("GET", f"{api.PROJECTS}/count?search=vision"),
        ]
        assert ([entry["name"] for entry in departments["departments"]], counts) == (
            ["research", "products"],
            [(200, {"count": 2}), (200, {"count": 5}), (200, {"count": 2})],
        )


class TestSurroundings:
    """Workloads, templates, the caller's rights, paths that are not there."""

    def test_a_workload_says_which_environment_it_came_from(self, platform: Platform) -> None:
        """With the tools of the environment, in its project, department and cluster."""
        platform.create(META, SPEC)
        submitted = add_workload(
            platform.store,
            environment_id=FIRST_ID,
            name="fit-n",
            kind="distributed",
            status="Pending",
            project_id="4501238",
            clock=platform.clock,
            new_id=platform.new_id,
        )
        workloads = platform.ask("GET", api.WORKLOADS, params={"filterBy": "name==fit-n"})
        at = "2026-03-01T08:00:00.000123Z"
        assert workloads == (
            200,
            {
                "workloads": [
                    {
                        "tenantId": 1001,
                        "type": "runai-job",
                        "name": "fit-n",
                        "id": submitted,
                        "source": "Control-plane",
                        "priority": 50,
                        "priorityClassName": "high",
                        "category": "Train",
                        "clusterId": WEST,
                        "projectId": "4501238",
                        "projectName": "vision",
                        "departmentId": "4500003",
                        "departmentName": "field",
                        "namespace": "runai-vision",
                        "runningPods": 0,
                        "phase": "Pending",
                        "k8sPhase": "Pending",
                        "conditions": [],
                        "createdAt": at,
                        "updatedAt": at,
                        "phaseUpdatedAt": at,
                        "k8sPhaseUpdatedAt": at,
                        "deletedAt": None,
                        "environments": [
                            {
                                "id": FIRST_ID,
                                "name": "torch-24-01",
                                "replicaType": "Worker",
                                "connections": [
                                    {
                                        "name": "Jupyter",
                                        "toolType": "jupyter-notebook",
                                        "connectionType": "ExternalUrl",
                                    },
                                    {
                                        "name": "TensorBoard",
                                        "toolType": "tensorboard",
                                        "connectionType": "NodePort",
                                    },
                                    {
                                        "name": "endpoint",
                                        "toolType": "custom",
                                        "connectionType": "ServingPort",
                                    },
                                ],
                            }
                        ],
                    }
                ]
            },
        )

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ({}, ["lab-1", "lab-2", "gpt2-demo", "New"]),
            ({"filterBy": "phase==Running"}, ["lab-1", "gpt2-demo"]),
            ({"filterBy": "projectName==speech,phase==Running"}, ["gpt2-demo"]),
            ({"filterBy": "priority>=51"}, []),
            ({"sortBy": "name"}, ["New", "gpt2-demo", "lab-1", "lab-2"]),
            ({"filterBy": "createdAt>=2026-01-01"}, ["New"]),
            ({"search": "LAB"}, ["lab-1", "lab-2"]),
            ({"search": "new"}, ["New"]),
            ({"deleted": "true"}, []),
        ],
    )
    def test_workloads_are_filtered_and_counted(
        self, platform: Platform, query: dict[str, str], names: list[str]
    ) -> None:
        """A search does not mind case; none is ever deleted here."""
        platform.create("lab")
        add_workload(
            platform.store,
            environment_id=FIRST_ID,
            name="New",
            kind="training",
            status="Pending",
            project_id="4501234",
            clock=platform.clock,
            new_id=platform.new_id,
        )
        workloads = platform.ask("GET", api.WORKLOADS, params=query)[1]["workloads"]
        count = platform.ask("GET", f"{api.WORKLOADS}/count", params=query)
        assert ([workload["name"] for workload in workloads], count) == (names, (200, {"count": len(names)}))

    def test_a_template_holds_an_environment(self, platform: Platform) -> None:
        """The older kind of template says which."""
        [first] = [
            entry["meta"]["id"]
            for entry in platform.ask("GET", api.ENVIRONMENTS)[1]["entries"]
            if entry["meta"]["name"] == "jupyter-lab"
        ]
        born = "2025-01-01T00:00:00.000000Z"
        assert platform.ask("GET", api.TEMPLATES) == (
            200,
            {
                "entries": [
                    {
                        "meta": {
                            "id": "c0a8f3b2-6f5d-4f8e-9d38-3b1f4d6a7e04",
                            "name": "notebook",
                            "scope": "tenant",
                            "kind": "workload-template",
                            "tenantId": 1001,
                            "createdBy": "Run:ai",
                            "createdAt": born,
                            "updatedBy": "Run:ai",
                            "updatedAt": born,
                        },
                        "spec": {
                            "assets": {
                                "environment": {
                                    "id": first,
                                    "name": "jupyter-lab",
                                    "toolTypes": ["jupyter-notebook"],
                                }
                            }
                        },
                    }
                ]
            },
        )

    def test_the_caller_may_do_everything(self, platform: Platform) -> None:
        """One rule; a page behind it is empty."""
        rule = {
            "id": 1,
            "subjectId": "embedded",
            "subjectType": "service-account",
            "roleId": 1,
            "roleName": "System administrator",
            "scopeId": "1001",
            "scopeType": "tenant",
            "scopeName": "embedded",
            "tenantId": 1001,
        }
        assert platform.ask("GET", api.ACCESS_RULES) == (
            200,
            {"accessRules": {"totalRecords": 1, "displayRecords": 1, "accessRules": [rule]}},
        )
        assert platform.ask("GET", f"{api.ACCESS_RULES}?offset=1") == (
            200,
            {"accessRules": {"totalRecords": 1, "displayRecords": 0, "accessRules": []}},
        )
        assert platform.ask("GET", f"{api.ACCESS_RULES}/count") == (200, {"count": 1})

    @pytest.mark.parametrize("path", ["/", "/api/v1", f"{api.ENVIRONMENTS}/", f"{api.ENVIRONMENTS}/a/b"])
    def test_a_path_that_is_not_there_is_404(self, platform: Platform, path: str) -> None:
        """In the envelope, without a redirect to a path that is."""
        assert platform.ask("GET", path) == error(404, "Resource not found.", f"no such path: {path}")

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("PATCH", f"{api.ENVIRONMENTS}/{UNKNOWN}", "DELETE, GET, PUT"),
            ("PUT", api.ENVIRONMENTS, "GET, POST"),
            ("GET", api.TOKEN_V1, "POST"),
            ("POST", api.CREDENTIALS, "GET"),
        ],
    )
    def test_a_method_that_is_not_there_is_405(
        self, platform: Platform, method: str, path: str, allowed: str
    ) -> None:
        """In the envelope; PATCH does not exist for assets."""
        response = platform.send(method, path)
        assert (response.status_code, response.json(), response.headers["allow"]) == (
            *error(405, f"{method} is not allowed here", ""),
            allowed,
        )


class TestBirth:
    """What a new platform starts with."""

    def test_the_vendors_six_environments_are_there(self, platform: Platform) -> None:
        """In tenant scope, made by the vendor."""
        entries = platform.ask("GET", api.ENVIRONMENTS)[1]["entries"]
        assert [
            (
                entry["meta"]["name"],
                entry["meta"]["scope"],
                entry["meta"]["createdBy"],
                entry["spec"]["image"],
            )
            for entry in entries
        ] == [
            ("jupyter-lab", "tenant", "Run:ai", "jupyter/scipy-notebook"),
            ("jupyter-tensorboard", "tenant", "Run:ai", "gcr.io/run-ai-demo/jupyter-tensorboard"),
            ("tensorboard", "tenant", "Run:ai", "tensorflow/tensorflow:latest"),
            ("llm-server", "tenant", "Run:ai", "runai.jfrog.io/core-llm/runai-vllm:v0.6.4-0.10.0"),
            ("chatbot-ui", "tenant", "Run:ai", "runai.jfrog.io/core-llm/llm-app"),
            ("gpt2", "tenant", "Run:ai", "runai.jfrog.io/core-llm/quickstart-inference:gpt2-cpu"),
        ]

    def test_what_was_made_survives_the_process(self, tmp_path: Path) -> None:
        """A second platform on the file finds it, and nothing is born again."""
        with Store(tmp_path / "s") as store:
            before = Platform(store).create(META, SPEC)
        with Store(tmp_path / "s") as store:
            entries = Platform(store).ask("GET", api.ENVIRONMENTS)[1]["entries"]
        assert ([entry["meta"]["name"] for entry in entries], entries[-1]) == (
            [*PREINSTALLED, "torch-24-01"],
            before,
        )

    def test_the_same_calls_give_the_same_bytes(self, new_platform: Callable[..., Platform]) -> None:
        """Times and ids come in; nothing else varies."""

        def tell(platform: Platform) -> list[bytes]:
            platform.create(META, SPEC)
            paths = (
                api.TOKEN_V1,
                api.ENVIRONMENTS,
                api.PROJECTS,
                api.DEPARTMENTS,
                api.CLUSTERS,
                api.WORKLOADS,
            )
            return [platform.send("GET", path).content for path in paths]

        assert tell(new_platform()) == tell(new_platform())


class TestFaults:
    """What a client of a real platform has to live with."""

    def test_a_list_lags_behind_a_creation(self, new_platform: Callable[..., Platform]) -> None:
        """The single answer does not."""
        platform = new_platform(faults=[Fault("GET *", lag=5)])
        platform.create("lab")
        seen = [platform.names()]
        read = platform.ask("GET", f"{api.ENVIRONMENTS}/{FIRST_ID}")[0]
        for _ in range(2):
            platform.wait(2.5)
            seen.append(platform.names())
        assert (seen, read) == ([[], [], ["lab"]], 200)

    def test_a_list_lags_behind_an_update(self, new_platform: Callable[..., Platform]) -> None:
        """It shows the old text, in the old place, and filters by it."""
        platform = new_platform(faults=[Fault("GET *", lag=5)])
        for name in ("one", "two"):
            platform.create(name, {"image": "old"})
        platform.wait(100)
        path = f"{api.ENVIRONMENTS}/{FIRST_ID}"
        platform.ask("PUT", path, {"meta": {"name": "first"}, "spec": {"image": "new"}})
        stale = [platform.names(), platform.names(name="one"), platform.names(name="first")]
        read = platform.ask("GET", path)[1]["meta"]["name"]
        platform.wait(5)
        assert (stale, read, platform.names()) == ([["one", "two"], ["one"], []], "first", ["first", "two"])

    def test_a_list_lags_behind_a_deletion(self, new_platform: Callable[..., Platform]) -> None:
        """It still shows what is gone."""
        platform = new_platform(faults=[Fault("GET *", lag=5)])
        platform.create("lab")
        platform.wait(100)
        platform.ask("DELETE", f"{api.ENVIRONMENTS}/{FIRST_ID}")
        seen = [platform.names()]
        read = platform.ask("GET", f"{api.ENVIRONMENTS}/{FIRST_ID}")[0]
        platform.wait(5)
        assert ([*seen, platform.names()], read) == ([["lab"], []], 404)

    def test_a_lagging_list_of_credentials_is_a_list_of_credentials(
        self, new_platform: Callable[..., Platform]
    ) -> None:
        """Deleted environments do not turn up in it."""
        platform = new_platform(faults=[Fault("GET *", lag=5)])
        environment = platform.create("lab")["meta"]["id"]
        platform.create("git", {"user": "u", "password": "p"}, KIND["password"].path)
        platform.wait(100)
        platform.ask("DELETE", f"{api.ENVIRONMENTS}/{environment}")
        assert (platform.names(api.CREDENTIALS), platform.names(KIND["access-key"].path)) == (["git"], [])

    def test_what_is_long_past_is_forgotten(self, new_platform: Callable[..., Platform]) -> None:
        """The store does not grow with every update for ever."""
        platform = new_platform(options=Options(token_lifetime=86400))
        platform.create("lab")
        for _ in range(5):
            platform.wait(1801)
            platform.ask("PUT", f"{api.ENVIRONMENTS}/{FIRST_ID}", {"meta": {"name": "lab"}, "spec": {}})
        assert platform.store.row("SELECT count(*) FROM runai_past") == (2,)

    def test_a_list_hides_its_last_entries(self, new_platform: Callable[..., Platform]) -> None:
        """Without a word; the single answer shows them."""
        platform = new_platform(faults=[Fault("GET *", hide=2)])
        for name in ("one", "two", "three"):
            platform.create(name)
        listed = platform.names()
        read = platform.ask("GET", f"{api.ENVIRONMENTS}/00000000-0000-4000-8000-000000000006")
        projects = platform.ask("GET", api.PROJECTS)[1]["projects"]
        clusters = platform.ask("GET", api.CLUSTERS)[1]
        credentials = platform.ask("GET", api.CREDENTIALS)[1]
        assert (listed, read[1]["meta"]["name"], len(projects), clusters, credentials) == (
            ["one"],
            "three",
            3,
            [],
            {"entries": []},
        )

    def test_a_refusal_is_in_the_envelope(self, new_platform: Callable[..., Platform]) -> None:
        """With Retry-After where the rule says so."""
        rule = Fault(f"POST {api.ENVIRONMENTS}", status=429, retry_after=2, message="slow down")
        platform = new_platform(faults=[rule])
        response = platform.send("POST", api.ENVIRONMENTS, json={"meta": META, "spec": SPEC})
        assert (response.status_code, response.json(), response.headers["retry-after"]) == (
            *error(429, "slow down", ""),
            "2",
        )
        assert platform.names() == []
