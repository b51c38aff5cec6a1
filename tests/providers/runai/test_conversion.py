"""Canonical attributes to the wire and back: nothing is lost, and equal meaning is equal."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.attributes import ID, REF
from reconciler.core.model import UsedBy
from reconciler.errors import Rejected
from reconciler.providers.runai import api
from reconciler.providers.runai.conversion import (
    compute_from_wire,
    compute_spec,
    creation_meta,
    credential_from_wire,
    credential_spec,
    environment_from_wire,
    environment_spec,
    scope_from_wire,
    unkept,
    used_by,
    workload_types,
)
from reconciler.providers.runai.kinds import COMPUTE, ENVIRONMENT, KINDS

CREDENTIAL_ID = "0b6a3f5e-77d1-4c57-9c0e-51a2d4f6b803"
CLUSTER_ID = "3f1b7c2e-9a54-4d0e-8c61-2b7e5d90a111"


def meaning(attributes: dict[str, Any], kind: str = "environment") -> dict[str, Any]:
    """Attributes with every documented default, so that absence and default are equal."""
    return {**KINDS[kind].defaults, **attributes}


def read(body: dict[str, Any]) -> dict[str, Any]:
    """The attributes that an environment of this body would come back with."""
    return environment_from_wire(body["meta"], body["spec"])


def request_of(attributes: dict[str, Any]) -> dict[str, Any]:
    """The create request for these attributes, as the API understands it."""
    meta = {**creation_meta(attributes), "workloadSupportedTypes": workload_types(attributes)}
    body = msgspec.json.encode({"meta": meta, "spec": environment_spec(attributes)})
    understood = msgspec.json.decode(body, type=api.EnvironmentCreationRequest)
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(understood))
    return found


# --- every request there can be ---

words = st.text("abcdefghijklmnop-_.:/ äß", min_size=1, max_size=12)
maybe = st.none() | words
flags = st.none() | st.booleans()
ports = st.integers(1, 65535)
counts = st.none() | st.integers(1, 900)


def given_or_not(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A table with any of these keys."""
    return st.fixed_dictionaries({}, optional=fields)


variables = st.fixed_dictionaries(
    {"name": words},
    optional={
        "value": st.none() | st.just("") | words,
        "credential": st.none()
        | given_or_not(assetId=st.none() | st.uuids().map(str), key=st.none() | words),
        "configMap": st.none() | given_or_not(name=st.sampled_from([None, "team-config"]), key=maybe),
        "podFieldRef": st.none() | given_or_not(path=maybe),
        "exclude": flags,
        "description": st.none() | st.just("") | words,
    },
)
internal = st.fixed_dictionaries(
    {
        "toolType": st.sampled_from(api.INTERNAL_TOOL_TYPES),
        "connectionType": st.sampled_from(api.CONNECTION_TYPES),
        "containerPort": ports,
    },
    optional={
        "nodePortInfo": st.none() | given_or_not(isCustomPort=st.booleans()),
        "externalUrlInfo": st.none() | given_or_not(isCustomUrl=st.booleans(), externalUrl=maybe),
        "servingPortInfo": st.none() | given_or_not(protocol=st.sampled_from([None, *api.SERVING_PROTOCOLS])),
    },
)
external = st.fixed_dictionaries({"toolType": st.sampled_from(api.EXTERNAL_TOOL_TYPES), "externalUrl": words})
connections = st.fixed_dictionaries(
    {"name": words},
    optional={
        "isExternal": st.booleans(),
        "internalToolInfo": st.none() | internal,
        "externalToolInfo": st.none() | external,
    },
)
probes = given_or_not(
    initialDelaySeconds=st.none() | st.integers(0, 900),
    periodSeconds=counts,
    timeoutSeconds=counts,
    successThreshold=counts,
    failureThreshold=counts,
    handler=st.none()
    | given_or_not(
        httpGet=given_or_not(
            path=st.sampled_from([None, "", "/", "/healthz"]),
            port=st.none() | ports,
            host=maybe,
            scheme=st.sampled_from([None, *api.PROBE_SCHEMES]),
        )
    ),
)


def one_of_each(strategy: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """A list without two of one name: names are unique inside an environment."""
    return st.lists(strategy, max_size=4, unique_by=lambda one: one["name"])


specs = given_or_not(
    image=st.sampled_from([None, "python:3.11", "python", "python:latest", "python@sha256:00"]),
    imagePullPolicy=st.sampled_from([None, *api.IMAGE_PULL_POLICIES]),
    command=maybe,
    args=maybe,
    workingDir=maybe,
    environmentVariables=st.none() | one_of_each(variables),
    connections=one_of_each(connections),
    uidGidSource=st.sampled_from([None, *api.UID_GID_SOURCES]),
    runAsUid=st.none() | st.integers(0, 2**63 - 1),
    runAsGid=st.none() | st.integers(0, 2**63 - 1),
    supplementalGroups=st.sampled_from([None, "", "100", "100, 2000", "7,3,users"]),
    overrideUidGidInWorkspace=st.booleans(),
    capabilities=st.none() | st.lists(st.sampled_from(api.CAPABILITIES), max_size=4, unique=True),
    seccompProfileType=st.sampled_from([None, *api.SECCOMP_PROFILE_TYPES]),
    runAsNonRoot=flags,
    readOnlyRootFilesystem=flags,
    allowPrivilegeEscalation=flags,
    createHomeDir=flags,
    hostIpc=flags,
    hostNetwork=flags,
    stdin=flags,
    tty=flags,
    probes=st.none() | given_or_not(readiness=st.none() | probes),
)
placements = st.one_of(
    st.just({"scope": "tenant"}),
    st.just({"scope": "cluster", "clusterId": CLUSTER_ID}),
    st.just({"scope": "department", "departmentId": "4500001"}),
    st.just({"scope": "project", "projectId": 4501234}),
)
types = given_or_not(
    workspace=flags,
    training=flags,
    inference=flags,
    distributed=flags,
    distFramework=st.sampled_from([None, *api.DIST_FRAMEWORKS]),
)
metas = st.builds(
    lambda fixed, scope: {**fixed, **scope},
    st.fixed_dictionaries(
        {"name": words},
        optional={"description": st.none() | words, "workloadSupportedTypes": st.none() | types},
    ),
    placements,
)
requests = st.fixed_dictionaries({"meta": metas, "spec": specs})


def plainly(value: Any) -> Any:
    """A body by its meaning, worked out independently: without what absence means as well."""
    if isinstance(value, dict):
        inner = {key: plainly(item) for key, item in value.items()}
        return {key: item for key, item in inner.items() if item not in (None, False, "", {}, [])}
    if isinstance(value, list):
        return [plainly(item) for item in value]
    return value


def by_meaning(body: dict[str, Any]) -> dict[str, Any]:
    """What a request asks for, in whatever words."""
    spec = dict(body["spec"])
    groups = spec.pop("supplementalGroups", None)
    found = plainly({"meta": body["meta"], "spec": spec})
    meta, spec = found["meta"], found.setdefault("spec", {})
    if groups is not None:  # an empty text is not the absence of one
        spec["supplementalGroups"] = [part.strip() for part in groups.split(",")]
    if "imagePullPolicy" not in spec:
        image = spec.get("image", "")
        tag = image.partition("@")[2] or image.partition(":")[2]
        spec["imagePullPolicy"] = "Always" if tag in ("", "latest") else "IfNotPresent"
    spec.setdefault("uidGidSource", "fromTheImage")
    for name in ("environmentVariables", "connections"):
        spec[name] = {one.pop("name"): one for one in spec.get(name, [])}
    spec["capabilities"] = sorted(spec.get("capabilities", []))
    request = body["spec"].get("probes") or {}
    handler = ((request.get("readiness") or {}).get("handler") or {}).get("httpGet")
    if handler is not None:
        probe = spec.setdefault("probes", {}).setdefault("readiness", {})
        probe.setdefault("handler", {}).setdefault("httpGet", {}).setdefault("scheme", "HTTP")
    meta.setdefault("workloadSupportedTypes", {})
    return found


@settings(deadline=None, max_examples=150)
@given(requests)
def test_whatever_the_wire_can_say_comes_back_as_it_was(body: dict[str, Any]) -> None:
    """Every valid request survives reading and writing: an update loses nothing that it does not manage."""
    msgspec.json.decode(msgspec.json.encode(body), type=api.EnvironmentCreationRequest)
    attributes = read(body)
    sent = request_of(attributes)
    assert by_meaning(sent) == by_meaning(body)
    assert meaning(read(sent)) == meaning(attributes)


@settings(deadline=None, max_examples=100)
@given(specs)
def test_an_update_names_all_23_fields(spec: dict[str, Any]) -> None:
    """Whether PUT replaces or merges is not documented, so what is empty is said to be empty."""
    written = environment_spec(environment_from_wire({"name": "a", "scope": "tenant"}, spec))
    assert sorted(written) == sorted(api.SPEC_FIELDS)
    assert written["connections"] is not None
    assert written["overrideUidGidInWorkspace"] is not None
    msgspec.convert(written, api.EnvironmentSpec)


# --- equality by meaning ---

SAME: dict[str, list[dict[str, Any]]] = {
    "nothing at all": [
        {"image": "python:3.11"},
        {"image": "python:3.11", "command": None, "args": None, "probes": None, "capabilities": None},
        {"image": "python:3.11", "environmentVariables": [], "connections": [], "capabilities": []},
        {"image": "python:3.11", "uidGidSource": "fromTheImage", "overrideUidGidInWorkspace": False},
        {"image": "python:3.11", "hostIpc": False, "hostNetwork": False, "probes": {"readiness": None}},
        {"image": "python:3.11", "imagePullPolicy": "IfNotPresent"},
    ],
    "an image without a tag is pulled always": [
        {"image": "registry:5000/team/image"},
        {"image": "registry:5000/team/image", "imagePullPolicy": "Always"},
    ],
    "the latest image is pulled always": [
        {"image": "python:latest"},
        {"image": "python:latest", "imagePullPolicy": "Always"},
    ],
    "an image by digest is pulled when it is not there": [
        {"image": "python@sha256:0000"},
        {"image": "python@sha256:0000", "imagePullPolicy": "IfNotPresent"},
    ],
    "groups with blanks between them": [
        {"supplementalGroups": "100,2000"},
        {"supplementalGroups": " 100, 2000 "},
    ],
    "variables in any order": [
        {"environmentVariables": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {
            "environmentVariables": [
                {"name": "B", "value": "2"},
                {"name": "A", "value": "1", "exclude": False},
            ]
        },
    ],
    "a variable to be filled in": [
        {"environmentVariables": [{"name": "A", "value": "", "description": ""}]},
        {"environmentVariables": [{"name": "A", "value": None}]},
        {"environmentVariables": [{"name": "A"}]},
    ],
    "capabilities in any order": [
        {"capabilities": ["CHOWN", "KILL"]},
        {"capabilities": ["KILL", "CHOWN"]},
    ],
    "a tool whose address the platform makes": [
        {
            "connections": [
                {
                    "name": "J",
                    "internalToolInfo": {
                        "toolType": "jupyter-notebook",
                        "connectionType": "ExternalUrl",
                        "containerPort": 8888,
                        **info,
                    },
                }
            ]
        }
        for info in (
            {},
            {"externalUrlInfo": None},
            {"externalUrlInfo": {}},
            {"externalUrlInfo": {"isCustomUrl": False, "externalUrl": None}, "nodePortInfo": {}},
        )
    ],
    "tools in any order": [
        {"connections": [{"name": name, "isExternal": True, "externalToolInfo": tool} for name in names]}
        for tool in ({"toolType": "wandb", "externalUrl": "https://w"},)
        for names in ("AB", "BA")
    ],
    "a probe over plain HTTP": [
        {"probes": {"readiness": {"handler": {"httpGet": {"port": 80}}}}},
        {"probes": {"readiness": {"handler": {"httpGet": {"port": 80, "scheme": "HTTP"}}}}},
    ],
}


@pytest.mark.parametrize("specs", SAME.values(), ids=SAME)
def test_equal_meaning_is_equal(specs: list[dict[str, Any]]) -> None:
    """Absent, null, empty and the documented default are one; order counts where it means something."""
    meta = {"name": "a", "scope": "tenant"}
    first, *others = [meaning(environment_from_wire(meta, spec)) for spec in specs]
    assert others == [first] * len(others)


DIFFERENT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no groups, and the image's groups": ({}, {"supplementalGroups": ""}),
    "groups in another order": ({"supplementalGroups": "1,2"}, {"supplementalGroups": "2,1"}),
    "a switch that is off, and one nobody touched": ({"createHomeDir": False}, {}),
    "a value, and one that may be overridden by instructions": (
        {"environmentVariables": [{"name": "A", "value": "1"}]},
        {"environmentVariables": [{"name": "A", "value": "1", "description": "one"}]},
    ),
    "an excluded variable, and an empty one": (
        {"environmentVariables": [{"name": "A", "exclude": True}]},
        {"environmentVariables": [{"name": "A", "value": ""}]},
    ),
    "a probe that asks nobody, and one that asks": (
        {"probes": {"readiness": {"periodSeconds": 1}}},
        {"probes": {"readiness": {"periodSeconds": 1, "handler": {"httpGet": {}}}}},
    ),
}


@pytest.mark.parametrize("specs", DIFFERENT.values(), ids=DIFFERENT)
def test_other_meaning_is_not_equal(specs: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """What the platform tells apart stays apart."""
    meta = {"name": "a", "scope": "tenant"}
    one, other = (meaning(environment_from_wire(meta, spec)) for spec in specs)
    assert one != other


@pytest.mark.parametrize("read", [environment_from_wire, compute_from_wire, credential_from_wire])
def test_an_empty_description_is_none(read: Any) -> None:
    """The API refuses an empty one; sent back with an update, it would end it."""
    meta = {"name": "a", "scope": "tenant", "kind": "password"}
    assert read({**meta, "description": ""}, {}) == read(meta, {})


def test_ids_filled_in_above_the_own_scope_are_left_out() -> None:
    """The platform adds the cluster and department of a project; only the project's id is the asset's."""
    filled = {"clusterId": CLUSTER_ID, "departmentId": "4500001", "projectId": 4501234}
    assert [scope_from_wire({"scope": scope, **filled}) for scope in api.SCOPES] == [
        {"scope": "system"},
        {"scope": "tenant"},
        {"scope": "cluster", "scope_id": CLUSTER_ID},
        {"scope": "department", "scope_id": "4500001"},
        {"scope": "project", "scope_id": "4501234"},
    ]


@pytest.mark.parametrize("scope_id", [None, "vision", "4501234x", "٣", "-1"])
def test_a_project_id_that_is_no_number_is_refused_before_anything_is_sent(scope_id: Any) -> None:
    """The wire wants a whole number."""
    with pytest.raises(Rejected, match="is not a number"):
        creation_meta({"name": "a", "scope": "project", "scope_id": scope_id})


def test_a_newer_platform_can_be_read() -> None:
    """Unknown keys and values are no reason to fail; values that have a place are kept."""
    found = environment_from_wire(
        {"name": "a", "scope": "galaxy", "colour": "red", "workloadSupportedTypes": {"batch": True}},
        {
            "image": "python:3.11",
            "uidGidSource": "fromTheStars",
            "hologram": True,
            "connections": [
                {
                    "name": "J",
                    "internalToolInfo": {
                        "toolType": "teleport",
                        "connectionType": "Wormhole",
                        "containerPort": 1,
                        "colour": "red",
                    },
                }
            ],
            "environmentVariables": [{"name": "A", "value": "1", "colour": "red"}],
        },
    )
    assert found == {
        "name": "a",
        "scope": "galaxy",
        "workload_types": [],
        "image": "python:3.11",
        "image_pull_policy": "IfNotPresent",
        "uid_gid_source": "fromTheStars",
        "tools": {"J": {"type": "teleport", "connection": "Wormhole", "container_port": 1}},
        "environment_variables": {"A": "1"},
    }
    assert environment_spec(found)["uidGidSource"] == "fromTheStars"
    assert environment_spec(found)["connections"][0]["internalToolInfo"]["connectionType"] == "Wormhole"


def test_of_two_serving_ports_neither_is_lost() -> None:
    """A spec has one endpoint; a second one made by hand is a tool like any other, and stays there."""
    serving = {"toolType": "custom", "connectionType": "ServingPort", "containerPort": 8000}
    spec = {
        "connections": [
            {"name": "second", "internalToolInfo": {**serving, "servingPortInfo": {"protocol": "grpc"}}},
            {"name": "first", "internalToolInfo": serving},
        ]
    }
    found = environment_from_wire({"name": "a", "scope": "tenant"}, spec)
    assert found["inference_endpoint"]["name"] == "first"
    assert found["tools"] == {
        "second": {
            "type": "custom",
            "connection": "ServingPort",
            "container_port": 8000,
            "as_is": {"internalToolInfo": {**serving, "servingPortInfo": {"protocol": "grpc"}}},
        }
    }
    reversed_ = environment_from_wire(
        {"name": "a", "scope": "tenant"}, {"connections": spec["connections"][::-1]}
    )
    assert reversed_ == found


def test_a_credential_is_referred_to_by_its_id() -> None:
    """The id stands in a marker, so that the engine sees what refers to what."""
    wire = {"name": "T", "credential": {"assetId": CREDENTIAL_ID, "key": "token"}}
    found = environment_from_wire({"name": "a", "scope": "tenant"}, {"environmentVariables": [wire]})
    assert found["environment_variables"] == {"T": {"credential": {ID: CREDENTIAL_ID}, "key": "token"}}
    assert environment_spec(found)["environmentVariables"] == [wire]
    assert REF not in str(found)


# --- compute assets ---

quantities = st.sampled_from([None, "64Gi", "1024Mi", "1Gi", "128G", "1T", "0.5Gi", "500m", "1e3"])
amounts = st.none() | st.sampled_from([0, 0.5, 1, 8, 8.5])
computes = given_or_not(
    cpuCoreLimit=amounts,
    cpuCoreRequest=amounts,
    cpuMemoryLimit=quantities,
    cpuMemoryRequest=quantities,
    gpuDevicesRequest=st.none() | st.integers(0, 64),
    gpuMemoryLimit=quantities,
    gpuMemoryRequest=quantities,
    gpuPortionLimit=st.none() | st.sampled_from([0.25, 1]),
    gpuPortionRequest=st.none() | st.sampled_from([0.25, 1]),
    gpuRequestType=st.sampled_from([None, "portion", "memory"]),
    largeShmRequest=flags,
    extendedResources=st.none()
    | st.lists(
        given_or_not(resource=st.sampled_from(["a/b", "c/d"]), quantity=quantities, exclude=flags),
        max_size=3,
    ),
)


@settings(deadline=None, max_examples=200)
@given(metas, computes)
def test_a_compute_asset_comes_back_as_it_was(meta: dict[str, Any], spec: dict[str, Any]) -> None:
    """Every field, and every amount by its meaning."""
    attributes = compute_from_wire(meta, spec)
    written = compute_spec(attributes)
    assert sorted(written) == sorted(api.ComputeSpec.__struct_encode_fields__)
    msgspec.convert(
        {"meta": creation_meta(attributes), "spec": written}, api.ComputeCreationRequest, strict=False
    )
    assert compute_from_wire(meta, written) == attributes


def test_amounts_are_compared_by_what_they_are() -> None:
    """``1024Mi`` is ``1Gi``, ``8.0`` cores are ``8``, and resources have no order."""
    meta = {"name": "a", "scope": "tenant"}
    one = compute_from_wire(
        meta,
        {
            "cpuCoreRequest": 8.0,
            "cpuMemoryRequest": "1024Mi",
            "extendedResources": [
                {"resource": "x/y", "quantity": "1000m", "exclude": False},
                {"resource": "a/b", "quantity": "2"},
            ],
        },
    )
    other = compute_from_wire(
        meta,
        {
            "cpuCoreRequest": 8,
            "cpuMemoryRequest": "1Gi",
            "largeShmRequest": False,
            "extendedResources": [
                {"resource": "a/b", "quantity": "2"},
                {"resource": "x/y", "quantity": "1"},
            ],
        },
    )
    assert {**COMPUTE.defaults, **one} == {**COMPUTE.defaults, **other}


# --- credentials ---

CREDENTIALS: dict[str, tuple[dict[str, Any], type[Any], dict[str, Any]]] = {
    "generic-secret": (
        {"data": {"token": "hunter", "user": "me"}, "keys": ["token", "user"]},
        api.GenericSecretCreationRequest,
        {"keyValuePairs": [{"key": "token", "value": "hunter"}, {"key": "user", "value": "me"}]},
    ),
    "docker-registry": (
        {"url": "https://images.example.com", "user": "u", "password": "hunter"},
        api.DockerRegistryCreationRequest,
        {"url": "https://images.example.com", "user": "u", "password": "hunter"},
    ),
    "access-key": (
        {"access_key_id": "id", "secret_access_key": "hunter"},
        api.AccessKeyCreationRequest,
        {"accessKeyId": "id", "secretAccessKey": "hunter"},
    ),
    "password": (
        {"user": "u", "password": "hunter"},
        api.PasswordCreationRequest,
        {"user": "u", "password": "hunter"},
    ),
    "ngc-api-key": (
        {"ngc_api_key": "hunter"},
        api.NgcApiKeyCreationRequest,
        {"ngc_api_key": "hunter"},
    ),
}


@pytest.mark.parametrize("kind", api.CREDENTIAL_KINDS, ids=lambda kind: kind.segment)
def test_a_credential_is_sent_whole_and_read_without_its_secret(kind: api.CredentialKind) -> None:
    """Each of the five kinds, also when the platform is so careless as to show the secret."""
    attributes, struct, wire = CREDENTIALS[kind.segment]
    whole = {"name": "c", "scope": "tenant", "type": kind.segment, **attributes}
    assert credential_spec(whole) == wire
    msgspec.convert({"meta": creation_meta(whole), "spec": wire}, struct)
    meta = {"name": "c", "scope": "tenant", "kind": kind.kind}
    wanted = {key: value for key, value in whole.items() if key not in KINDS["credential"].write_only}
    for spec in (wire, {kind.kind: wire}):
        found = credential_from_wire(meta, spec)
        assert found == wanted
        assert "hunter" not in str(found)


@pytest.mark.parametrize("kind", api.CREDENTIAL_KINDS[:-1], ids=lambda kind: kind.segment)
def test_a_credential_may_be_a_secret_of_the_cluster(kind: api.CredentialKind) -> None:
    """``existing_secret_name`` is all that is sent then."""
    attributes = {
        "name": "c",
        "scope": "tenant",
        "type": kind.segment,
        "existing_secret_name": "team-secret",
    }
    assert credential_spec(attributes) == {"existingSecretName": "team-secret"}
    meta = {"name": "c", "scope": "tenant", "kind": kind.kind}
    assert credential_from_wire(meta, {"existingSecretName": "team-secret"}) == attributes


def test_a_credential_of_no_known_type_is_not_sent() -> None:
    """A kind of a newer platform can be read, and not be made."""
    with pytest.raises(Rejected, match="there is no credential of type 'hologram'"):
        credential_spec({"type": "hologram"})
    found = credential_from_wire({"name": "c", "scope": "tenant", "kind": "hologram"}, {"user": "u"})
    assert found == {"name": "c", "scope": "tenant", "type": "hologram", "user": "u"}


# --- what uses an asset ---


def test_what_uses_an_asset() -> None:
    """What runs or may start again is active, and so are templates; what has ended is not."""
    answer = {
        "workspaces": [{"id": "1", "name": "lab-1", "status": "Running"}],
        "trainings": [{"id": "2", "name": "fit-1", "status": "Completed"}],
        "distributed": [{"id": "3", "name": "fit-n", "status": "Pending"}],
        "inferences": [{"id": "4", "name": "serve"}],
        "templates": [{"id": "5", "name": "nightly"}],
        "assets": {
            "environments": [{"id": "6", "name": "e"}],
            "computes": None,
            "datasources": [{"id": "8", "name": "d", "kind": "nfs"}],
        },
    }
    assert used_by(answer) == (
        UsedBy("workspace", "lab-1", "Running", active=True),
        UsedBy("training", "fit-1", "Completed"),
        UsedBy("distributed training", "fit-n", "Pending", active=True),
        UsedBy("inference", "serve", active=True),
        UsedBy("template", "nightly", active=True),
        UsedBy("environment", "e"),
        UsedBy("data source", "d"),
    )
    assert used_by(None) == ()
    assert used_by({}) == ()


def test_every_attribute_that_cannot_be_changed_in_place_is_known() -> None:
    """``meta`` of an update has a name and a description; all else of it means a new object."""
    placed = {"scope", "scope_id"}
    assert ENVIRONMENT.immutable == placed | {"workload_types", "distributed_framework"}
    assert COMPUTE.immutable == placed
    assert KINDS["credential"].immutable >= {"name", *placed, *KINDS["credential"].write_only}


def test_what_an_update_would_lose_is_named() -> None:
    """Fields of a newer platform wherever they are, and of two variables of one name all but the last."""
    tool = {
        "toolType": "custom",
        "connectionType": "NodePort",
        "containerPort": 1,
        "nodePortInfo": {"port": 3},
    }
    spec = {
        "image": "python:3.11",
        "sidecars": ["x"],
        "unset": None,
        "environmentVariables": [
            {"name": "A", "value": "1", "future": True},
            {"name": "A", "value": "2"},
            {"name": "B", "credential": {"assetId": "x", "key": "k", "version": 2}},
        ],
        "connections": [{"name": "T", "internalToolInfo": tool}],
        "probes": {
            "readiness": {"periodSeconds": 1, "handler": {"exec": {"command": ["true"]}}},
            "liveness": {},
        },
    }
    assert list(unkept("environment", spec)) == [
        "sidecars",
        "environmentVariables.A.future",
        "environmentVariables.B.credential.version",
        "connections.T.internalToolInfo.nodePortInfo.port",
        "probes.readiness.handler.exec",
        "probes.liveness",
        "environmentVariables.A (2 of that name)",
    ]
    compute = {"cpuCoreRequest": 1, "numa": "strict", "extendedResources": [{"resource": "x/y", "unit": 1}]}
    assert list(unkept("compute", compute)) == ["numa", "extendedResources.0.unit"]
    assert list(unkept("credential", {"anything": 1})) == []


@given(requests)
def test_nothing_that_this_api_knows_is_lost(body: dict[str, Any]) -> None:
    """An update can say whatever a create can."""
    assert list(unkept("environment", body["spec"])) == []
