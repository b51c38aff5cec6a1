"""What a spec may say for Run:ai, and what of it arrives there."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli_w
from harness import Project
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.attributes import ID, LOOKUP, REF, SECRET, replace_markers
from reconciler.core.ports import Draft, Fact, Place, SpecReading
from reconciler.providers.runai import api, conversion
from reconciler.providers.runai.kinds import COMPUTE_FIELDS, KINDS, PLAIN_FIELDS
from reconciler.providers.runai.plugin import PLUGIN
from reconciler.providers.runai.spec import MODELS, read_spec

CREDENTIAL_ID = "0b6a3f5e-77d1-4c57-9c0e-51a2d4f6b803"
CLUSTER_ID = "3f1b7c2e-9a54-4d0e-8c61-2b7e5d90a111"
PLACE = Place("runai", "lab", Path(), Path())
SMALLEST: Mapping[str, Mapping[str, Any]] = {
    "environment": {"image": "python:3.11", "scope": "tenant"},
    "compute": {"scope": "tenant"},
    "credential": {"scope": "tenant"},
}


def reading(text: str, kind: str = "environment") -> SpecReading:
    """What the smallest spec of a kind says with *text* added."""
    return read_spec(kind, {**SMALLEST[kind], **tomllib.loads(text)}, PLACE)


def drafts(text: str, kind: str = "environment") -> tuple[Draft, ...]:
    """As `reading`, which must find nothing wrong."""
    found = reading(text, kind)
    assert found.problems == ()
    return found.drafts


def resolved(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as the engine hands them to the provider: names and references are ids."""
    found = replace_markers(attributes, REF, lambda _: {ID: CREDENTIAL_ID})
    result: dict[str, Any] = replace_markers(found, LOOKUP, lambda _: "4501234")
    return result


def sent(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The create request for an environment, as the API understands it: strictly."""
    meta = conversion.creation_meta(attributes)
    meta["workloadSupportedTypes"] = conversion.workload_types(attributes)
    body = {"meta": meta, "spec": conversion.environment_spec(attributes)}
    understood = msgspec.json.decode(msgspec.json.encode(body), type=api.EnvironmentCreationRequest)
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(understood))
    return found


def env(*one: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"environmentVariables": list(one)}}


def tool(name: str, kind: str, connection: str, port: int, **info: Any) -> dict[str, Any]:
    internal = {"toolType": kind, "connectionType": connection, "containerPort": port, **info}
    return {"name": name, "isExternal": False, "internalToolInfo": internal}


WORKLOADS = dict.fromkeys(("workspace", "training", "inference", "distributed"), False)
AUTO = {"externalUrlInfo": {"isCustomUrl": False}}

# What the guide lets a person set, how a spec says it, and what the platform is told.
FIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    "name": ("", {"meta": {"name": "lab"}}),
    "name on the platform": ('name = "Lab 1"', {"meta": {"name": "Lab 1"}}),
    "description": ('description = "Ä lab"', {"meta": {"description": "Ä lab"}}),
    "tenant": ('scope = "tenant"', {"meta": {"scope": "tenant"}}),
    "cluster by id": (
        f'scope = "cluster"\nscope_id = "{CLUSTER_ID.upper()}"',
        {"meta": {"scope": "cluster", "clusterId": CLUSTER_ID}},
    ),
    "department by id": (
        'scope = "department"\nscope_id = 4500001',
        {"meta": {"scope": "department", "departmentId": "4500001"}},
    ),
    "project by id": (
        'scope = "project"\nscope_id = "0004501234"',
        {"meta": {"scope": "project", "projectId": 4501234}},
    ),
    "project by name": (
        'scope = "project"\nscope_name = "vision"\ncluster = "gpu-east"',
        {"meta": {"scope": "project", "projectId": 4501234}},
    ),
    "image": (
        'image = "nvcr.io/nvidia/pytorch:24.01-py3"',
        {"spec": {"image": "nvcr.io/nvidia/pytorch:24.01-py3"}},
    ),
    "pull policy that is usual": ("", {"spec": {"imagePullPolicy": "IfNotPresent"}}),
    "pull policy": ('image_pull_policy = "Always"', {"spec": {"imagePullPolicy": "Always"}}),
    "workload types that are usual": (
        "",
        {
            "meta": {
                "workloadSupportedTypes": {
                    "workspace": True,
                    "training": True,
                    "inference": False,
                    "distributed": False,
                }
            }
        },
    ),
    "workload types as a list": (
        'workload_types = ["Inference"]',
        {
            "meta": {
                "workloadSupportedTypes": {
                    "workspace": False,
                    "training": False,
                    "inference": True,
                    "distributed": False,
                }
            }
        },
    ),
    "workload types as a table": (
        'workload_types = { training = true, distributed = true, distFramework = "TensorFlow" }',
        {
            "meta": {
                "workloadSupportedTypes": {
                    "workspace": False,
                    "training": True,
                    "inference": False,
                    "distributed": True,
                    "distFramework": "TF",
                }
            }
        },
    ),
    "workload types as a table, in snake case": (
        'workload_types = { distributed = true, dist_framework = "MPI" }',
        {"meta": {"workloadSupportedTypes": WORKLOADS | {"distributed": True, "distFramework": "MPI"}}},
    ),
    "distributed architecture": (
        'workload_types = ["training"]\nworkload_architecture = "Distributed"\ndistributed_framework = "mpi"',
        {
            "meta": {
                "workloadSupportedTypes": {
                    "workspace": False,
                    "training": True,
                    "inference": False,
                    "distributed": True,
                    "distFramework": "MPI",
                }
            }
        },
    ),
    "standard architecture": (
        'workload_types = ["training"]\nworkload_architecture = "standard"',
        {
            "meta": {
                "workloadSupportedTypes": {
                    "workspace": False,
                    "training": True,
                    "inference": False,
                    "distributed": False,
                }
            }
        },
    ),
    "inference endpoint": (
        'workload_types = ["inference"]\ninference_endpoint = { protocol = "gRPC", serving_port = 8000 }',
        {
            "spec": {
                "connections": [
                    tool("endpoint", "custom", "ServingPort", 8000, servingPortInfo={"protocol": "grpc"})
                ]
            }
        },
    ),
    "inference endpoint of a chatbot": (
        'inference_endpoint = { serving_port = 3000, name = "chat", type = "chatbot-ui" }',
        {
            "spec": {
                "connections": [
                    tool("chat", "chatbot-ui", "ServingPort", 3000, servingPortInfo={"protocol": "http"})
                ]
            }
        },
    ),
    "tools by name": (
        'tools = ["jupyter", "tensorboard", "vscode"]',
        {
            "spec": {
                "connections": [
                    tool("Jupyter", "jupyter-notebook", "ExternalUrl", 8888, **AUTO),
                    tool("TensorBoard", "tensorboard", "ExternalUrl", 6006, **AUTO),
                    tool("VS Code", "visual-studio-code", "ExternalUrl", 8080, **AUTO),
                ]
            }
        },
    ),
    "the other tools by name": (
        'tools = ["rstudio", "mlflow", "pycharm", "matlab", "chatbot-ui"]',
        {
            "spec": {
                "connections": [
                    tool("RStudio", "rstudio", "ExternalUrl", 8787, **AUTO),
                    tool("MLflow", "mlflow", "ExternalUrl", 5000, **AUTO),
                    tool("PyCharm", "pycharm", "ExternalUrl", 22, **AUTO),
                    tool("MATLAB", "matlab", "ExternalUrl", 8888, **AUTO),
                    tool("Chatbot UI", "chatbot-ui", "ExternalUrl", 3000, **AUTO),
                ]
            }
        },
    ),
    "external URL, made by the platform": (
        'tools = [{ type = "custom", name = "app", connection = "External URL", container_port = 80 }]',
        {"spec": {"connections": [tool("app", "custom", "ExternalUrl", 80, **AUTO)]}},
    ),
    "external URL, given at submission": (
        'tools = [{ type = "jupyter", connection = "external-url", custom = true }]',
        {
            "spec": {
                "connections": [
                    tool(
                        "Jupyter",
                        "jupyter-notebook",
                        "ExternalUrl",
                        8888,
                        externalUrlInfo={"isCustomUrl": True},
                    )
                ]
            }
        },
    ),
    "external URL, given here": (
        'tools = [{ type = "jupyter", url = "https://nb.example.com", container_port = 80 }]',
        {
            "spec": {
                "connections": [
                    tool(
                        "Jupyter",
                        "jupyter-notebook",
                        "ExternalUrl",
                        80,
                        externalUrlInfo={"isCustomUrl": True, "externalUrl": "https://nb.example.com"},
                    )
                ]
            }
        },
    ),
    "node port, made by the platform": (
        'tools = [{ type = "tensorboard", connection = "Node port" }]',
        {
            "spec": {
                "connections": [
                    tool(
                        "TensorBoard",
                        "tensorboard",
                        "NodePort",
                        6006,
                        nodePortInfo={"isCustomPort": False},
                    )
                ]
            }
        },
    ),
    "node port, given at submission": (
        'tools = [{ type = "tensorboard", connection = "NodePort", custom = true }]',
        {
            "spec": {
                "connections": [
                    tool("TensorBoard", "tensorboard", "NodePort", 6006, nodePortInfo={"isCustomPort": True})
                ]
            }
        },
    ),
    "load balancer": (
        'tools = [{ type = "rstudio", connection = "load balancer", container_port = 80 }]',
        {"spec": {"connections": [tool("RStudio", "rstudio", "LoadBalancer", 80)]}},
    ),
    "external tools": (
        """
        [[tools]]
        type = "W&B"
        url = "https://wandb.example.com/team/${WANDB_PROJECT}"
        [[tools]]
        type = "comet"
        name = "Experiments"
        url = "https://comet.example.com"
        """,
        {
            "spec": {
                "connections": [
                    {
                        "name": "Weights & Biases",
                        "isExternal": True,
                        "externalToolInfo": {
                            "toolType": "wandb",
                            "externalUrl": "https://wandb.example.com/team/${WANDB_PROJECT}",
                        },
                    },
                    {
                        "name": "Experiments",
                        "isExternal": True,
                        "externalToolInfo": {"toolType": "comet", "externalUrl": "https://comet.example.com"},
                    },
                ]
            }
        },
    ),
    "command and arguments": (
        'command = "start.sh"\nargs = "--base /lab"',
        {"spec": {"command": "start.sh", "args": "--base /lab"}},
    ),
    "command and arguments as lists": (
        'command = ["python", "-m", "my app"]\nargs = ["--name", "it\'s"]',
        {"spec": {"command": "python -m 'my app'", "args": "--name 'it'\"'\"'s'"}},
    ),
    "variable with a value": (
        "environment_variables = { A = 'x', B = 5, C = true, D = false, E = '' }",
        env(
            {"name": "A", "value": "x"},
            {"name": "B", "value": "5"},
            {"name": "C", "value": "true"},
            {"name": "D", "value": "false"},
            {"name": "E", "value": ""},
        ),
    ),
    "variable to be filled in": (
        "environment_variables = { A = { value = '', instructions = 'a path' }, B = { instructions = 'b' } }",
        env(
            {"name": "A", "value": "", "description": "a path"},
            {"name": "B", "value": "", "description": "b"},
        ),
    ),
    "variable from a credential of the stack": (
        "environment_variables = { A = { credential = 'hub', key = 'token', instructions = 'why' } }",
        env(
            {"name": "A", "credential": {"assetId": CREDENTIAL_ID, "key": "token"}, "description": "why"},
        ),
    ),
    "variable from another credential": (
        f"environment_variables = {{ A = {{ credential_id = '{CREDENTIAL_ID.upper()}', key = 'token' }} }}",
        env({"name": "A", "credential": {"assetId": CREDENTIAL_ID, "key": "token"}}),
    ),
    "variable from a config map": (
        "environment_variables = { A = { config_map = 'team-config', key = 'schema' } }",
        env({"name": "A", "configMap": {"name": "team-config", "key": "schema"}}),
    ),
    "variable from the pod": (
        "environment_variables = { A = { pod_field = 'metadata.name' } }",
        env({"name": "A", "podFieldRef": {"path": "metadata.name"}}),
    ),
    "variable left out": (
        "environment_variables = { A = { exclude = true }, B = { exclude = true, instructions = 'why' } }",
        env({"name": "A", "exclude": True}, {"name": "B", "exclude": True, "description": "why"}),
    ),
    "working directory": ('working_dir = "/work"', {"spec": {"workingDir": "/work"}}),
    "user of the image": ('uid_gid_source = "From the image"', {"spec": {"uidGidSource": "fromTheImage"}}),
    "user of the IdP token": (
        'uid_gid_source = "From the IdP token"',
        {"spec": {"uidGidSource": "fromIdpToken"}},
    ),
    "custom user": (
        """
        uid_gid_source = "custom"
        run_as_uid = 0
        run_as_gid = 9223372036854775807
        supplemental_groups = [2000, 100]
        override_uid_gid_in_workspace = true
        """,
        {
            "spec": {
                "uidGidSource": "custom",
                "runAsUid": 0,
                "runAsGid": 2**63 - 1,
                "supplementalGroups": "2000,100",
                "overrideUidGidInWorkspace": True,
            }
        },
    ),
    "groups as text": (
        'uid_gid_source = "custom"\nsupplemental_groups = "100, 2000,"',
        {"spec": {"supplementalGroups": "100,2000"}},
    ),
    "groups of the image": ("supplemental_groups = []", {"spec": {"supplementalGroups": ""}}),
    "capabilities": (
        'capabilities = ["NET_BIND_SERVICE", "CAP_CHOWN", "cap_sys_admin", "chown"]',
        {"spec": {"capabilities": ["CHOWN", "NET_BIND_SERVICE", "SYS_ADMIN"]}},
    ),
    "seccomp profile": (
        'seccomp_profile_type = "runtime/default"',
        {"spec": {"seccompProfileType": "RuntimeDefault"}},
    ),
    "switches that are on": (
        """
        run_as_non_root = true
        read_only_root_filesystem = true
        allow_privilege_escalation = true
        create_home_dir = true
        host_ipc = true
        host_network = true
        stdin = true
        tty = true
        """,
        {
            "spec": {
                "runAsNonRoot": True,
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": True,
                "createHomeDir": True,
                "hostIpc": True,
                "hostNetwork": True,
                "stdin": True,
                "tty": True,
            }
        },
    ),
    "switches that are off": (
        "run_as_non_root = false\ncreate_home_dir = false\ntty = false",
        {"spec": {"runAsNonRoot": False, "createHomeDir": False, "tty": False}},
    ),
    "readiness probe": (
        """
        [readiness_probe]
        path = "/healthz"
        port = 8000
        host = "svc.example.com"
        scheme = "https"
        initial_delay_seconds = 0
        period_seconds = 10
        timeout_seconds = 2
        success_threshold = 1
        failure_threshold = 3
        """,
        {
            "spec": {
                "probes": {
                    "readiness": {
                        "initialDelaySeconds": 0,
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
                }
            }
        },
    ),
    "shortest readiness probe": (
        "readiness_probe = { port = 80 }",
        {"spec": {"probes": {"readiness": {"handler": {"httpGet": {"port": 80, "scheme": "HTTP"}}}}}},
    ),
}


@pytest.mark.parametrize(("text", "wire"), FIELDS.values(), ids=FIELDS)
def test_what_the_guide_lets_a_person_set_arrives_and_comes_back(text: str, wire: dict[str, Any]) -> None:
    """Spec, attributes, request, answer, attributes: the same thing all the way round."""
    (draft,) = drafts(text)
    attributes = resolved(draft.attributes)
    body = sent(attributes)
    for part, fields in wire.items():
        assert {key: body[part].get(key) for key in fields} == fields
    defaults = KINDS["environment"].defaults
    back = conversion.environment_from_wire(body["meta"], body["spec"])
    assert {**defaults, **back} == {**defaults, **attributes}


def test_every_field_of_the_wire_can_be_said() -> None:
    """The table above leaves out no field of ``spec`` and none that a user may set in ``meta``."""
    said = {part: set() for part in ("meta", "spec")}
    for text, _ in FIELDS.values():
        body = sent(resolved(drafts(text)[0].attributes))
        for part, fields in said.items():
            fields.update(body[part])
    assert said["spec"] == set(api.SPEC_FIELDS)
    assert said["meta"] == set(api.AssetCreationMeta.__struct_encode_fields__) - {"autoDelete", "private"}


def test_every_key_of_a_spec_is_in_the_table() -> None:
    """The table above leaves out no key that a spec may have, but compute assets, which are below."""
    said = {key for text, _ in FIELDS.values() for key in tomllib.loads(text)}
    assert set(MODELS["environment"].model_fields) - said == {"compute"}
    assert set(PLAIN_FIELDS) < set(MODELS["environment"].model_fields)


def test_what_the_guide_lets_a_person_set_is_there_after_apply(project: Project) -> None:
    """On the embedded platform: made in one run, nothing left to do, and nothing again after changes."""
    project.store.parent.mkdir(parents=True)
    body = {
        "meta": {"name": "of-others", "scope": "tenant"},
        "spec": {"keyValuePairs": [{"key": "token", "value": "t"}]},
    }
    others = project.hand().request("POST", "/api/v1/asset/credentials/generic-secret", body)["meta"]["id"]
    for number, (text, _) in enumerate(FIELDS.values()):
        text = text.replace(CREDENTIAL_ID.upper(), others)
        table = {**SMALLEST["environment"], "on": {"runai": {}}, **tomllib.loads(text)}
        project.write(f"lab-{number}.toml", tomli_w.dumps(table))
    project.write(
        "hub.toml",
        'kind = "credential"\ntype = "generic-secret"\ndata = { token = { env = "HUNTER" } }\n'
        'on.runai.scope = "tenant"\n',
    )
    project.environment["HUNTER"] = "hunter-two"
    project.run("apply", "--auto-approve").succeeded()
    assert project.run("plan", "--detailed-exitcode").code == 0
    for path in project.path.glob("lab-*.toml"):
        path.write_text('description = "changed"\n' + path.read_text().replace("description =", "args ="))
    project.run("apply", "--auto-approve").succeeded()
    assert project.run("plan", "--detailed-exitcode").code == 0
    for number in range(len(FIELDS)):
        project.write(f"lab-{number}.toml", 'image = "python:3.11"\non.runai.scope = "tenant"\n')
    project.run("apply", "--auto-approve", "--allow-deletes").succeeded()
    assert project.run("plan", "--detailed-exitcode").code == 0


# --- words ---

WORDS: dict[str, tuple[str, list[str]]] = {
    "image_pull_policy IfNotPresent": (
        'image_pull_policy = "{}"',
        [
            "IfNotPresent",
            "ifNotPresent",
            "if-not-present",
            "if not present",
            "IF_NOT_PRESENT",
            "ifnotpresent",
        ],
    ),
    "image_pull_policy Always": ('image_pull_policy = "{}"', ["Always", "always", " ALWAYS "]),
    "image_pull_policy Never": ('image_pull_policy = "{}"', ["Never", "never"]),
    "distributed_framework TF": (
        'workload_types = ["distributed"]\ndistributed_framework = "{}"',
        ["TF", "TensorFlow", "Tensorflow", "tensor-flow", "tf"],
    ),
    "distributed_framework PyTorch": (
        'workload_types = ["distributed"]\ndistributed_framework = "{}"',
        ["PyTorch", "pytorch", "Pytorch", "torch"],
    ),
    "distributed_framework XGBoost": (
        'workload_types = ["distributed"]\ndistributed_framework = "{}"',
        ["XGBoost", "xgboost"],
    ),
    "distributed_framework MPI": (
        'workload_types = ["distributed"]\ndistributed_framework = "{}"',
        ["MPI", "mpi"],
    ),
    "scope tenant": ('scope = "{}"', ["tenant", "Tenant", "account", "Account"]),
    "scope cluster": ('scope = "{}"', ["cluster", "Cluster"]),
    "uid_gid_source image": (
        'uid_gid_source = "{}"',
        ["image", "From the image", "fromTheImage", "from-image"],
    ),
    "uid_gid_source idp-token": (
        'uid_gid_source = "{}"',
        ["idp-token", "From the IdP token", "fromIdpToken", "IdP token", "idpToken", "IDP"],
    ),
    "uid_gid_source custom": ('uid_gid_source = "{}"', ["custom", "Custom"]),
    "seccomp_profile_type Unconfined": ('seccomp_profile_type = "{}"', ["Unconfined", "unconfined"]),
    "seccomp_profile_type Localhost": ('seccomp_profile_type = "{}"', ["Localhost", "localhost"]),
}


@pytest.mark.parametrize(("meant", "text", "words"), [(k, *v) for k, v in WORDS.items()], ids=WORDS)
def test_a_word_of_the_guides_is_understood(meant: str, text: str, words: list[str]) -> None:
    """However it is spelled in the interface, the guides and the API."""
    key, value = meant.split(" ")
    said = [drafts(text.format(word))[0].attributes[key] for word in words]
    assert said == [value] * len(words)


TOOLS: dict[str, list[str]] = {
    "jupyter-notebook": ["jupyter", "Jupyter", "JupyterLab", "jupyter-lab", "Jupyter Notebook", "notebook"],
    "tensorboard": ["tensorboard", "TensorBoard", "Tensor Board"],
    "visual-studio-code": ["vscode", "VSCode", "VS Code", "Visual Studio Code", "code-server"],
    "rstudio": ["rstudio", "RStudio", "R Studio"],
    "mlflow": ["mlflow", "MLflow", "MLFlow"],
    "pycharm": ["pycharm", "PyCharm"],
    "matlab": ["matlab", "MATLAB", "Matlab"],
    "chatbot-ui": ["chatbot-ui", "Chatbot UI", "ChatbotUI"],
}


@pytest.mark.parametrize(("kind", "words"), TOOLS.items(), ids=TOOLS)
def test_a_tool_goes_by_many_names(kind: str, words: list[str]) -> None:
    """A bare name is enough, and so is the same name in a table."""
    for word in words:
        for text in (f'tools = ["{word}"]', f'tools = [{{ type = "{word}" }}]'):
            (one,) = drafts(text)[0].attributes["tools"].values()
            assert one["type"] == kind
            assert one["connection"] == "external-url"


@pytest.mark.parametrize("word", ["Weights & Biases", "weights and biases", "W&B", "wandb"])
def test_an_external_tool_goes_by_many_names(word: str) -> None:
    """As the ones inside."""
    assert drafts(f'tools = [{{ type = "{word}", url = "https://w" }}]')[0].attributes["tools"] == {
        "Weights & Biases": {"type": "wandb", "url": "https://w"}
    }


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("generic-secret", "generic-secret"),
        ("Generic secret", "generic-secret"),
        ("genericSecret", "generic-secret"),
        ("Docker registry", "docker-registry"),
        ("dockerRegistry", "docker-registry"),
        ("Access key", "access-key"),
        ("Username & password", "password"),
        ("git", "password"),
        ("NGC API key", "ngc-api-key"),
        ("ngcApiKey", "ngc-api-key"),
        ("ngc", "ngc-api-key"),
    ],
)
def test_a_type_of_credential_goes_by_many_names(word: str, kind: str) -> None:
    """Those of the interface, of paths, and of answers."""
    first, *_ = reading(f'type = "{word}"', "credential").problems
    assert first.summary.startswith(f"a credential of type {kind} needs")


# --- compute assets ---


def test_compute_is_an_asset_of_its_own() -> None:
    """``[compute]`` makes a compute asset of the same name and scope beside the environment."""
    environment, compute = drafts(
        """
        name = "Lab"
        scope = "project"
        scope_name = "vision"
        description = "of the environment alone"
        [compute]
        gpu = 4
        cpu_cores = 16.0
        memory = "128Gi"
        """
    )
    assert environment.kind == "environment"
    assert compute == Draft(
        "compute",
        {
            "name": "Lab",
            "scope": "project",
            "scope_id": {LOOKUP: {"kind": "project", "name": "vision"}},
            "gpu": 4,
            "cpu_cores": 16,
            "memory": "128Gi",
        },
        (
            Fact("gpus", 4, ("compute", "gpu")),
            Fact("cpu_cores", 16.0, ("compute", "cpu_cores")),
            Fact("memory_gb", 128.0, ("compute", "memory")),
        ),
    )


def test_every_field_of_a_compute_asset_arrives_and_comes_back() -> None:
    """Amounts in one spelling, and nothing that means the same as nothing."""
    (draft,) = drafts(
        """
        description = "big"
        gpu = 1
        gpu_request_type = "portion"
        gpu_portion = 0.5
        gpu_portion_limit = 1.0
        gpu_memory = "1024Mi"
        gpu_memory_limit = " 2Gi "
        cpu_cores = 0.5
        cpu_cores_limit = 8
        memory = "128G"
        memory_limit = "1T"
        large_shm = true
        extended_resources = [
          { resource = "x/y", quantity = "1000m", exclude = false },
          { resource = "a/b", quantity = "2", exclude = true },
        ]
        """,
        "compute",
    )
    assert set(COMPUTE_FIELDS) <= set(draft.attributes)
    wire = conversion.compute_spec(draft.attributes)
    assert wire == {
        "gpuDevicesRequest": 1,
        "gpuRequestType": "portion",
        "gpuPortionRequest": 0.5,
        "gpuPortionLimit": 1,
        "gpuMemoryRequest": "1Gi",
        "gpuMemoryLimit": "2Gi",
        "cpuCoreRequest": 0.5,
        "cpuCoreLimit": 8,
        "cpuMemoryRequest": "128G",
        "cpuMemoryLimit": "1T",
        "largeShmRequest": True,
        "extendedResources": [
            {"resource": "a/b", "quantity": "2", "exclude": True},
            {"resource": "x/y", "quantity": "1"},
        ],
    }
    meta = conversion.creation_meta(draft.attributes)
    msgspec.convert({"meta": meta, "spec": wire}, api.ComputeCreationRequest, strict=False)
    assert conversion.compute_from_wire(meta, wire) == draft.attributes


def test_a_policy_sees_every_way_to_ask_for_a_gpu() -> None:
    """Whole devices, parts of one, and the cluster's own resources."""
    (draft,) = drafts(
        """
        gpu_portion = 0.5
        gpu_portion_limit = 0.75
        extended_resources = [
          { resource = "x/y", quantity = "9" }, { resource = "nvidia.com/gpu", quantity = "2" }
        ]
        """,
        "compute",
    )
    assert [fact for fact in draft.facts if fact.name == "gpus"] == [
        Fact("gpus", 0.5, ("gpu_portion",)),
        Fact("gpus", 0.75, ("gpu_portion_limit",)),
        Fact("gpus", 2.0, ("extended_resources", 1, "quantity")),
    ]


# --- credentials ---

REFERENCE = '{ env = "HUNTER" }'
SECRET_MARKER = {SECRET: {"env": "HUNTER"}}
CREDENTIALS: dict[str, tuple[str, dict[str, Any]]] = {
    "generic-secret": (
        f'data = {{ user = {{ file = "user.txt" }}, token = {REFERENCE} }}',
        {"keys": ["token", "user"], "data": {"user": {SECRET: {"file": "user.txt"}}, "token": SECRET_MARKER}},
    ),
    "docker-registry": (
        f'url = "https://images.example.com"\nuser = "u"\npassword = {REFERENCE}',
        {"url": "https://images.example.com", "user": "u", "password": SECRET_MARKER},
    ),
    "access-key": (
        f'access_key_id = "AKIA"\nsecret_access_key = {REFERENCE}',
        {"access_key_id": "AKIA", "secret_access_key": SECRET_MARKER},
    ),
    "password": (
        'user = "u"\npassword = { command = ["pass", "show", "git"] }',
        {"user": "u", "password": {SECRET: {"command": ["pass", "show", "git"]}}},
    ),
    "ngc-api-key": (f"ngc_api_key = {REFERENCE}", {"ngc_api_key": SECRET_MARKER}),
}


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_a_credential_holds_references_to_its_secrets(kind: str) -> None:
    """Each of the five kinds; the attributes have what can be read back, and markers for what cannot."""
    text, wanted = CREDENTIALS[kind]
    (draft,) = drafts(f'type = "{kind}"\ndescription = "d"\n{text}', "credential")
    assert draft.attributes == {
        "name": "lab",
        "description": "d",
        "scope": "tenant",
        "type": kind,
        **wanted,
    }
    with_values = replace_markers(draft.attributes, SECRET, lambda _: "hunter")
    spec = conversion.credential_spec(with_values)
    segment = next(one for one in api.CREDENTIAL_KINDS if one.segment == kind)
    meta = {**conversion.creation_meta(with_values), "kind": segment.kind}
    back = conversion.credential_from_wire(meta, {segment.kind: spec})
    hidden = KINDS["credential"].write_only
    assert back == {key: value for key, value in draft.attributes.items() if key not in hidden}


@pytest.mark.parametrize("kind", [kind for kind in CREDENTIALS if kind != "ngc-api-key"])
def test_a_credential_may_come_from_the_cluster(kind: str) -> None:
    """``existing_secret_name`` instead of values."""
    (draft,) = drafts(f'type = "{kind}"\nexisting_secret_name = "team-secret"', "credential")
    assert draft.attributes == {
        "name": "lab",
        "scope": "tenant",
        "type": kind,
        "existing_secret_name": "team-secret",
    }
    assert conversion.credential_spec(draft.attributes) == {"existingSecretName": "team-secret"}


# --- scopes by name ---


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('scope = "cluster"', {"kind": "cluster", "name": None}),
        ('scope = "cluster"\nscope_name = "gpu-east"', {"kind": "cluster", "name": "gpu-east"}),
        ('scope = "cluster"\ncluster = "gpu-east"', {"kind": "cluster", "name": "gpu-east"}),
        ('scope = "department"\nscope_name = "research"', {"kind": "department", "name": "research"}),
        (
            'scope = "project"\nscope_name = "vision"\ncluster = "gpu-east"',
            {"kind": "project", "name": "vision", "cluster": "gpu-east"},
        ),
    ],
)
def test_a_scope_by_name_is_looked_up_while_planning(text: str, wanted: dict[str, Any]) -> None:
    """A marker says what for; without a name, the only cluster is meant."""
    assert drafts(text)[0].attributes["scope_id"] == {LOOKUP: wanted}


# --- what is said besides ---


def test_facts_for_the_policy() -> None:
    """Where a spec says its scope and its image."""
    assert drafts("")[0].facts == (
        Fact("scope", "tenant", ("scope",)),
        Fact("image", "python:3.11", ("image",)),
    )


def test_attributes_give_the_facts_that_their_spec_gave() -> None:
    """A policy limits an undoing, which has no spec, as it limits the spec."""
    environment, compute = drafts('[compute]\ngpu = 4\ncpu_cores_limit = 2.5\nmemory = "1Ti"')
    (asset,) = drafts('extended_resources = [{ resource = "nvidia.com/gpu", quantity = "2" }]', "compute")
    (key,) = drafts('type = "ngc-api-key"\nngc_api_key = { env = "NGC" }', "credential")
    for draft in (environment, compute, asset, key):
        told = [(fact.name, fact.value) for fact in KINDS[draft.kind].facts(draft.attributes)]
        assert [one for one in told if draft is not compute or one[0] != "scope"] == [
            (fact.name, fact.value) for fact in draft.facts
        ]
        assert told


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ('name = "läb"', "the name 'läb' has characters other than A-Z a-z 0-9 . _ - and blanks"),
        (
            'workload_types = ["inference"]',
            "lab is for inference and has no [inference_endpoint]; Run:ai's own form demands one",
        ),
        ('name = "Lab 1.0_x-y"', ""),
    ],
)
def test_what_may_not_be_meant_is_warned_of(text: str, warning: str) -> None:
    """And read all the same."""
    found = reading(text)
    assert found.warnings == ((warning,) if warning else ())
    assert len(found.drafts) == 1


@pytest.mark.parametrize(
    "text", ['{ instructions = "" }', "{ }", '{ key = "k", instructions = "" }'], ids=["empty", "none", "key"]
)
def test_a_variable_has_a_source_or_says_what_to_fill_in(text: str) -> None:
    """Instructions that are empty say nothing."""
    problems = reading(f"environment_variables = {{ A = {text} }}").problems
    assert [(one.path, one.summary) for one in problems] == [
        (("environment_variables", "A"), "this variable has no source")
    ]


@pytest.mark.parametrize("name", [REF, ID, SECRET, LOOKUP])
@pytest.mark.parametrize(
    ("kind", "text", "field", "summary"),
    [
        (
            "environment",
            "environment_variables = {{ '{}' = 'x' }}",
            "environment_variables",
            "{!r} cannot name an environment variable",
        ),
        ("environment", "tools = [{{ type = 'jupyter', name = '{}' }}]", "tools", "{!r} cannot name a tool"),
        (
            "credential",
            "type = 'generic-secret'\ndata = {{ '{}' = {{ env = 'X' }} }}",
            "data",
            "{!r} cannot be a key",
        ),
    ],
    ids=["variable", "tool", "key"],
)
def test_nothing_can_be_named_like_a_marker(
    kind: str, text: str, field: str, summary: str, name: str
) -> None:
    """Alone in its table it would be taken for a reference, or a secret, and what it holds would be lost."""
    table = {**SMALLEST[kind], **tomllib.loads(text.format(name))}
    (problem,) = read_spec(kind, table, PLACE).problems
    where = (field, 0) if field == "tools" else (field, name)
    assert (problem.path, problem.summary) == (where, summary.format(name))


def test_a_name_has_at_most_253_characters() -> None:
    """Wherever it is given."""
    table = SMALLEST["environment"]
    assert read_spec("environment", table, Place("runai", "x" * 253, Path(), Path())).problems == ()
    (problem,) = read_spec("environment", table, Place("runai", "x" * 254, Path(), Path())).problems
    assert (problem.path, problem.summary) == (("name",), "the name has 254 characters, more than 253")
    (problem,) = read_spec("environment", {**table, "name": "x" * 254}, PLACE).problems
    assert (problem.path, problem.summary) == (("name",), "`name` must have at most 253 characters")


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Fields that do not go together are looked at also when another field is wrong by itself."""
    found = reading(
        """
        image = 3
        scope = "project"
        workload_types = ["distributed"]
        run_as_uid = 5
        tty = true
        tools = ["jupyter", "jupyter"]
        uid_gid_sourc = "custom"
        """
    )
    assert [problem.path for problem in found.problems] == [
        ("image",),
        ("uid_gid_sourc",),
        ("scope",),
        ("workload_types",),
        ("run_as_uid",),
        ("tty",),
        ("tools", 1),
    ]


def test_what_depends_on_a_field_that_is_wrong_is_not_said() -> None:
    """A framework that is misspelled is no missing framework."""
    found = reading('workload_types = ["distributed"]\ndistributed_framework = "PyTroch"\nscope = "projekt"')
    assert [problem.path for problem in found.problems] == [("scope",), ("distributed_framework",)]


# --- whatever TOML can hold ---

scalars = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["tenant", "project", "password", "64Gi", "jupyter", "custom", "distributed"]),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.booleans(),
    st.just(date(2026, 1, 1)),
    st.just(time(7, 32)),
    st.just(datetime(2026, 1, 1, tzinfo=UTC)),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "url", "env", "value", "key", "credential", "port", "gpu", "", "x y"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)


@pytest.mark.parametrize(
    "image",
    [
        "python",
        "python:3.12",
        "Python:3.12-SLIM_x",
        "localhost:5000/python",
        "[::1]:5000/python:3.12",
        "registry.example.com:443/team/deep/er/Image__name:v1.0",
        "nvcr.io/nvidia/pytorch@sha256:" + "0a" * 32,
        "python:3.12@sha512:" + "0a" * 64,
        "team_a/under_score/-dash",
    ],
)
def test_what_a_registry_may_accept_is_an_image(image: str) -> None:
    """Ports, digests, deep paths, capitals."""
    assert drafts(f"image = '{image}'")[0].attributes["image"] == image


@settings(deadline=None, max_examples=250)
@given(st.data())
def test_whatever_a_file_holds_is_refused_or_fits_into_json(data: st.DataObject) -> None:
    """No value crashes the reading, and none changes on its way through the cache, the plan or the wire."""
    kind = data.draw(st.sampled_from(sorted(MODELS)))
    fields = sorted(PLUGIN.spec_fields(kind))
    extra = data.draw(st.dictionaries(st.sampled_from(fields), values, max_size=3))
    found = read_spec(kind, {**SMALLEST[kind], **extra}, PLACE)
    assert found.drafts or found.problems
    for draft in found.drafts:
        assert msgspec.json.decode(msgspec.json.encode(draft.attributes)) == draft.attributes
        msgspec.json.encode(draft.facts)
        if draft.kind == "environment" and not found.problems:
            sent(resolved(draft.attributes))
