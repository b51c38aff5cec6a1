"""The vendor's client and our provider at one platform: what either makes, the other understands.

What ``runapy`` made, a spec that says the same takes over without a change.
What we made loads into the strict models of ``runapy``, and says there what
the spec said.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pytest
from harness import Project
from loopback import runapy
from runai import models
from runai.runai_client import RunaiClient
from wire import CODE, JUPYTER, TENSORBOARD, serving

from reconciler.providers.emulator import Store
from reconciler.providers.runai.emulator import build_app

EAST = "3f1b7c2e-9a54-4d0e-8c61-2b7e5d90a111"


@pytest.fixture
def client(front: Any, project: Project) -> Iterator[RunaiClient]:
    """The vendor's client at the platform that the stack's commands use."""
    with Store(project.store) as store:
        app = build_app(store, clock=lambda: datetime.now(UTC), new_id=lambda: str(uuid.uuid4()))
        with runapy(front.mount(app)) as found:
            yield found


# --- each of five credentials, a compute asset and an environment with every field: on the wire --------

CREDENTIALS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "db": (
        "generic_secret",
        "GenericSecret",
        {"keyValuePairs": [{"key": "password", "value": "s3cr3t-1"}, {"key": "user", "value": "s3cr3t-2"}]},
    ),
    "images": (
        "docker_registry",
        "DockerRegistry",
        {"url": "https://images.example.com", "user": "u", "password": "s3cr3t-3"},
    ),
    "bucket": ("access_key", "AccessKey", {"accessKeyId": "AKID", "secretAccessKey": "s3cr3t-4"}),
    "git": ("password", "Password", {"user": "u", "password": "s3cr3t-5"}),
    "ngc": ("ngc_api_key", "NgcApiKey", {"ngc_api_key": "s3cr3tKey6"}),
}
COMPUTE_META = {"name": "gpu-2", "scope": "project", "projectId": 4501234, "description": "two of them"}
COMPUTE_SPEC = {
    "gpuDevicesRequest": 2,
    "gpuRequestType": "portion",
    "gpuPortionRequest": 0.5,
    "gpuPortionLimit": 0.75,
    "cpuCoreRequest": 8,
    "cpuCoreLimit": 16,
    "cpuMemoryRequest": "64Gi",
    "cpuMemoryLimit": "131072Mi",
    "largeShmRequest": True,
    "extendedResources": [{"resource": "nic.example.com/rdma", "quantity": "2", "exclude": False}],
}
META = {
    "name": "torch-24-01",
    "description": "PyTorch with notebook, shared by the vision team",
    "scope": "project",
    "projectId": 4501234,
    "workloadSupportedTypes": {
        "workspace": True,
        "training": True,
        "inference": False,
        "distributed": True,
        "distFramework": "PyTorch",
    },
}


def wire_spec(database: str) -> dict[str, Any]:
    """All 23 fields; the credential is *database*."""
    return {
        "image": "jupyter/scipy-notebook:2024-05-01",
        "imagePullPolicy": "IfNotPresent",
        "command": "start-notebook.sh",
        "args": "--ServerApp.base_url=/lab",
        "workingDir": "/home/jovyan",
        "environmentVariables": [
            {"name": "NCCL_DEBUG", "value": "INFO", "exclude": False, "description": "verbosity of NCCL"},
            {"name": "DATASET", "value": "", "exclude": False, "description": "fill in at submission"},
            {"name": "PLAIN", "value": "1"},
            {"name": "DB_PASSWORD", "credential": {"assetId": database, "key": "password"}},
            {"name": "SCHEMA", "configMap": {"name": "team-config", "key": "schema"}},
            {"name": "POD", "podFieldRef": {"path": "metadata.name"}},
            {"name": "UNWANTED", "exclude": True},
        ],
        "connections": [
            JUPYTER,
            TENSORBOARD,
            CODE,
            serving("grpc"),
            {
                "name": "Weights & Biases",
                "isExternal": True,
                "externalToolInfo": {"toolType": "wandb", "externalUrl": "https://wandb.example.com/${P}"},
            },
        ],
        "uidGidSource": "custom",
        "runAsUid": 1000,
        "runAsGid": 100,
        "supplementalGroups": "100,2000",
        "overrideUidGidInWorkspace": True,
        "capabilities": ["NET_BIND_SERVICE", "CHOWN"],
        "seccompProfileType": "RuntimeDefault",
        "runAsNonRoot": True,
        "readOnlyRootFilesystem": False,
        "allowPrivilegeEscalation": False,
        "createHomeDir": True,
        "hostIpc": False,
        "hostNetwork": False,
        "stdin": True,
        "tty": True,
        "probes": {
            "readiness": {
                "initialDelaySeconds": 5,
                "periodSeconds": 10,
                "timeoutSeconds": 2,
                "successThreshold": 1,
                "failureThreshold": 3,
                "handler": {
                    "httpGet": {
                        "path": "/healthz",
                        "port": 8000,
                        "host": "svc.example.com",
                        "scheme": "HTTPS",
                    }
                },
            }
        },
    }


# --- and the same in specs -----------------------------------------------------------------------------

SPECS = {
    "db": """\
kind = "credential"
type = "generic-secret"
[data]
password = { env = "S1" }
user = { env = "S2" }
""",
    "images": """\
kind = "credential"
type = "docker-registry"
url = "https://images.example.com"
user = "u"
password = { env = "S3" }
""",
    "bucket": 'kind = "credential"\ntype = "access-key"\naccess_key_id = "AKID"\n'
    'secret_access_key = { env = "S4" }\n',
    "git": 'kind = "credential"\ntype = "password"\nuser = "u"\npassword = { env = "S5" }\n',
    "ngc": 'kind = "credential"\ntype = "ngc-api-key"\nngc_api_key = { env = "S6" }\n',
    "gpu-2": """\
kind = "compute"
description = "two of them"
gpu = 2
gpu_request_type = "portion"
gpu_portion = 0.5
gpu_portion_limit = 0.75
cpu_cores = 8
cpu_cores_limit = 16
memory = "64Gi"
memory_limit = "128Gi"
large_shm = true
extended_resources = [{ resource = "nic.example.com/rdma", quantity = "2" }]
""",
    "torch-24-01": """\
description = "PyTorch with notebook, shared by the vision team"
image = "jupyter/scipy-notebook:2024-05-01"
image_pull_policy = "IfNotPresent"
workload_types = ["workspace", "training", "distributed"]
distributed_framework = "PyTorch"
command = "start-notebook.sh"
args = "--ServerApp.base_url=/lab"
working_dir = "/home/jovyan"
uid_gid_source = "custom"
run_as_uid = 1000
run_as_gid = 100
supplemental_groups = [100, 2000]
override_uid_gid_in_workspace = true
capabilities = ["CHOWN", "NET_BIND_SERVICE"]
seccomp_profile_type = "RuntimeDefault"
run_as_non_root = true
read_only_root_filesystem = false
allow_privilege_escalation = false
create_home_dir = true
host_ipc = false
host_network = false
stdin = true
tty = true

[environment_variables]
NCCL_DEBUG = { value = "INFO", instructions = "verbosity of NCCL" }
DATASET = { value = "", instructions = "fill in at submission" }
PLAIN = "1"
DB_PASSWORD = { credential = "db", key = "password" }
SCHEMA = { config_map = "team-config", key = "schema" }
POD = { pod_field = "metadata.name" }
UNWANTED = { exclude = true }

[[tools]]
type = "jupyter"
name = "Jupyter"
connection = "external-url"
container_port = 8888
custom = true
url = "https://nb.example.com"

[[tools]]
type = "tensorboard"
name = "TensorBoard"
connection = "node-port"
container_port = 6006
custom = true

[[tools]]
type = "vscode"
name = "Code"
connection = "load-balancer"
container_port = 8080

[[tools]]
type = "wandb"
name = "Weights & Biases"
url = "https://wandb.example.com/${P}"

[inference_endpoint]
protocol = "grpc"
serving_port = 8000

[readiness_probe]
path = "/healthz"
port = 8000
host = "svc.example.com"
scheme = "HTTPS"
initial_delay_seconds = 5
period_seconds = 10
timeout_seconds = 2
success_threshold = 1
failure_threshold = 3
""",
}
ON_TENANT = '\n[on.runai]\nscope = "tenant"\n'
IN_PROJECT = '\n[on.runai]\nscope = "project"\nscope_name = "vision"\ncluster = "gpu-east"\n'
ADOPT = "\n[lifecycle]\nadopt = true\n"


def write_specs(project: Project, *, adopt: bool = False) -> None:
    """The specs, each on its scope. A secret cannot be compared: to adopt one has to be asked for."""
    for number in range(1, 6):
        project.environment[f"S{number}"] = f"s3cr3t-{number}"
    project.environment["S6"] = "s3cr3tKey6"
    for name, text in SPECS.items():
        on = ON_TENANT if name in CREDENTIALS else IN_PROJECT
        lifecycle = ADOPT if adopt and name in CREDENTIALS else ""
        project.write(f"{name}.toml", text + on + lifecycle)


def kinds_of(client: RunaiClient) -> dict[str, Callable[..., Any]]:
    """The methods of the client that make each credential."""
    api = client.workload_assets.credentials
    return {name: getattr(api, f"create_{how}") for name, (how, _, _) in CREDENTIALS.items()}


def make_all(client: RunaiClient, *, by_model: bool) -> dict[str, str]:
    """Make everything with the vendor's client; the ids by name."""

    def sent(model: Any, body: dict[str, Any]) -> Any:
        return model.from_dict(body) if by_model else body

    ids: dict[str, str] = {}
    for name, create in kinds_of(client).items():
        how, model, spec = CREDENTIALS[name]
        body = {"meta": {"name": name, "scope": "tenant"}, "spec": spec}
        request = {f"{how}_creation_request": sent(getattr(models, f"{model}CreationRequest"), body)}
        ids[name] = create(**request).data["meta"]["id"]
    compute = sent(models.ComputeCreationRequest, {"meta": COMPUTE_META, "spec": COMPUTE_SPEC})
    answer = client.workload_assets.compute.create_compute_asset(compute_creation_request=compute)
    ids["gpu-2"] = answer.data["meta"]["id"]
    environment = sent(models.EnvironmentCreationRequest, {"meta": META, "spec": wire_spec(ids["db"])})
    answer = client.workload_assets.environment.create_environment_asset(
        environment_creation_request=environment
    )
    ids["torch-24-01"] = answer.data["meta"]["id"]
    return ids


def update_counts(client: RunaiClient) -> dict[str, int]:
    """How often each of ours was written, by name."""
    assets = client.workload_assets
    entries = [
        *assets.environment.list_environment_assets().data["entries"],
        *assets.compute.list_compute_assets().data["entries"],
        *assets.credentials.list_credentials_assets().data["entries"],
    ]
    return {
        one["meta"]["name"]: one["meta"]["updateCount"]
        for one in entries
        if one["meta"]["createdBy"] != "Run:ai"
    }


# --- theirs to ours ------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_model", [False, True], ids=["sent as it is", "sent by the models"])
def test_what_the_vendors_client_made_is_taken_over_without_a_change(
    project: Project, client: RunaiClient, by_model: bool
) -> None:
    """Specs that say the same plan an adoption of each and nothing else; nothing is written to them."""
    ids = make_all(client, by_model=by_model)
    write_specs(project, adopt=True)
    planned = project.run("plan").succeeded()
    assert "Plan: 7 to import, 0 to add, 0 to change, 0 to destroy." in planned.out
    assert "~ " not in planned.out.replace("~ update", "")
    project.run("apply", "--auto-approve").succeeded()
    again = project.run("plan", "--detailed-exitcode").succeeded()
    assert again.out == "No changes. Your infrastructure matches the configuration.\n"
    assert {address.rpartition(".")[2]: one for address, one in project.remembered().items()} == ids
    assert update_counts(client) == dict.fromkeys(ids, 1)


def test_what_the_vendors_client_made_with_the_least_is_equal_to_the_least(
    project: Project, client: RunaiClient
) -> None:
    """Absent, null, empty and default are one: nothing to change, however little or much was sent."""
    environments = client.workload_assets.environment
    least = {"meta": {"name": "a", "scope": "tenant"}, "spec": {"image": "python:3.11"}}
    keyword = models.EnvironmentCreationRequest(
        meta=models.AssetCreationRequest(name="b", scope="tenant"),
        spec=models.EnvironmentAssetSpec(image="python:3.11"),
    )
    scripted = {
        "meta": {
            "name": "c",
            "scope": "tenant",
            "workloadSupportedTypes": {"workspace": False, "training": False},
        },
        "spec": {
            "image": "python:3.11",
            "imagePullPolicy": "IfNotPresent",
            "uidGidSource": "fromTheImage",
            "environmentVariables": [],
            "capabilities": [],
            "connections": [],
        },
    }
    nulls = models.EnvironmentCreationRequest.from_dict(
        {"meta": {"name": "d", "scope": "tenant"}, "spec": {"image": "python:3.11"}}
    )
    for body in (least, keyword, scripted, nulls):
        environments.create_environment_asset(environment_creation_request=body)
    for name in "abcd":
        project.write(
            f"{name}.toml",
            'image = "python:3.11"\nworkload_types = []\nuid_gid_source = "image"\ncapabilities = []\n'
            "host_ipc = false\n[environment_variables]\n" + ON_TENANT,
        )
    planned = project.run("plan").succeeded()
    assert "Plan: 4 to import, 0 to add, 0 to change, 0 to destroy." in planned.out
    project.run("apply", "--auto-approve").succeeded()
    assert update_counts(client) == dict.fromkeys("abcd", 1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"image": "python:3.12"}, "image"),
        ({"args": None}, "args"),
        ({"stdin": None, "tty": None}, "stdin"),
        ({"capabilities": ["CHOWN"]}, "capabilities"),
        ({"supplementalGroups": ""}, "supplemental_groups"),
        ({"connections": []}, "tools"),
        ({"environmentVariables": []}, "environment_variables"),
        ({"uidGidSource": "fromIdpToken"}, "uid_gid_source"),
        ({"probes": None}, "readiness_probe"),
        ({"overrideUidGidInWorkspace": False}, "override_uid_gid_in_workspace"),
    ],
)
def test_what_the_vendors_client_changed_is_drift_and_is_put_back(
    project: Project, client: RunaiClient, change: dict[str, Any], field: str
) -> None:
    """Each field by itself, and nothing else is touched on the way back."""
    make_all(client, by_model=False)
    write_specs(project, adopt=True)
    project.run("apply", "--auto-approve").succeeded()
    lab = project.remembered()["runai.environment.torch-24-01"]
    environments = client.workload_assets.environment
    before = environments.get_environment_asset_by_id(lab).data
    environments.update_environment_asset_by_id(
        lab,
        {
            "meta": {"name": META["name"], "description": META["description"]},
            "spec": {**before["spec"], **change},
        },
    )
    drift = project.run("drift")
    assert drift.code == 2
    assert field in drift.out
    planned = project.run("plan").succeeded()
    assert "Plan: 0 to add, 1 to change, 0 to destroy." in planned.out
    project.run("apply", "--auto-approve").succeeded()
    after = environments.get_environment_asset_by_id(lab).data
    assert by_meaning(after["spec"]) == by_meaning(before["spec"])
    assert project.run("drift").code == 0


# --- ours to theirs ------------------------------------------------------------------------------------

FALSE_BY_DEFAULT = {
    "autoDelete",
    "private",
    "isExternal",
    "overrideUidGidInWorkspace",
    "isCustomPort",
    "isCustomUrl",
    "exclude",
}


def by_meaning(value: Any) -> Any:
    """JSON, or what a model makes of it, without what means nothing: nulls, defaults, the order of lists."""
    if isinstance(value, dict):
        return {
            key: datetime.fromisoformat(inner)
            if key.endswith("At") and isinstance(inner, str)
            else by_meaning(inner)
            for key, inner in value.items()
            if inner not in (None, [], {}) and not (key in FALSE_BY_DEFAULT and inner is False)
        }
    if isinstance(value, list):
        return sorted((by_meaning(one) for one in value), key=repr)
    return value.value if isinstance(value, Enum) else value


def assert_loads(model: Any, shown: dict[str, Any]) -> None:
    """*shown* is a *model* of the vendor's, and nothing of it gets lost there."""
    loaded = model.from_dict(shown)
    assert by_meaning(loaded.to_dict()) == by_meaning(shown)


def assert_all_loads(client: RunaiClient, ids: dict[str, str]) -> dict[str, Any]:
    """Everything of ours, listed and read one by one, is what the vendor's models hold; it, by name."""
    assets = client.workload_assets
    listed = assets.environment.list_environment_assets().data
    assert_loads(models.EnvironmentListResponse, listed)
    for one in listed["entries"]:
        assert_loads(models.EnvironmentAsset, one)
    found = {"torch-24-01": assets.environment.get_environment_asset_by_id(ids["torch-24-01"]).data}
    assert_loads(models.EnvironmentAsset, found["torch-24-01"])
    listed = assets.compute.list_compute_assets().data
    assert_loads(models.ComputeListResponse, listed)
    found["gpu-2"] = assets.compute.get_compute_asset_by_id(ids["gpu-2"]).data
    assert_loads(models.ComputeAsset, found["gpu-2"])
    listed = assets.credentials.list_credentials_assets().data
    assert_loads(models.CredentialsListResponse, listed)
    for name, (how, model, _) in CREDENTIALS.items():
        found[name] = getattr(assets.credentials, f"get_{how}_by_id")(ids[name]).data
        assert_loads(getattr(models, model), found[name])
    return found


def ids_of(project: Project) -> dict[str, str]:
    """What the state remembers, by name."""
    return {address.rpartition(".")[2]: one for address, one in project.remembered().items()}


def test_what_we_made_loads_into_the_vendors_models(project: Project, client: RunaiClient) -> None:
    """And says there, field by field, what the specs said."""
    write_specs(project)
    project.run("apply", "--auto-approve").succeeded()
    ids = ids_of(project)
    found = assert_all_loads(client, ids)
    lab, gpu = found["torch-24-01"], found["gpu-2"]
    assert by_meaning(lab["spec"]) == by_meaning(wire_spec(ids["db"]))
    assert len(lab["spec"]) == len(wire_spec(""))
    assert by_meaning(gpu["spec"]) == by_meaning({**COMPUTE_SPEC, "cpuMemoryLimit": "128Gi"})
    asked = ("name", "description", "scope", "projectId", "workloadSupportedTypes")
    assert {key: lab["meta"][key] for key in asked} == META
    assert {key: gpu["meta"][key] for key in asked[:-1]} == COMPUTE_META
    assert {name: found[name]["meta"]["scope"] for name in CREDENTIALS} == dict.fromkeys(
        CREDENTIALS, "tenant"
    )


def test_what_we_updated_and_replaced_loads_as_well(project: Project, client: RunaiClient) -> None:
    """After every field was changed in place, and after what needs a new object."""
    write_specs(project)
    project.run("apply", "--auto-approve").succeeded()
    first = ids_of(project)
    project.write(
        "torch-24-01.toml",
        'image = "python:3.12"\nworkload_types = ["workspace", "training", "distributed"]\n'
        'distributed_framework = "PyTorch"\n'
        '[environment_variables]\nTOKEN = { credential = "db", key = "user" }\n' + IN_PROJECT,
    )
    project.write("gpu-2.toml", 'kind = "compute"\ngpu = 4\n' + IN_PROJECT)
    project.write("git.toml", SPECS["git"] + 'description = "for code"\n' + ON_TENANT)
    project.run("apply", "--auto-approve").succeeded()
    assert ids_of(project) == first
    found = assert_all_loads(client, first)
    assert by_meaning(found["torch-24-01"]["spec"]) == by_meaning(
        {
            "image": "python:3.12",
            "imagePullPolicy": "IfNotPresent",
            "uidGidSource": "fromTheImage",
            "environmentVariables": [
                {"name": "TOKEN", "credential": {"assetId": first["db"], "key": "user"}}
            ],
        }
    )
    assert "description" not in found["torch-24-01"]["meta"]
    assert by_meaning(found["gpu-2"]["spec"]) == {"gpuDevicesRequest": 4}
    assert found["git"]["meta"]["description"] == "for code"
    # Scope, workload types and a secret can only be given to a new object.
    project.write("torch-24-01.toml", SPECS["torch-24-01"].replace('"workspace", ', "") + ON_TENANT)
    project.write("gpu-2.toml", SPECS["gpu-2"] + ON_TENANT)
    project.environment["S5"] = "another-s3cr3t"
    project.run("apply", "--auto-approve", "--allow-deletes").succeeded()
    second = ids_of(project)
    assert {name for name in first if first[name] != second[name]} == {"torch-24-01", "gpu-2", "git"}
    found = assert_all_loads(client, second)
    assert by_meaning(found["torch-24-01"]["spec"]) == by_meaning(wire_spec(second["db"]))
    assert {found[name]["meta"]["scope"] for name in found} == {"tenant"}
    assert project.run("plan", "--detailed-exitcode").code == 0


def test_what_we_deleted_is_gone_for_the_vendors_client(project: Project, client: RunaiClient) -> None:
    """All of it, and the vendor's own stays."""
    write_specs(project)
    project.run("apply", "--auto-approve").succeeded()
    project.run("destroy", "--auto-approve").succeeded()
    assert update_counts(client) == {}
    left = client.workload_assets.environment.list_environment_assets().data["entries"]
    assert len(left) == 6
