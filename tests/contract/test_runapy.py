"""The vendor's own client, runapy, against the embedded Run:ai: it cannot tell.

Whatever we answer is loaded into the client's models, turned back and
compared: nothing may be refused and nothing may get lost on the way.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeAlias

import pytest
import runai
import urllib3
from runai import models
from runai.api_client import ApiClient
from runai.configuration import Configuration
from runai.exceptions import (
    ApiException,
    BadRequestException,
    ConflictException,
    ForbiddenException,
    NotFoundException,
    ServiceException,
    UnauthorizedException,
)
from runai.runai_client import RunaiClient
from wire import JUPYTER, SECURITY, TENSORBOARD, serving

from reconciler.providers.emulator import Fault
from reconciler.providers.runai.emulator import Options, add_workload

EAST = "3f1b7c2e-9a54-4d0e-8c61-2b7e5d90a111"
ACCEPTED = {"code": 202, "message": "Request has been accepted."}

Connect: TypeAlias = Callable[..., RunaiClient]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients; without retries, unless asked otherwise."""
    with ExitStack() as connected:

        def make(url: str, client_id: str = "embedded", secret: str = "embedded", **more: Any) -> RunaiClient:
            settings = {"retry_enabled": False, **more}
            configuration = Configuration(
                client_id=client_id, client_secret=secret, runai_base_url=url, **settings
            )
            client = RunaiClient(ApiClient(configuration))
            # Idle sockets would be closed by the garbage collector, with a ResourceWarning.
            connected.callback(client.close)
            return client

        yield make


@pytest.fixture
def client(serve_runai: Callable[..., Any], connect: Connect) -> RunaiClient:
    """Connected to a new platform."""
    return connect(serve_runai().url)


def plain(value: Any) -> Any:
    """What a model's ``to_dict`` means as JSON: names of enumerations, instants, nothing that is None."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value.value if isinstance(value, Enum) else value


def instants(value: Any) -> Any:
    """JSON with its times read, as the models read them."""
    if isinstance(value, dict):
        return {
            key: datetime.fromisoformat(inner)
            if key.endswith(("At", "Liveness", "ByWorkload")) and isinstance(inner, str)
            else instants(inner)
            for key, inner in value.items()
            if inner is not None
        }
    return [instants(inner) for inner in value] if isinstance(value, list) else value


FALSE_BY_DEFAULT = {
    "autoDelete",
    "private",
    "isExternal",
    "overrideUidGidInWorkspace",
    "isCustomPort",
    "isCustomUrl",
}


def differences(sent: Any, loaded: Any, at: str = "$") -> list[str]:
    """Where the model says something else than we did, its own defaults apart."""
    if isinstance(sent, dict) and isinstance(loaded, dict):
        added = {
            key
            for key in loaded.keys() - sent.keys()
            if key not in FALSE_BY_DEFAULT or loaded[key] is not False
        }
        return [
            *(f"{at}.{key} was lost" for key in sorted(sent.keys() - loaded.keys())),
            *(f"{at}.{key} was added" for key in sorted(added)),
            *(
                line
                for key in sent.keys() & loaded.keys()
                for line in differences(sent[key], loaded[key], f"{at}.{key}")
            ),
        ]
    if isinstance(sent, list) and isinstance(loaded, list) and len(sent) == len(loaded):
        return [
            line
            for n, (one, other) in enumerate(zip(sent, loaded, strict=True))
            for line in differences(one, other, f"{at}[{n}]")
        ]
    return [] if type(sent) is type(loaded) and sent == loaded else [f"{at}: {sent!r} became {loaded!r}"]


def assert_loads(model: Any, answer: Any) -> Any:
    """Load *answer* into *model*, strictly, and back without loss; the loaded model."""
    loaded = model.from_dict(answer)
    assert differences(instants(answer), plain(loaded.to_dict())) == []
    assert model.from_dict(json.loads(json.dumps(plain(loaded.to_dict()), default=str))) == loaded
    return loaded


def test_the_comparison_itself_sees_what_is_lost_added_or_changed() -> None:
    """Otherwise every test below would prove nothing."""
    sent = {"a": 1, "b": [{"c": "x"}], "d": 1, "e": 2}
    loaded = {"a": 1.0, "b": [{"c": "y", "isExternal": False}], "d": 1, "f": False}
    assert sorted(differences(sent, loaded)) == [
        "$.a: 1 became 1.0",
        "$.b[0].c: 'x' became 'y'",
        "$.e was lost",
        "$.f was added",
    ]


def meta(name: str, scope: str = "tenant", **more: Any) -> models.AssetCreationRequest:
    return models.AssetCreationRequest(name=name, scope=scope, **more)


def environment(name: str, scope: str = "tenant", **more: Any) -> models.EnvironmentCreationRequest:
    spec = models.EnvironmentAssetSpec(image="python:3.12")
    return models.EnvironmentCreationRequest(meta=meta(name, scope, **more), spec=spec)


FULL_META = {
    "name": "torch-24-01",
    "description": "PyTorch with notebook",
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
FULL_SPEC = {
    "image": "jupyter/scipy-notebook:2024-05-01",
    "imagePullPolicy": "IfNotPresent",
    "command": "start-notebook.sh",
    "args": "--ServerApp.base_url=/lab",
    "workingDir": "/home/jovyan",
    "environmentVariables": [
        {"name": "NCCL_DEBUG", "value": "INFO", "exclude": False, "description": "verbosity"},
        {"name": "DATASET", "value": "", "exclude": False, "description": "fill in at submission"},
        {"name": "SCHEMA", "configMap": {"name": "team-config", "key": "schema"}},
        {"name": "POD", "podFieldRef": {"path": "metadata.name"}},
    ],
    "connections": [
        JUPYTER,
        TENSORBOARD,
        serving("grpc"),
        {
            "name": "Comet",
            "isExternal": True,
            "externalToolInfo": {"toolType": "comet", "externalUrl": "https://comet.example.com/${P}"},
        },
    ],
    **SECURITY,
    "probes": {
        "readiness": {
            "initialDelaySeconds": 0,
            "periodSeconds": 10,
            "timeoutSeconds": 1,
            "successThreshold": 1,
            "failureThreshold": 3,
            "handler": {"httpGet": {"path": "/", "port": 8000, "host": "svc.example.com", "scheme": "HTTPS"}},
        }
    },
}


class TestTokens:
    """How the client gets in."""

    def test_the_client_signs_in_and_calls(self, client: RunaiClient) -> None:
        """With the grant type and the spelling that only the SDK uses."""
        assert client.organizations.clusters.get_clusters().status_code == 200

    def test_a_wrong_secret_ends_the_client(self, serve_runai: Callable[..., Any], connect: Connect) -> None:
        """It looks for the token in our envelope and finds none."""
        with pytest.raises(ValueError) as caught:
            connect(serve_runai().url, secret="wrong")
        assert str(caught.value) == (
            "Failed to get access token from response. Body={'code': 400, 'message': 'Invalid credentials', "
            "'details': 'no access key with this id and secret'}"
        )

    def test_a_token_near_its_end_is_renewed_by_the_client(
        self, serve_runai: Callable[..., Any], connect: Connect
    ) -> None:
        """It reads exp out of ours: a short token is renewed before each call, a long one is not."""
        counting = [Fault("POST /api/v1/token", nth=(1000,), status=500)]
        counts = []
        for lifetime in (30, 3600):
            served = serve_runai(counting, Options(token_lifetime=lifetime))
            client = connect(served.url)
            for _ in range(2):
                client.organizations.clusters.get_clusters()
            counts.append(served.faults.counts)
        assert counts == [(3,), (1,)]

    def test_both_token_calls_answer_as_the_models_say(
        self, client: RunaiClient, serve_runai: Callable[..., Any]
    ) -> None:
        """v1 through the SDK; v2 by hand, since the SDK's method for it sends no body."""
        tokens = client.authentication_and_authorization.tokens
        request = models.TokenRequest(
            grantType="client_credentials", clientID="embedded", clientSecret="embedded"
        )
        first = tokens.grant_token(token_request=request)
        assert (first.status_code, assert_loads(models.TokenResponse, first.data).expires_in) == (200, 3600)

        form = {"grant_type": "client_credentials", "client_id": "embedded", "client_secret": "embedded"}
        base = client.api_client.configuration.runai_base_url
        with urllib3.PoolManager() as pool:
            second = pool.request("POST", f"{base}/api/v2/token", fields=form, encode_multipart=False)
            refused = pool.request(
                "POST", f"{base}/api/v2/token", fields={**form, "client_secret": "x"}, encode_multipart=False
            )
        answer = assert_loads(models.OAuth2TokenResponse, second.json())
        assert (second.status, answer.token_type, answer.expires_in) == (200, "Bearer", 3600)
        assert_loads(models.OAuth2Error, refused.json())
        assert refused.status == 401

        client.api_client.set_default_header("authorization", f"Bearer {answer.access_token}")
        assert client.organizations.clusters.get_clusters().status_code == 200

    def test_the_v2_method_of_the_client_is_refused(self, client: RunaiClient) -> None:
        """It drops its arguments; our answer is OAuth2's, and the client can read it."""
        tokens = client.authentication_and_authorization.tokens
        with pytest.raises(BadRequestException) as caught:
            tokens.grant_token_v2(grant_type="client_credentials", client_id="embedded")
        assert_loads(models.OAuth2Error, caught.value.data)
        assert caught.value.data["error"] == "invalid_request"


class TestEnvironments:
    """The five calls."""

    def test_an_environment_lives_through_all_five_calls(self, client: RunaiClient) -> None:
        """Create, read, list, update, delete; each answer loads."""
        calls = client.workload_assets.environment
        request = models.EnvironmentCreationRequest.from_dict({"meta": FULL_META, "spec": FULL_SPEC})
        created = calls.create_environment_asset(environment_creation_request=request)
        asset = assert_loads(models.EnvironmentAsset, created.data)
        asset_id = created.data["meta"]["id"]
        listed = calls.list_environment_assets()
        assert_loads(models.EnvironmentListResponse, listed.data)
        read = calls.get_environment_asset_by_id(asset_id)
        update = models.EnvironmentUpdateRequest.from_dict(
            {"meta": {"name": "torch-24-02"}, "spec": {"image": "pytorch/pytorch:2.4.0", "connections": []}}
        )
        updated = calls.update_environment_asset_by_id(asset_id, environment_update_request=update)
        after = assert_loads(models.EnvironmentAsset, updated.data)
        deleted = calls.delete_environment_asset_by_id(asset_id)
        assert_loads(models.HttpResponse, deleted.data)

        assert (created.status_code, read.status_code, listed.status_code) == (202, 200, 200)
        assert (updated.status_code, deleted.status_code, deleted.data) == (202, 202, ACCEPTED)
        assert created.data["spec"] == FULL_SPEC
        assert {key: created.data["meta"][key] for key in FULL_META} == FULL_META
        assert (read.data, listed.data["entries"][-1]) == (created.data, created.data)
        assert (updated.data["meta"]["name"], updated.data["spec"]) == (
            "torch-24-02",
            {"image": "pytorch/pytorch:2.4.0", "connections": [], "overrideUidGidInWorkspace": False},
        )
        assert (after.meta.id, after.meta.update_count, after.meta.updated_at > asset.meta.updated_at) == (
            asset_id,
            2,
            True,
        )
        with pytest.raises(NotFoundException):
            calls.get_environment_asset_by_id(asset_id)

    def test_a_model_built_by_keyword_is_accepted(self, client: RunaiClient) -> None:
        """It sends the false defaults along, and gets them back."""
        created = client.workload_assets.environment.create_environment_asset(
            environment_creation_request=environment("lab")
        )
        assert_loads(models.EnvironmentAsset, created.data)
        assert created.data["spec"] == {"image": "python:3.12", "overrideUidGidInWorkspace": False}
        assert (created.data["meta"]["autoDelete"], created.data["meta"]["private"]) == (False, False)

    def test_the_filters_of_the_client_filter(self, client: RunaiClient) -> None:
        """Names, places and types as the SDK spells them in a query."""
        calls = client.workload_assets.environment
        types = models.WorkloadSupportedTypes(distributed=True, dist_framework="PyTorch")
        for request in (
            environment("team, shared", workload_supported_types=types),
            environment("on-east", "cluster", cluster_id=EAST),
            environment("of-research", "department", department_id="4500001"),
            environment("in-vision", "project", project_id=4501234),
            environment("in-nlp", "project", project_id=4501235),
        ):
            calls.create_environment_asset(environment_creation_request=request)

        def names(**query: Any) -> list[str]:
            entries = calls.list_environment_assets(**query).data["entries"]
            return [entry["meta"]["name"] for entry in entries if entry["meta"]["createdBy"] != "Run:ai"]

        assert [
            names(name="team, shared"),
            names(scope="project"),
            names(project_id=4501234),
            names(project_id=4501234, scope="project"),
            names(department_id="4500001", include_descendants=True),
            names(cluster_id=EAST, include_descendants=False),
            names(is_distributed=True, distributed_framework="PyTorch"),
            names(is_workspace=True),
        ] == [
            ["team, shared"],
            ["in-vision", "in-nlp"],
            ["team, shared", "on-east", "of-research", "in-vision"],
            ["in-vision"],
            ["team, shared", "on-east", "of-research", "in-vision", "in-nlp"],
            ["team, shared", "on-east"],
            ["team, shared"],
            [],
        ]

    def test_everything_an_environment_can_say_loads(
        self, serve_runai: Callable[..., Any], connect: Connect
    ) -> None:
        """Usage, status, compliance, in the list and in the single answer."""
        served = serve_runai()
        calls = connect(served.url).workload_assets.environment
        asset_id = calls.create_environment_asset(environment_creation_request=environment("lab")).data[
            "meta"
        ]["id"]
        for kind in ("workspace", "training", "distributed", "inference"):
            add_workload(
                served.store,
                environment_id=asset_id,
                name=f"a-{kind}",
                kind=kind,
                status="Running",
                project_id="4501234",
                clock=lambda: datetime.now(UTC),
                new_id=lambda: str(uuid.uuid4()),
            )
        everything = {
            "usage_info": True,
            "status_info": True,
            "comply_to_project": 4501234,
            "comply_to_workload_type": "Distributed",
            "comply_to_replica_type": "Worker",
        }
        read = calls.get_environment_asset_by_id(asset_id, **everything).data
        listed = calls.list_environment_assets(**everything).data
        loaded = assert_loads(models.EnvironmentAsset, read)
        assert_loads(models.EnvironmentListResponse, listed)
        assert list(read) == ["meta", "spec", "usedBy", "usageTimes", "compliance", "status"]
        assert [loaded.used_by.workspaces[0].name, loaded.used_by.inferences[0].status] == [
            "a-workspace",
            "Running",
        ]
        assert listed["entries"][-1] == read

    def test_the_environments_of_the_vendor_load(self, client: RunaiClient) -> None:
        """All six."""
        listed = client.workload_assets.environment.list_environment_assets(usage_info=True).data
        assert len(assert_loads(models.EnvironmentListResponse, listed).entries) == 6


CREDENTIALS: list[tuple[str, str, str, dict[str, Any], dict[str, Any], Any, tuple[int, Any]]] = [
    (
        "generic_secret",
        "GenericSecret",
        "list_generic_secret",
        {"keyValuePairs": [{"key": "password", "value": "x"}]},
        {"keyValuePairs": [{"key": "password"}], "keyId": 1},
        models.GenericSecretListResponse,
        (204, None),
    ),
    (
        "docker_registry",
        "DockerRegistry",
        "list_docker_registries",
        {"url": "https://images.example.com", "user": "u", "password": "p"},
        {"url": "https://images.example.com", "user": "u", "keyId": 1},
        models.DockerRegistryListResponse,
        (202, ACCEPTED),
    ),
    (
        "access_key",
        "AccessKey",
        "list_access_keys",
        {"accessKeyId": "id", "secretAccessKey": "sk"},
        {"accessKeyId": "id", "keyId": 1},
        models.AccessKeyListResponse,
        (202, ACCEPTED),
    ),
    (
        "password",
        "Password",
        "list_passwords",
        {"user": "u", "password": "p"},
        {"user": "u", "keyId": 1},
        models.PasswordListResponse,
        (202, ACCEPTED),
    ),
    (
        "ngc_api_key",
        "NgcApiKey",
        "list_ngc_api_key",
        {"ngc_api_key": "abcDEF1"},
        {"keyId": 1},
        models.NgcApiKeyListResponse,
        (204, None),
    ),
]


class TestCredentials:
    """The five kinds."""

    @pytest.mark.parametrize(
        ("name", "model", "listing", "sent", "kept", "list_model", "deleted"), CREDENTIALS
    )
    def test_a_credential_lives_through_all_its_calls(
        self,
        client: RunaiClient,
        name: str,
        model: str,
        listing: str,
        sent: dict[str, Any],
        kept: dict[str, Any],
        list_model: Any,
        deleted: tuple[int, Any],
    ) -> None:
        """Create, read, list alone and with the other kinds, update, delete."""
        calls = client.workload_assets.credentials
        one = getattr(models, model)

        def call(method: str, *arguments: Any, **keywords: Any) -> Any:
            return getattr(calls, method.format(name))(*arguments, **keywords)

        creation = getattr(models, f"{model}CreationRequest").from_dict(
            {
                "meta": {"name": "c", "scope": "project", "projectId": 4501234, "description": "old"},
                "spec": sent,
            }
        )
        created = call("create_{}", **{f"{name}_creation_request": creation})
        asset_id = created.data["meta"]["id"]
        read = call("get_{}_by_id", asset_id, usage_info=True, status_info=True)
        listed = call(listing)
        everything = calls.list_credentials_assets(usage_info=True, status_info=True)
        change = getattr(models, f"{model}UpdateRequest").from_dict({"meta": {"description": "new"}})
        updated = call("update_{}", asset_id, **{f"{name}_update_request": change})
        gone = call("delete_{}", asset_id)

        for answer in (created.data, read.data, updated.data):
            assert_loads(one, answer)
        assert_loads(list_model, listed.data)
        assert_loads(models.CredentialsListResponse, everything.data)
        kind = created.data["meta"]["kind"]
        extras = {"usedBy": {}, "status": {"status": "No issues found"}}
        assert (created.status_code, created.data["spec"], read.data) == (
            202,
            kept,
            {**created.data, **extras},
        )
        assert listed.data == {"entries": [created.data]}
        assert everything.data == {"entries": [{**created.data, "spec": {kind: kept}, **extras}]}
        assert (updated.status_code, updated.data["meta"]["description"]) == (202, "new")
        assert (gone.status_code, gone.data, call(listing).data) == (*deleted, {"entries": []})


class TestOthers:
    """Compute assets, the organisation, workloads, templates, rights."""

    def test_a_compute_asset_lives_through_its_five_calls(self, client: RunaiClient) -> None:
        """As an environment does."""
        calls = client.workload_assets.compute
        spec = {"gpuDevicesRequest": 2, "cpuCoreRequest": 8.0, "cpuMemoryRequest": "64Gi"}
        creation = models.ComputeCreationRequest.from_dict(
            {"meta": {"name": "gpu-2", "scope": "project", "projectId": 4501234}, "spec": spec}
        )
        created = calls.create_compute_asset(compute_creation_request=creation)
        asset_id = created.data["meta"]["id"]
        read = calls.get_compute_asset_by_id(asset_id, usage_info=True)
        listed = calls.list_compute_assets(project_id=4501234)
        change = models.ComputeUpdateRequest.from_dict(
            {"meta": {"name": "gpu-4"}, "spec": {"gpuDevicesRequest": 4}}
        )
        updated = calls.update_compute_asset_by_id(asset_id, compute_update_request=change)
        deleted = calls.delete_compute_asset_by_id(asset_id)
        for answer in (created.data, read.data, updated.data):
            assert_loads(models.ComputeAsset, answer)
        assert_loads(models.ComputeListResponse, listed.data)
        assert (created.data["spec"], listed.data) == (spec, {"entries": [created.data]})
        assert (read.data, updated.data["spec"]) == ({**created.data, "usedBy": {}}, {"gpuDevicesRequest": 4})
        assert (deleted.status_code, deleted.data) == (202, ACCEPTED)

    def test_clusters_load(self, client: RunaiClient) -> None:
        """A bare array, in both verbosities, and one alone."""
        calls = client.organizations.clusters
        full = calls.get_clusters().data
        short = calls.get_clusters(verbosity="metadata").data
        for cluster in (*full, *short):
            assert_loads(models.DisplayedCluster, cluster)
        assert [cluster["name"] for cluster in full] == ["gpu-east", "gpu-west"]
        assert calls.get_cluster_by_uuid(EAST).data == full[0]

    def test_departments_load(self, client: RunaiClient) -> None:
        """The list, one alone, the count."""
        calls = client.organizations.departments
        listed = calls.get_departments(
            filter_by=["name=@r", f"clusterId=={EAST}"], sort_by="name", sort_order="desc"
        )
        assert_loads(models.GetDepartments200Response, listed.data)
        assert [entry["name"] for entry in listed.data["departments"]] == ["research", "products"]
        # Read alone it is the same object; the client's Department is a metrics model of the same name.
        assert calls.get_department("4500001").data == listed.data["departments"][0]
        assert assert_loads(models.CountResponse, calls.count_departments().data).count == 3

    def test_projects_are_found_by_name_and_cluster(self, client: RunaiClient) -> None:
        """As plain data: a metrics model of the same name took the place of the client's Project."""
        calls = client.organizations.projects
        found = calls.get_projects(filter_by=["name==vision", f"clusterId=={EAST}"]).data
        page = calls.get_projects(limit=2, offset=2).data
        assert ([(entry["id"], entry["parentId"]) for entry in found["projects"]], "next" in found) == (
            [("4501234", "4500001")],
            False,
        )
        assert ([entry["id"] for entry in page["projects"]], page["next"]) == (["4501236", "4501237"], 4)
        assert calls.get_project("4501234").data == found["projects"][0]
        assert calls.count_projects(search="vision").data == {"count": 2}

    def test_workloads_load(self, client: RunaiClient) -> None:
        """Each says which environment it came from."""
        listed = client.workloads.workloads.get_workloads(filter_by=["phase==Running"], sort_by="name").data
        assert_loads(models.GetWorkloads200Response, listed)
        assert [(entry["name"], entry["environments"][0]["name"]) for entry in listed["workloads"]] == [
            ("gpt2-demo", "gpt2"),
            ("lab-1", "jupyter-lab"),
        ]

    def test_templates_load(self, client: RunaiClient) -> None:
        """The older kind."""
        listed = client.workload_assets.template.list_templates().data
        assert_loads(models.WorkloadTemplateListResponse, listed)
        assert listed["entries"][0]["spec"]["assets"]["environment"]["name"] == "jupyter-lab"

    def test_the_callers_rights_load(self, client: RunaiClient) -> None:
        """And are counted."""
        calls = client.authentication_and_authorization.me
        rules = assert_loads(models.MeAccessRulesResponse, calls.get_me_access_rules(limit=10).data)
        assert [rule.role_name for rule in rules.access_rules.access_rules] == ["System administrator"]
        assert calls.count_me_access_rules().data == {"count": 1}


def failure(caught: pytest.ExceptionInfo[ApiException]) -> tuple[int, str, str]:
    """Status, message and details of an exception whose body is our envelope."""
    assert_loads(models.Error, caught.value.data)
    envelope = caught.value.data
    assert sorted(envelope) == ["code", "details", "message"]
    assert envelope["code"] == caught.value.status
    return caught.value.status, envelope["message"], envelope["details"]


class TestErrors:
    """What the client raises for our refusals, without retries."""

    def test_400(self, client: RunaiClient) -> None:
        """An unknown field, sent as a plain dict: the models would have dropped it."""
        body = {"meta": {"name": "n", "scope": "tenant"}, "spec": {"gpu": 1}}
        with pytest.raises(BadRequestException) as caught:
            client.workload_assets.environment.create_environment_asset(environment_creation_request=body)
        assert failure(caught) == (
            400,
            "Invalid request",
            "Object contains unknown field `gpu` - at `$.spec`",
        )

    def test_400_without_a_body(self, client: RunaiClient) -> None:
        """The client sends none when its argument is left out."""
        with pytest.raises(BadRequestException) as caught:
            client.workload_assets.environment.create_environment_asset()
        assert failure(caught) == (400, "The body is not JSON", "Input data was truncated")

    def test_401(self, client: RunaiClient) -> None:
        """A token that is not ours."""
        client.api_client.set_default_header("authorization", "Bearer a.b.c")
        with pytest.raises(UnauthorizedException) as caught:
            client.workload_assets.environment.list_environment_assets()
        assert failure(caught) == (401, "Issuer is not familiar.", "the access token was not issued here")

    def test_403(self, client: RunaiClient) -> None:
        """A protected environment."""
        calls = client.workload_assets.environment
        [entry] = calls.list_environment_assets(name="llm-server").data["entries"]
        with pytest.raises(ForbiddenException) as caught:
            calls.delete_environment_asset_by_id(entry["meta"]["id"])
        assert failure(caught) == (
            403,
            "You do not have sufficient permissions.",
            "the vendor protects this asset",
        )

    def test_404(self, client: RunaiClient) -> None:
        """An unknown id."""
        asset_id = str(uuid.UUID(int=7))
        with pytest.raises(NotFoundException) as caught:
            client.workload_assets.environment.get_environment_asset_by_id(asset_id)
        assert failure(caught) == (404, "Resource id not found.", f"environment {asset_id}")

    def test_409(self, client: RunaiClient) -> None:
        """A taken name."""
        calls = client.workload_assets.environment
        calls.create_environment_asset(environment_creation_request=environment("lab"))
        with pytest.raises(ConflictException) as caught:
            calls.create_environment_asset(environment_creation_request=environment("lab"))
        assert failure(caught) == (409, "environment already exists", "name=lab")

    def test_412(self, client: RunaiClient) -> None:
        """A credential that an environment takes a value from."""
        creation = models.PasswordCreationRequest(
            meta=meta("git"), spec=models.PasswordCreationSpec(user="u", password="p")
        )
        credentials = client.workload_assets.credentials
        credential = credentials.create_password(password_creation_request=creation).data["meta"]["id"]
        reference = {"name": "USER", "credential": {"assetId": credential, "key": "user"}}
        request = models.EnvironmentCreationRequest.from_dict(
            {"meta": {"name": "lab", "scope": "tenant"}, "spec": {"environmentVariables": [reference]}}
        )
        client.workload_assets.environment.create_environment_asset(environment_creation_request=request)
        with pytest.raises(ApiException) as caught:
            credentials.delete_password(credential)
        assert failure(caught) == (412, "Precondition failed", "used by environments: lab")
        [listed] = credentials.list_credentials_assets(usage_info=True).data["entries"]
        assert_loads(models.CredentialsListResponseEntry, listed)
        assert [entry["name"] for entry in listed["usedBy"]["assets"]["environments"]] == ["lab"]

    @pytest.mark.parametrize(
        ("status", "exception"), [(429, ApiException), (500, ServiceException), (503, ServiceException)]
    )
    def test_a_fault(
        self, serve_runai: Callable[..., Any], connect: Connect, status: int, exception: type[ApiException]
    ) -> None:
        """With the Retry-After that the rule asks for, and nothing done."""
        rule = Fault("POST /api/v1/asset/environment", status=status, retry_after=3, message="not now")
        client = connect(serve_runai([rule]).url)
        calls = client.workload_assets.environment
        with pytest.raises(exception) as caught:
            calls.create_environment_asset(environment_creation_request=environment("mine"))
        assert (failure(caught), caught.value.headers["retry-after"]) == ((status, "not now", ""), "3")
        assert calls.list_environment_assets(name="mine").data == {"entries": []}

    def test_the_clients_own_retry_succeeds(self, serve_runai: Callable[..., Any], connect: Connect) -> None:
        """It repeats a POST after a 503, at once the first time; one environment comes of it."""
        served = serve_runai([Fault("POST /api/v1/asset/environment", nth=(1,), status=503)])
        calls = connect(served.url, retry_enabled=True).workload_assets.environment
        created = calls.create_environment_asset(environment_creation_request=environment("mine"))
        listed = calls.list_environment_assets(name="mine").data["entries"]
        assert (created.status_code, served.faults.counts, listed) == (202, (2,), [created.data])

    @pytest.mark.parametrize(("drop", "names"), [("before", []), ("after", ["mine"])])
    def test_a_lost_connection(
        self, serve_runai: Callable[..., Any], connect: Connect, drop: Any, names: list[str]
    ) -> None:
        """The client sees a broken socket either way; only a list tells what happened."""
        served = serve_runai([Fault("POST /api/v1/asset/environment", drop=drop)])
        calls = connect(served.url).workload_assets.environment
        with pytest.raises(urllib3.exceptions.ProtocolError):
            calls.create_environment_asset(environment_creation_request=environment("mine"))
        entries = calls.list_environment_assets(name="mine").data["entries"]
        assert ([entry["meta"]["name"] for entry in entries], served.faults.counts) == (names, (1,))


def test_this_is_the_newest_client_we_know() -> None:
    """Facts in this package were checked against this version."""
    assert runai.__version__ == "1.224.0"
