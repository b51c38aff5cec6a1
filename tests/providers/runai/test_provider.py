"""The Run:ai provider: which calls it makes, and what it makes of every answer."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from loopback import Reply, failing, refusal, run
from tenants import (
    COMPUTE,
    CREDENTIALS,
    EAST,
    ENVIRONMENTS,
    SEGMENTS,
    address,
    answer,
    asset,
    context,
    listed,
    opened,
    tenant,
)
from wire import CODE, JUPYTER, SECURITY, TENSORBOARD, serving

from reconciler.core.attributes import ID, Attributes
from reconciler.core.model import Remote, UsedBy, Verb
from reconciler.errors import (
    AlreadyExists,
    Forbidden,
    InUse,
    ListingIncomplete,
    OutcomeUnknown,
    ProviderError,
    Rejected,
    Unauthenticated,
)
from reconciler.providers.emulator import Store
from reconciler.providers.runai import conversion
from reconciler.providers.runai.emulator import Options, build_app
from reconciler.providers.runai.provider import RunaiProvider
from reconciler.providers.runai.settings import Settings

# --- reading -------------------------------------------------------------------------------------------


def test_a_listing_is_one_call(tmp_path: Path) -> None:
    """Whatever the number of objects."""

    async def check() -> None:
        many = {"entries": [asset(f"e-{number}") for number in range(1000)]}
        async with tenant(tmp_path, {f"GET {ENVIRONMENTS}": many}) as (server, provider):
            found = await listed(provider)
        assert (len(found), server.calls) == (1000, [f"GET {ENVIRONMENTS}"])
        assert found[0].identity == ("tenant", "", "e-0")
        assert found[0].version == "2026-03-01T08:15:30.123456Z"

    run(check())


@pytest.mark.parametrize(
    ("meta", "identity", "scope"),
    [
        ({"scope": "tenant"}, ("tenant", "", "lab"), {"scope": "tenant"}),
        (
            {"scope": "cluster", "clusterId": EAST},
            ("cluster", EAST, "lab"),
            {"scope": "cluster", "scope_id": EAST},
        ),
        (
            {"scope": "department", "departmentId": "45", "clusterId": EAST},
            ("department", "45", "lab"),
            {"scope": "department", "scope_id": "45"},
        ),
        (
            {"scope": "project", "projectId": 77, "departmentId": "45", "clusterId": EAST},
            ("project", "77", "lab"),
            {"scope": "project", "scope_id": "77"},
        ),
        (
            {"scope": "project", "projectId": "77"},
            ("project", "77", "lab"),
            {"scope": "project", "scope_id": "77"},
        ),
    ],
)
def test_a_scope_is_its_own_id(
    tmp_path: Path, meta: dict[str, Any], identity: tuple[str, ...], scope: dict[str, str]
) -> None:
    """What the server fills in above it does not count, and a number is the same as its text."""

    async def check() -> None:
        async with tenant(tmp_path, {f"GET {ENVIRONMENTS}": {"entries": [asset(**meta)]}}) as (_, provider):
            (found,) = await listed(provider)
        kept = {key: found.attributes[key] for key in ("scope", "scope_id") if key in found.attributes}
        assert (found.identity, kept) == (identity, scope)

    run(check())


def test_what_a_newer_control_plane_says_is_taken_as_it_comes(tmp_path: Path) -> None:
    """Unknown keys everywhere, unknown words in every enumeration: nothing fails, what is known is read."""
    strange = asset(
        workloadSupportedTypes={"workspace": True, "quantum": True, "distFramework": "Ray"},
        newField={"a": 1},
        updateCount=3,
        spec={
            "imagePullPolicy": "Sometimes",
            "uidGidSource": "fromTheStars",
            "capabilities": ["BPF"],
            "seccompProfileType": "Custom",
            "newSpecField": [1],
            "environmentVariables": [{"name": "A", "value": "1", "future": True}],
            "connections": [
                {
                    "name": "T",
                    "internalToolInfo": {
                        "toolType": "holodeck",
                        "connectionType": "Wormhole",
                        "containerPort": 1,
                        "wormholeInfo": {},
                    },
                }
            ],
            "probes": {"liveness": {}},
        },
    )

    async def check() -> None:
        async with tenant(tmp_path, {f"GET {ENVIRONMENTS}": {"entries": [strange], "pagination": {}}}) as (
            _,
            provider,
        ):
            (found,) = await listed(provider)
        picked = {
            key: found.attributes[key]
            for key in (
                "image_pull_policy",
                "uid_gid_source",
                "capabilities",
                "distributed_framework",
                "workload_types",
                "environment_variables",
            )
        }
        assert picked == {
            "image_pull_policy": "Sometimes",
            "uid_gid_source": "fromTheStars",
            "capabilities": ["BPF"],
            "distributed_framework": "Ray",
            "workload_types": ["workspace"],
            "environment_variables": {"A": "1"},
        }
        assert found.attributes["tools"]["T"]["type"] == "holodeck"
        assert found.version == "2026-03-01T08:15:30.123456Z 3"

    run(check())


def test_what_was_deleted_is_gone(tmp_path: Path) -> None:
    """An answer with ``deletedAt`` is the memory of an object, in a list, a read and a search alike."""
    dead = asset("dead", deletedAt="2026-03-09T10:00:00Z", deletedBy="x")

    async def check() -> None:
        async with tenant(
            tmp_path,
            {
                f"GET {ENVIRONMENTS}": {"entries": [dead, asset("alive", deletedAt=None)]},
                f"GET {ENVIRONMENTS}/id-dead": dead,
            },
        ) as (_, provider):
            assert [remote.id for remote in await listed(provider)] == ["id-alive"]
            assert await provider.read("environment", "id-dead") is None
            assert await provider.find("environment", Attributes({"name": "dead", "scope": "tenant"})) is None

    run(check())


def test_one_id_twice_is_no_listing(tmp_path: Path) -> None:
    """Something moved while it was made, or it is not what we think it is."""

    async def check() -> None:
        twice = {"entries": [asset("a"), asset("b"), {**asset("a")}]}
        async with tenant(tmp_path, {f"GET {ENVIRONMENTS}": twice}) as (_, provider):
            error = await failing(listed(provider))
        assert (type(error), str(error), error.call) == (
            ListingIncomplete,
            f"runai: GET {ENVIRONMENTS} lists the id id-a twice",
            f"GET {ENVIRONMENTS}",
        )

    run(check())


HALF = json.dumps({"entries": [asset("a"), asset("b")]}).encode()
NO_LISTS = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"null", id="null"),
    pytest.param(b"[]", id="an array"),
    pytest.param(b"{}", id="no entries"),
    pytest.param(b'{"entries":null}', id="null entries"),
    pytest.param(b'{"entries":{}}', id="entries by name"),
    pytest.param(HALF[: len(HALF) // 2], id="half"),
    pytest.param(HALF[:-1], id="the last byte missing"),
    pytest.param(HALF + b"}", id="a byte too much"),
    pytest.param(b"<html>Please sign in</html>", id="a page"),
    pytest.param(b'{"entries":[7]}', id="numbers"),
    pytest.param(b'{"entries":[null]}', id="a hole"),
    pytest.param(b'{"entries":[{"meta":{"name":"x"}}]}', id="no id"),
    pytest.param(b'{"entries":[{"spec":{}}]}', id="no meta"),
    pytest.param(b'{"code":200,"message":"ok"}', id="something else"),
    pytest.param(b'{"entries":[{"meta":{"name":"l\xe4b"}}]}', id="another encoding"),
]


@pytest.mark.parametrize("body", NO_LISTS)
@pytest.mark.parametrize("kind", ["environment", "compute", "credential"])
def test_what_is_no_whole_list_is_never_an_empty_one(tmp_path: Path, body: bytes, kind: str) -> None:
    """200 alone proves nothing: neither a listing nor a search says that something is not there."""
    path = {"environment": ENVIRONMENTS, "compute": COMPUTE, "credential": CREDENTIALS}[kind]

    async def check() -> None:
        async with tenant(tmp_path, {f"GET {path}": answer(body)}) as (_, provider):
            wanted = Attributes({"name": "a", "scope": "tenant", "type": "password"})
            for error in (await failing(listed(provider, kind)), await failing(provider.find(kind, wanted))):
                assert type(error) is ListingIncomplete
                assert error.hint.startswith("Nothing was decided.")

    run(check())


def test_an_object_that_cannot_be_understood_harms_nobody_who_does_not_look(tmp_path: Path) -> None:
    """Somebody else's object of a shape we do not know is listed; looked into, it is an error with its id."""
    strange = asset("strange", spec={"environmentVariables": "none", "connections": [[]]})

    async def check() -> None:
        async with tenant(tmp_path, {f"GET {ENVIRONMENTS}": {"entries": [strange, asset()]}}) as (
            _,
            provider,
        ):
            first, second = await listed(provider)
        assert second.attributes["image"] == "python:3.11"
        with pytest.raises(ListingIncomplete, match=r"kind environment \(id id-strange\) that"):
            _ = first.attributes["image"]
        odd = asset("odd", kind="genericSecret", spec={"genericSecret": {"keyValuePairs": 7}})
        async with tenant(tmp_path, {f"GET {CREDENTIALS}": {"entries": [odd]}}) as (_, provider):
            (found,) = await listed(provider, "credential")
        assert found.wire_digest == ""
        with pytest.raises(ListingIncomplete, match=r"kind credential \(id id-odd\) that"):
            _ = found.attributes["keys"]

    run(check())


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"meta":{}}', b'{"meta":{"id":"\xe4"}}', b"<html></html>", b'{"meta":{"id":"x"'],
)
def test_a_read_that_is_no_object_is_an_error(tmp_path: Path, body: bytes) -> None:
    """Not absence."""

    async def check() -> None:
        async with tenant(tmp_path, {f"GET {ENVIRONMENTS}/x": answer(body)}) as (_, provider):
            assert type(await failing(provider.read("environment", "x"))) is ListingIncomplete

    run(check())


@pytest.mark.parametrize(
    ("gone", "kind"),
    [
        pytest.param(refusal(404, "Resource id not found."), None, id="the platform's own"),
        pytest.param(Reply(404, b"<html>404 page not found</html>"), Rejected, id="a page"),
        pytest.param(Reply(404, b""), Rejected, id="nothing"),
        pytest.param(Reply(404, b'{"message":"no Route matched"}'), Rejected, id="a gateway"),
        pytest.param(refusal(403), Forbidden, id="forbidden"),
        pytest.param(refusal(410), Rejected, id="gone, which the API does not say"),
    ],
)
@pytest.mark.parametrize("kind_of_object", ["environment", "credential"])
def test_only_the_platforms_own_404_means_absent(
    tmp_path: Path, gone: Reply, kind: type[ProviderError] | None, kind_of_object: str
) -> None:
    """For a read and for a deletion: a gateway that lost the platform makes nothing look deleted."""
    paths = (
        [f"{ENVIRONMENTS}/x"]
        if kind_of_object == "environment"
        else [f"{CREDENTIALS}/{s}/x" for s in SEGMENTS]
    )

    async def check() -> None:
        routes = {f"{method} {path}": gone for path in paths for method in ("GET", "DELETE")}
        async with tenant(tmp_path, routes) as (_, provider):
            if kind is None:
                assert await provider.read(kind_of_object, "x") is None
                await provider.delete(address("x", kind_of_object), "x")
            else:
                assert type(await failing(provider.read(kind_of_object, "x"))) is kind
                assert type(await failing(provider.delete(address("x", kind_of_object), "x"))) is kind

    run(check())


def test_a_platform_without_a_token_call_makes_nothing_look_deleted(tmp_path: Path) -> None:
    """Both token calls answer 404 in the platform's own words, and the object is still not gone."""

    async def check() -> None:
        gone = refusal(404, "Resource not found.")
        async with tenant(tmp_path, {"POST /api/v1/token": gone, "POST /api/v2/token": gone}) as (
            server,
            provider,
        ):
            for work in (provider.read("environment", "x"), provider.delete(address("x"), "x")):
                error = await failing(work)
                assert (type(error), error.hint) == (
                    Unauthenticated,
                    "Is `endpoint` the address of a Run:ai tenant?",
                )
        assert server.calls == []

    run(check())


@pytest.mark.parametrize(
    ("remote_id", "path"), [("a/b", "a%2Fb"), ("a?b#c", "a%3Fb%23c"), ("50%", "50%25"), ("é ", "%C3%A9%20")]
)
def test_an_id_is_one_part_of_a_path(tmp_path: Path, remote_id: str, path: str) -> None:
    """Whatever is in it: no id reaches another object's path."""

    async def check() -> None:
        async with tenant(tmp_path, {}) as (server, provider):
            await provider.read("environment", remote_id)
            await provider.delete(address("x"), remote_id)
        assert server.calls == [f"GET {ENVIRONMENTS}/{path}", f"DELETE {ENVIRONMENTS}/{path}"]
        assert provider.call(Verb.DELETE, "environment", remote_id) == server.calls[1]

    run(check())


def test_a_credential_that_was_seen_is_read_with_one_call(tmp_path: Path) -> None:
    """An id does not say of which kind it is; a listing does, and so does making it."""

    def credential(segment: str, kind: str) -> dict[str, Any]:
        return asset(segment, id=f"id-{segment}", kind=kind)

    kinds = ["genericSecret", "dockerRegistry", "accessKey", "password", "ngcApiKey"]
    entries = [
        {**credential(segment, kind), "spec": {kind: {"keyId": 1}}}
        for segment, kind in zip(SEGMENTS, kinds, strict=True)
    ]

    async def check() -> None:
        routes: dict[str, Any] = {f"GET {CREDENTIALS}": {"entries": entries}}
        for segment, kind in zip(SEGMENTS, kinds, strict=True):
            routes[f"GET {CREDENTIALS}/{segment}/id-{segment}"] = credential(segment, kind)
        async with tenant(tmp_path, routes) as (server, provider):
            unseen = await provider.read("credential", "id-ngc-api-key")
            assert unseen is not None
            assert server.calls == [f"GET {CREDENTIALS}/{s}/id-ngc-api-key" for s in SEGMENTS]
            await listed(provider, "credential")
            del server.requests[:]
            for segment in SEGMENTS:
                await provider.read("credential", f"id-{segment}")
                assert provider.call(Verb.DELETE, "credential", f"id-{segment}") == (
                    f"DELETE {CREDENTIALS}/{segment}/id-{segment}"
                )
            assert server.calls == [f"GET {CREDENTIALS}/{s}/id-{s}" for s in SEGMENTS]

    run(check())


def test_a_search_asks_for_the_name_and_compares_it(tmp_path: Path) -> None:
    """The platform may answer more than was asked for, and things of other scopes."""
    entries = [
        asset("lab-2"),
        asset("lab", id="id-cluster", scope="cluster", clusterId=EAST),
        asset("lab", id="id-76", scope="project", projectId=76),
        asset("lab", id="id-77", scope="project", projectId=77),
        asset("LAB", id="id-upper", scope="project", projectId=77),
    ]

    async def check() -> None:
        async with tenant(tmp_path, {f"GET {ENVIRONMENTS}": {"entries": entries}}) as (server, provider):
            wanted = Attributes({"name": "lab", "scope": "project", "scope_id": "77"})
            found = await provider.find("environment", wanted)
            none = await provider.find("environment", wanted.with_values(scope_id="78"))
        query = parse_qs(urlsplit(server.requests[-1].target).query)
        assert (found and found.id, none, query) == (
            "id-77",
            None,
            {"name": ["lab"], "scope": ["project"]},
        )

    run(check())


def test_what_belongs_to_the_vendor_is_foreign(tmp_path: Path) -> None:
    """By its scope, ``system``, or as one of the preinstalled ones; elsewhere such a name is anybody's."""
    entries = [
        asset("any", scope="system"),
        *(asset(name) for name in ("jupyter-lab", "Jupiter-lab", "llm-server", "chatbot-ui", "gpt2", "lab")),
        asset("gpt2", id="id-ours", scope="project", projectId=77),
    ]

    async def check() -> None:
        async with tenant(tmp_path, {f"GET {ENVIRONMENTS}": {"entries": entries}}) as (_, provider):
            found = await listed(provider)
        assert [remote.id for remote in found if not remote.foreign] == ["id-lab", "id-ours"]

    run(check())


def test_preinstalled_environments_are_foreign_on_the_embedded_platform(tmp_path: Path) -> None:
    """All six, and nothing else is there."""

    async def check() -> None:
        provider = opened(tmp_path)
        found = await listed(provider)
        await provider.close()
        assert sorted(remote.identity[-1] for remote in found if remote.foreign) == [
            "chatbot-ui",
            "gpt2",
            "jupyter-lab",
            "jupyter-tensorboard",
            "llm-server",
            "tensorboard",
        ]
        assert [remote for remote in found if not remote.foreign] == []

    run(check())


def test_a_listing_with_usage_says_who_uses_what_and_where_it_is(tmp_path: Path) -> None:
    """For people: names instead of ids, authors and times; and a plain one does not ask for it."""

    async def check() -> None:
        provider = opened(tmp_path)
        made = await provider.create(
            address("lab"),
            Attributes({"name": "lab", "scope": "project", "scope_id": "4501238", "image": "a:1"}),
            key="k",
        )
        plain = {remote.id: remote for remote in await listed(provider)}
        found = {remote.id: remote for remote in await listed(provider, usage=True)}
        read = await provider.read("environment", made, usage=True)
        await provider.close()
        assert (plain[made].used_by, plain[made].details) == (None, {})
        ours = found[made]
        assert read is not None
        assert (ours.used_by, ours.details) == (read.used_by, read.details)
        assert ours.used_by == ()
        assert {k: ours.details[k] for k in ("scope", "cluster", "created_by")} == {
            "scope": "project vision",
            "cluster": "gpu-west",
            "created_by": "embedded",
        }
        notebook = next(one for one in found.values() if one.identity[-1] == "jupyter-lab")
        assert notebook.used_by == (
            UsedBy("workspace", "lab-1", "Running", True),
            UsedBy("workspace", "lab-2", "Stopped", False),
            UsedBy("template", "notebook", active=True),
        )

    run(check())


ORGANISATION = {
    "GET /api/v1/clusters": answer(b"[]"),
    "GET /api/v1/org-unit/departments": {"departments": []},
    "GET /api/v1/org-unit/projects": {"projects": []},
}


def test_many_reads_with_usage_ask_for_the_organisation_once(tmp_path: Path) -> None:
    """As before a deletion of several, also when they start at the same time."""

    async def check() -> None:
        ids = [f"id-{number}" for number in range(5)]
        routes = {f"GET {ENVIRONMENTS}/{one}": asset(id=one) for one in ids}
        async with tenant(tmp_path, ORGANISATION | routes) as (server, provider):
            found = await asyncio.gather(*(provider.read("environment", one, usage=True) for one in ids))
        assert [one.id for one in found if one is not None] == ids
        assert sorted(call.partition("?")[0] for call in server.calls) == sorted([*ORGANISATION, *routes])

    run(check())


@pytest.mark.parametrize("path", ORGANISATION)
def test_who_may_not_see_the_organisation_sees_ids(tmp_path: Path, path: str) -> None:
    """An administrator of environments can list them, see what uses them and so delete them all the same."""

    async def check() -> None:
        lab = asset(scope="project", projectId=77, clusterId=EAST)
        routes = {f"GET {ENVIRONMENTS}": {"entries": [lab]}, f"GET {ENVIRONMENTS}/id-lab": lab}
        async with tenant(tmp_path, ORGANISATION | routes | {path: refusal(403)}) as (server, provider):
            (found,) = await listed(provider, usage=True)
            read = await provider.read("environment", "id-lab", usage=True)
        assert read is not None
        assert (found.details["scope"], found.details["cluster"]) == ("project 77", EAST)
        assert (read.details, read.used_by) == (found.details, ())
        assert sum(call.partition("?")[0] == path for call in server.calls) == 1

    run(check())


# --- writing -------------------------------------------------------------------------------------------

RICH: dict[str, Any] = {
    "name": "torch",
    "description": "PyTorch",
    "scope": "project",
    "scope_id": "4501234",
    "workload_types": ["distributed", "training"],
    "distributed_framework": "PyTorch",
    "image": "nvcr.io/nvidia/pytorch:24.01-py3",
    "image_pull_policy": "Always",
    "command": "start.sh",
    "args": "--x",
    "working_dir": "/workspace",
    "environment_variables": {
        "PLAIN": "1",
        "EMPTY": {"value": "", "instructions": "fill in"},
        "CRED": {"credential": {ID: "0b6a3f5e-77d1-4c57-9c0e-51a2d4f6b803"}, "key": "password"},
        "MAP": {"config_map": "team-config", "key": "schema"},
        "POD": {"pod_field": "metadata.name"},
        "NOT": {"exclude": True},
    },
    "tools": {
        "Jupyter": {
            "type": "jupyter-notebook",
            "connection": "external-url",
            "container_port": 8888,
            "custom": True,
            "url": "https://nb.example.com",
        },
        "TensorBoard": {
            "type": "tensorboard",
            "connection": "node-port",
            "container_port": 6006,
            "custom": True,
        },
        "Code": {"type": "visual-studio-code", "connection": "load-balancer", "container_port": 8080},
        "W&B": {"type": "wandb", "url": "https://wandb.example.com/${P}"},
    },
    "inference_endpoint": {"protocol": "grpc", "serving_port": 8000, "name": "endpoint", "type": "custom"},
    "uid_gid_source": "custom",
    "run_as_uid": 1000,
    "run_as_gid": 100,
    "supplemental_groups": [100, 2000],
    "override_uid_gid_in_workspace": True,
    "capabilities": ["CHOWN", "NET_BIND_SERVICE"],
    "seccomp_profile_type": "RuntimeDefault",
    "run_as_non_root": True,
    "read_only_root_filesystem": False,
    "allow_privilege_escalation": False,
    "create_home_dir": True,
    "host_ipc": False,
    "host_network": False,
    "stdin": True,
    "tty": True,
    "readiness_probe": {
        "initial_delay_seconds": 5,
        "period_seconds": 10,
        "timeout_seconds": 2,
        "success_threshold": 1,
        "failure_threshold": 3,
        "path": "/healthz",
        "port": 8000,
        "host": "svc.example.com",
        "scheme": "HTTP",
    },
}
RICH_SPEC: dict[str, Any] = {
    "image": "nvcr.io/nvidia/pytorch:24.01-py3",
    "imagePullPolicy": "Always",
    "command": "start.sh",
    "args": "--x",
    "workingDir": "/workspace",
    "environmentVariables": [
        {"name": "PLAIN", "value": "1"},
        {"name": "EMPTY", "value": "", "description": "fill in"},
        {
            "name": "CRED",
            "credential": {"assetId": "0b6a3f5e-77d1-4c57-9c0e-51a2d4f6b803", "key": "password"},
        },
        {"name": "MAP", "configMap": {"name": "team-config", "key": "schema"}},
        {"name": "POD", "podFieldRef": {"path": "metadata.name"}},
        {"name": "NOT", "exclude": True},
    ],
    "connections": [
        JUPYTER,
        TENSORBOARD,
        CODE,
        {
            "name": "W&B",
            "isExternal": True,
            "externalToolInfo": {"toolType": "wandb", "externalUrl": "https://wandb.example.com/${P}"},
        },
        serving("grpc"),
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
"""The same on the wire: all 23 fields."""


def test_a_rich_environment_is_created_with_all_it_says(tmp_path: Path) -> None:
    """Each field where the API has it, the id of its own scope as a number, and nothing else."""

    async def check() -> None:
        async with tenant(tmp_path, {f"POST {ENVIRONMENTS}": answer(asset("torch"), 202)}) as (
            server,
            provider,
        ):
            assert await provider.create(address("torch"), Attributes(RICH), key="k") == "id-torch"
        assert (len(RICH_SPEC), server.calls) == (23, [f"POST {ENVIRONMENTS}"])
        assert server.sent() == {
            "meta": {
                "name": "torch",
                "description": "PyTorch",
                "scope": "project",
                "projectId": 4501234,
                "workloadSupportedTypes": {
                    "workspace": False,
                    "training": True,
                    "inference": False,
                    "distributed": True,
                    "distFramework": "PyTorch",
                },
            },
            "spec": RICH_SPEC,
        }

    run(check())


@pytest.mark.parametrize(
    ("scope", "sent"),
    [
        ({"scope": "tenant"}, {"scope": "tenant"}),
        ({"scope": "cluster", "scope_id": EAST}, {"scope": "cluster", "clusterId": EAST}),
        ({"scope": "department", "scope_id": "45"}, {"scope": "department", "departmentId": "45"}),
        ({"scope": "project", "scope_id": "77"}, {"scope": "project", "projectId": 77}),
    ],
)
@pytest.mark.parametrize(
    ("kind", "path", "fields", "spec"),
    [
        (
            "compute",
            COMPUTE,
            {"gpu": 2, "memory": "64Gi"},
            {"gpuDevicesRequest": 2, "cpuMemoryRequest": "64Gi"},
        ),
        (
            "credential",
            f"{CREDENTIALS}/generic-secret",
            {"type": "generic-secret", "keys": ["a"], "data": {"a": "1"}},
            {"keyValuePairs": [{"key": "a", "value": "1"}]},
        ),
        (
            "credential",
            f"{CREDENTIALS}/docker-registry",
            {"type": "docker-registry", "url": "https://i", "user": "u", "password": "p"},
            {"url": "https://i", "user": "u", "password": "p"},
        ),
        (
            "credential",
            f"{CREDENTIALS}/access-key",
            {"type": "access-key", "access_key_id": "i", "secret_access_key": "s"},
            {"accessKeyId": "i", "secretAccessKey": "s"},
        ),
        (
            "credential",
            f"{CREDENTIALS}/password",
            {"type": "password", "user": "u", "password": "p"},
            {"user": "u", "password": "p"},
        ),
        (
            "credential",
            f"{CREDENTIALS}/ngc-api-key",
            {"type": "ngc-api-key", "ngc_api_key": "k"},
            {"ngc_api_key": "k"},
        ),
        (
            "credential",
            f"{CREDENTIALS}/password",
            {"type": "password", "existing_secret_name": "there"},
            {"existingSecretName": "there"},
        ),
    ],
)
def test_other_assets_are_created_as_the_api_wants_them(
    tmp_path: Path,
    scope: dict[str, Any],
    sent: dict[str, Any],
    kind: str,
    path: str,
    fields: dict[str, Any],
    spec: dict[str, Any],
) -> None:
    """On every scope; empty fields are left out."""

    async def check() -> None:
        async with tenant(tmp_path, {f"POST {path}": answer(asset("a"), 202)}) as (server, provider):
            attributes = Attributes({"name": "a", **scope, **fields})
            assert await provider.create(address("a", kind), attributes, key="k") == "id-a"
        body = server.sent()
        body["spec"] = {key: value for key, value in body["spec"].items() if value != []}
        assert body == {"meta": {"name": "a", **sent}, "spec": spec}

    run(check())


def test_a_project_id_that_is_no_number_is_not_sent(tmp_path: Path) -> None:
    """The wire has no other form of it."""

    async def check() -> None:
        async with tenant(tmp_path, {}) as (server, provider):
            wanted = Attributes({"name": "a", "scope": "project", "scope_id": "p-1", "image": "x"})
            error = await failing(provider.create(address("a"), wanted, key="k"))
        assert (type(error), server.requests) == (Rejected, [])

    run(check())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"code":202,"message":"accepted"}',
        b"<html>",
        b'{"meta":{"name":"a"}}',
        b'{"meta":{"name":"a","id":"","kind":"environment","scope":"tenant"}}',
        b'{"meta":{"name":"\xe4","id":"x","kind":"environment","scope":"tenant"}}',
    ],
)
def test_a_creation_that_was_accepted_without_an_id_is_in_doubt(tmp_path: Path, body: bytes) -> None:
    """The object is there, or will be: taken for a refusal, it would be orphaned."""

    async def check() -> None:
        async with tenant(tmp_path, {f"POST {ENVIRONMENTS}": answer(body, 202)}) as (server, provider):
            wanted = Attributes({"name": "a", "scope": "tenant", "image": "x"})
            error = await failing(provider.create(address("a"), wanted, key="k"))
        assert (type(error), error.status, error.call, len(server.calls)) == (
            OutcomeUnknown,
            202,
            f"POST {ENVIRONMENTS}",
            1,
        )

    run(check())


def remote(kind: str, attributes: Mapping[str, Any], remote_id: str = "x") -> Remote:
    """An object as it was just read."""
    return Remote(kind, remote_id, ("tenant", "", "a"), Attributes(attributes))


def test_an_update_sends_the_whole_environment(tmp_path: Path) -> None:
    """Every field: what is managed, what was there, and an explicit nothing for what is cleared."""
    live = {
        "name": "a",
        "description": "old",
        "scope": "tenant",
        "workload_types": ["training"],
        "image": "a:1",
        "image_pull_policy": "Always",
        "command": "run",
        "args": "unmanaged",
        "environment_variables": {"A": "1"},
        "tools": {"J": {"type": "jupyter-notebook", "connection": "load-balancer", "container_port": 1}},
        "capabilities": ["CHOWN"],
        "override_uid_gid_in_workspace": True,
        "supplemental_groups": [1],
        "readiness_probe": {"path": "/", "port": 80, "scheme": "HTTP"},
        "stdin": True,
    }
    cleared = (
        "description",
        "command",
        "environment_variables",
        "tools",
        "capabilities",
        "override_uid_gid_in_workspace",
        "supplemental_groups",
        "readiness_probe",
    )

    async def check() -> None:
        async with tenant(tmp_path, {f"PUT {ENVIRONMENTS}/x": answer(asset("a"), 202)}) as (server, provider):
            wanted = Attributes({"image": "a:2", **dict.fromkeys(cleared)})
            await provider.update(address("a"), "x", wanted, previous=remote("environment", live))
        assert server.sent() == {
            "meta": {"name": "a", "description": None},
            "spec": {
                **dict.fromkeys(RICH_SPEC),
                "image": "a:2",
                "imagePullPolicy": "Always",
                "args": "unmanaged",
                "stdin": True,
                "uidGidSource": "fromTheImage",
                "environmentVariables": [],
                "connections": [],
                "capabilities": [],
                "overrideUidGidInWorkspace": False,
            },
        }

    run(check())


def test_an_update_of_a_credential_sends_its_description_alone(tmp_path: Path) -> None:
    """That is all that the call can change: no name, no secret."""

    async def check() -> None:
        path = f"{CREDENTIALS}/access-key/x"
        async with tenant(tmp_path, {f"PUT {path}": answer(asset("a"), 202)}) as (server, provider):
            before = remote("credential", {"name": "a", "type": "access-key", "scope": "tenant"})
            for description in ("new", None):
                wanted = Attributes({"description": description})
                await provider.update(address("a", "credential"), "x", wanted, previous=before)
        assert [server.sent(-2), server.sent()] == [
            {"meta": {"description": "new"}},
            {"meta": {"description": None}},
        ]
        assert server.calls == [f"PUT {path}"] * 2

    run(check())


ENDPOINT = {"protocol": "http", "serving_port": 8000, "name": "serve", "type": "custom"}


def served(name: str, **info: Any) -> dict[str, Any]:
    """A connection on a serving port, as the platform has it."""
    port = {"toolType": "custom", "connectionType": "ServingPort", "containerPort": 8000}
    protocol = {"servingPortInfo": {"protocol": "http"}}
    return {"name": name, "isExternal": False, "internalToolInfo": {**port, **protocol, **info}}


@pytest.mark.parametrize(
    ("changed", "managed", "left"),
    [
        pytest.param(
            [served("serve", externalUrlInfo={"isCustomUrl": True}), served("other", nodePortInfo={})],
            {"inference_endpoint": ENDPOINT},
            ["serve"],
            id="the endpoint was given an address, and there is another",
        ),
        pytest.param(
            [served("serve"), served("added")],
            {"inference_endpoint": ENDPOINT},
            ["serve"],
            id="another was added in front",
        ),
        pytest.param(
            [served("serve")],
            {"tools": {"serve": {"type": "custom", "connection": "load-balancer", "container_port": 1}}},
            ["serve"],
            id="a tool of the spec has the name of an endpoint",
        ),
        pytest.param(
            [served("serve", externalUrlInfo={"isCustomUrl": True})],
            {"inference_endpoint": {**ENDPOINT, "name": "new"}},
            ["new", "serve"],
            id="another name",
        ),
    ],
)
def test_no_two_connections_of_one_name_are_sent(
    tmp_path: Path, changed: list[dict[str, Any]], managed: dict[str, Any], left: list[str]
) -> None:
    """Tools and the endpoint are one list there, where names are unique; what the spec says holds."""

    async def check() -> None:
        path = f"{ENVIRONMENTS}/id-lab"
        routes = {f"GET {path}": asset(spec={"connections": changed}), f"PUT {path}": answer(asset(), 202)}
        async with tenant(tmp_path, routes) as (server, provider):
            live = await provider.read("environment", "id-lab")
            assert live is not None
            await provider.update(address("lab"), "id-lab", Attributes(managed), previous=live)
        written = server.sent()["spec"]
        assert sorted(one["name"] for one in written["connections"]) == left
        after = conversion.environment_from_wire({"name": "lab", "scope": "tenant"}, written)
        assert {key: after[key] for key in managed} == managed

    run(check())


@pytest.mark.parametrize("put", ["replace", "merge"])
@pytest.mark.parametrize("kind", ["environment", "compute"])
def test_an_update_comes_out_the_same_whatever_put_means(tmp_path: Path, put: Any, kind: str) -> None:
    """Replace or merge is not documented: neither loses what is not managed or keeps what was cleared."""
    variables = {name: one for name, one in RICH["environment_variables"].items() if name != "CRED"}
    before: dict[str, Any] = {**RICH, "environment_variables": variables}
    cleared = sorted(
        set(RICH) - {"name", "scope", "scope_id", "workload_types", "distributed_framework", "image"}
    )
    if kind == "compute":
        before = {
            "name": "torch",
            "description": "d",
            "scope": "tenant",
            "gpu": 1,
            "gpu_request_type": "portion",
            "gpu_portion": 0.5,
            "gpu_portion_limit": 0.6,
            "gpu_memory": "1Gi",
            "gpu_memory_limit": "2Gi",
            "cpu_cores": 1,
            "cpu_cores_limit": 2,
            "memory": "3Gi",
            "memory_limit": "4Gi",
            "large_shm": True,
            "extended_resources": [{"resource": "a/b", "quantity": "1"}],
        }
        cleared = sorted(set(before) - {"name", "scope"})

    async def check() -> None:
        with Store(None) as store:
            app = build_app(
                store,
                clock=lambda: datetime.now(UTC),
                new_id=lambda: str(uuid.uuid4()),
                options=Options(put=put),
            )
            provider = RunaiProvider.open(Settings("embedded"), context(tmp_path), app)
            made = await provider.create(address("torch", kind), Attributes(before), key="k")

            async def seen() -> Remote:
                found = await provider.read(kind, made)
                assert found is not None
                return found

            rules = provider.kinds[kind].defaults
            for name in cleared:
                live = await seen()
                assert live.attributes.get(name) == before[name], name
                await provider.update(address("torch", kind), made, Attributes({name: None}), previous=live)
                after = await seen()
                expected = {key: value for key, value in live.attributes.items() if key != name}
                left = {key: value for key, value in after.attributes.items() if value != rules.get(key)}
                expected = {key: value for key, value in expected.items() if value != rules.get(key)}
                if name == "image_pull_policy":
                    expected["image_pull_policy"] = "IfNotPresent"
                assert left == expected, name
            # and all of it back at once
            rest = Attributes({key: before[key] for key in cleared})
            await provider.update(address("torch", kind), made, rest, previous=await seen())
            assert (await seen()).attributes == Attributes(before)
            await provider.close()

    run(check())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Rejected),
        (403, Forbidden),
        (409, AlreadyExists),
        (412, InUse),
        (500, OutcomeUnknown),
        (503, OutcomeUnknown),
    ],
)
def test_a_write_that_is_refused_says_why(tmp_path: Path, status: int, kind: type[ProviderError]) -> None:
    """In the platform's own words, once."""

    async def check() -> None:
        body = {"code": status, "message": "no way", "details": "name=a"}
        no = answer(body, status)
        routes = {
            f"POST {ENVIRONMENTS}": no,
            f"PUT {ENVIRONMENTS}/x": no,
            f"DELETE {ENVIRONMENTS}/x": no,
        }
        async with tenant(tmp_path, routes) as (server, provider):
            wanted = Attributes({"name": "a", "scope": "tenant", "image": "x"})
            before = remote("environment", {"name": "a", "scope": "tenant"})
            for work, call in (
                (provider.create(address("a"), wanted, key="k"), f"POST {ENVIRONMENTS}"),
                (
                    provider.update(address("a"), "x", wanted, previous=before),
                    f"PUT {ENVIRONMENTS}/x",
                ),
                (provider.delete(address("a"), "x"), f"DELETE {ENVIRONMENTS}/x"),
            ):
                error = await failing(work)
                assert (type(error), str(error)) == (kind, f"runai: {call} answered {status}: no way: name=a")
        assert len(server.calls) == 3

    run(check())


def test_words_in_another_encoding_are_not_repeated(tmp_path: Path) -> None:
    """A gateway's, say: what counts is the status, and it is nobody's own 404."""

    async def check() -> None:
        words = b'{"code":404,"message":"f\xfcr Sie nicht da"}'
        async with tenant(tmp_path, {f"GET {ENVIRONMENTS}/x": Reply(404, words)}) as (_, provider):
            error = await failing(provider.read("environment", "x"))
        assert (type(error), str(error)) == (Rejected, f"runai: GET {ENVIRONMENTS}/x answered 404")

    run(check())


def test_a_credential_in_use_is_not_deleted(tmp_path: Path) -> None:
    """The platform says by whom."""

    async def check() -> None:
        provider = opened(tmp_path)
        secret = await provider.create(
            address("db", "credential"),
            Attributes({"name": "db", "scope": "tenant", "type": "generic-secret", "data": {"p": "v"}}),
            key="k",
        )
        variables = {"P": {"credential": {ID: secret}, "key": "p"}}
        lab = {"name": "lab", "scope": "tenant", "image": "a", "environment_variables": variables}
        await provider.create(address("lab"), Attributes(lab), key="k")
        error = await failing(provider.delete(address("db", "credential"), secret))
        await provider.close()
        assert isinstance(error, InUse)
        assert str(error).endswith("answered 412: Precondition failed: used by environments: lab")

    run(check())


def test_a_credential_of_unknown_kind_is_deleted_where_it_is(tmp_path: Path) -> None:
    """After a restart nobody knows of which kind an id is: each kind is asked, until one has it."""

    async def check() -> None:
        provider = opened(tmp_path)
        made = await provider.create(
            address("k", "credential"),
            Attributes({"name": "k", "scope": "tenant", "type": "ngc-api-key", "ngc_api_key": "abc"}),
            key="k",
        )
        await provider.close()
        fresh = opened(tmp_path)
        await fresh.delete(address("k", "credential"), made)
        assert await fresh.read("credential", made) is None
        assert await listed(fresh, "credential") == []
        await fresh.close()

    run(check())


def test_no_secret_of_a_credential_comes_back(tmp_path: Path) -> None:
    """Also from a platform that shows it: what is read is neither compared nor kept, nor a digest of it."""
    spec = {
        "keyValuePairs": [{"key": "a", "value": "s3cr3t-1"}],
        "password": "s3cr3t-2",
        "secretAccessKey": "s3cr3t-3",
        "ngc_api_key": "s3cr3t-4",
        "user": "u",
    }

    hidden = {"keyValuePairs": [{"key": "a"}], "user": "u"}
    digests: list[set[str]] = []

    async def check(kind: str, segment: str) -> None:
        for part in (spec, hidden):
            shown = {**asset("a", kind=kind), "spec": {kind: part}}
            one = {**asset("a", kind=kind), "spec": part}
            routes = {f"GET {CREDENTIALS}": {"entries": [shown]}, f"GET {CREDENTIALS}/{segment}/id-a": one}
            async with tenant(tmp_path, routes) as (_, provider):
                (found,) = await listed(provider, "credential")
                read = await provider.read("credential", "id-a")
            assert read is not None
            digests.append({found.wire_digest, read.wire_digest})
            for seen in (found, read):
                assert "s3cr3t" not in repr(seen.attributes)
                assert (seen.attributes["keys"], seen.attributes["user"]) == (["a"], "u")

    for kind, segment in (("genericSecret", "generic-secret"), ("password", "password")):
        digests.clear()
        run(check(kind, segment))
        assert digests[0] == digests[1]
        assert len(digests[0]) == 1


# --- how it is asked -----------------------------------------------------------------------------------


def test_four_requests_are_under_way_at_most(tmp_path: Path) -> None:
    """Unless the stack says otherwise: nobody knows what a tenant takes."""

    async def check() -> None:
        for table, most in (({}, 4), ({"max_concurrency": 2}, 2)):
            gate = asyncio.Event()
            held = Reply(body=b'{"entries":[]}', hold=gate)
            async with (
                tenant(tmp_path, {f"GET {ENVIRONMENTS}": held}, **table) as (server, provider),
                asyncio.TaskGroup() as tasks,
            ):
                for _ in range(12):
                    tasks.create_task(listed(provider))
                await server.was_asked(1 + most)
                await asyncio.sleep(0.05)  # room for one more to show itself
                assert server.at_once == most
                gate.set()
            assert server.most_at_once == most

    run(check())


def test_who_asks_is_said(tmp_path: Path) -> None:
    """In the user agent of every request, sign-ins included."""

    async def check() -> None:
        async with tenant(tmp_path, {f"GET {ENVIRONMENTS}": {"entries": []}}) as (server, provider):
            await listed(provider)
        assert {one.headers["user-agent"] for one in server.requests} == {"reconciler/test"}

    run(check())


def test_a_slow_tenant_is_given_up_after_its_time(tmp_path: Path) -> None:
    """``timeout_seconds`` is how long one answer may take."""

    async def check() -> None:
        async with tenant(tmp_path, {f"DELETE {ENVIRONMENTS}/x": "never"}, timeout_seconds=0.25) as (
            _,
            provider,
        ):
            error = await failing(provider.delete(address("x"), "x"))
        assert isinstance(error, OutcomeUnknown)
        assert str(error) == f"runai: DELETE {ENVIRONMENTS}/x: no answer in time"

    run(check())


@pytest.mark.parametrize(
    ("table", "patience"),
    [
        ({}, 2.0),
        ({"endpoint": "https://t.example"}, 30.0),
        ({"patience_seconds": 0.5}, 0.5),
        ({"endpoint": "https://t.example", "patience_seconds": 0}, 0.0),
    ],
)
def test_patience_is_the_platforms(tmp_path: Path, table: dict[str, Any], patience: float) -> None:
    """A tenant may take half a minute to show a write, the embedded platform none to speak of."""
    provider = opened(tmp_path, **table)
    asyncio.run(provider.close())
    assert provider.patience == patience


def test_a_ca_file_that_is_not_there_is_an_error_of_the_platform(tmp_path: Path) -> None:
    """When it is opened, by name."""
    with pytest.raises(ProviderError, match=r"ca_file \(.*nowhere.pem\) cannot be used: No such file"):
        opened(tmp_path, endpoint="https://tenant.example", ca_file=str(tmp_path / "nowhere.pem"))


@pytest.mark.parametrize(
    ("verb", "kind", "call"),
    [
        (Verb.CREATE, "environment", f"POST {ENVIRONMENTS}"),
        (Verb.UPDATE, "environment", f"PUT {ENVIRONMENTS}/x"),
        (Verb.DELETE, "compute", f"DELETE {COMPUTE}/x"),
        (Verb.RECORD, "compute", f"GET {COMPUTE}/x"),
    ],
)
def test_a_call_is_told_as_a_person_would_make_it(tmp_path: Path, verb: Verb, kind: str, call: str) -> None:
    """For the reports of what could not be done."""
    provider = opened(tmp_path)
    asyncio.run(provider.close())
    assert provider.call(verb, kind, "x") == call


@pytest.mark.parametrize(
    ("verb", "attributes", "call"),
    [
        (Verb.CREATE, {"type": "password"}, f"POST {CREDENTIALS}/password"),
        (Verb.CREATE, None, f"POST {CREDENTIALS}/TYPE"),
        (Verb.DELETE, {"type": "access-key"}, f"DELETE {CREDENTIALS}/access-key/x"),
        (Verb.DELETE, {"name": "hub"}, f"DELETE {CREDENTIALS}/TYPE/x"),
    ],
)
def test_the_call_for_a_credential_exists(
    tmp_path: Path, verb: Verb, attributes: dict[str, Any] | None, call: str
) -> None:
    """Its type is part of the path; one that is not known is not guessed."""
    provider = opened(tmp_path)
    asyncio.run(provider.close())
    known = None if attributes is None else Attributes(attributes)
    assert provider.call(verb, "credential", "" if verb is Verb.CREATE else "x", known) == call
