"""What a spec may say for AEnvironment, in TOML or in config.json, and what of it arrives there."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.attributes import ID, REF
from reconciler.core.ports import Draft, Fact, Place, SpecReading
from reconciler.providers.aenvironment.conversion import environment_body, service_body
from reconciler.providers.aenvironment.kinds import ENVIRONMENT, SERVICE
from reconciler.providers.aenvironment.plugin import PLUGIN
from reconciler.providers.aenvironment.spec import MODELS, read_spec

IMAGE = "registry.example.com/demo:1.0.0"
SMALLEST: Mapping[str, Any] = {"name": "demo", "version": "1.0.0"}
"""The smallest config.json."""
TEMPLATE: Mapping[str, Any] = {
    "name": "demo",
    "version": "1.0.0",
    "tags": ["linux"],
    "status": "Ready",
    "codeUrl": "",
    "artifacts": [{"id": "", "type": "image", "content": IMAGE}],
    "buildConfig": {"dockerfile": "./Dockerfile"},
    "testConfig": {"script": ""},
    "deployConfig": {
        "cpu": "1",
        "memory": "2Gi",
        "os": "linux",
        "ephemeralStorage": "5Gi",
        "environmentVariables": {},
        "service": {
            "replicas": 1,
            "port": 8081,
            "enableStorage": False,
            "storageName": "aenv",
            "storageSize": "10Gi",
            "mountPath": "/home/admin/data",
        },
    },
}
"""What `aenv init` writes, with an image as `aenv build` adds it. Source: the vendor's command line 0.1.7."""


class Folder:
    """A spec and a config.json beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def config(self, document: Any) -> None:
        """Write config.json."""
        text = document if isinstance(document, str) else json.dumps(document)
        (self.path / "config.json").write_text(text)

    def read(self, text: str, kind: str = "environment") -> SpecReading:
        """What the spec says."""
        return read_spec(kind, tomllib.loads(text), Place("aenv", "demo", self.path, self.path))

    def drafts(self, text: str, kind: str = "environment") -> tuple[Draft, ...]:
        """As `read`, which must find nothing wrong."""
        found = self.read(text, kind)
        assert found.problems == ()
        return found.drafts

    def sent(self, text: str) -> dict[str, Any]:
        """The body that creates the environment."""
        return environment_body(self.drafts(text)[0].attributes)

    def complaints(self, text: str, kind: str = "environment") -> list[tuple[tuple[str | int, ...], str]]:
        """What is wrong, and where. Each says what to do."""
        found = self.read(text, kind).problems
        assert [one for one in found if not one.hint] == []
        return [(one.path, one.summary) for one in found]

    def warnings(self, text: str) -> tuple[str, ...]:
        """What is doubtful, in a spec that is sound."""
        found = self.read(text)
        assert found.problems == ()
        return found.warnings


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def artifacts(*contents: str) -> dict[str, Any]:
    return {"artifacts": [{"id": "", "type": "image", "content": one} for one in contents]}


def deploy(**values: Any) -> dict[str, Any]:
    return {"deployConfig": values}


# What a spec may say beside the smallest config.json, and what the body has besides that.
FIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    "nothing": ("", {}),
    "name": ('name = "other"', {"name": "other"}),
    "version": ('version = "2.0.0-rc.1"', {"version": "2.0.0-rc.1"}),
    "description": ('description = "Ä demo"', {"description": "Ä demo"}),
    "tags": ('tags = ["linux", "gpu"]', {"tags": ["linux", "gpu"]}),
    "tags as other platforms have them": (
        'tags = { team = "nlp", tier = 2, old = false }',
        {"tags": ["team=nlp", "tier=2", "old=false"]},
    ),
    "no tags": ("tags = []", {"tags": []}),
    "status": ('status = "testing"', {"status": "Testing"}),
    "release": ("release = true", {"status": "Released"}),
    "release, twice said": ('release = true\nstatus = "Released"', {"status": "Released"}),
    "code": ('code_url = "https://git.example.com/demo"', {"codeUrl": "https://git.example.com/demo"}),
    "image": (f'image = "{IMAGE}"', artifacts(IMAGE)),
    "artifacts": (
        'artifacts = [{ type = "data", content = "d", id = "1" }, { type = "image", content = "a" }]',
        {
            "artifacts": [
                {"id": "", "type": "image", "content": "a"},
                {"id": "1", "type": "data", "content": "d"},
            ]
        },
    ),
    "artifacts, the image set apart": (
        'image = "b"\nartifacts = [{ type = "image", content = "a", id = "7" }]',
        {"artifacts": [{"id": "7", "type": "image", "content": "b"}]},
    ),
    "build": (
        'build_config = { image_name = "x", dockerfile = "D", n = 1 }',
        {"buildConfig": {"image_name": "x", "dockerfile": "D", "n": 1}},
    ),
    "test": ('test_config = { script = "make test" }', {"testConfig": {"script": "make test"}}),
    "deployment in snake case": (
        """
        [deploy_config]
        cpu = "2"
        os = "linux"
        ephemeral_storage = "5Gi"
        image_prefix = "registry.example.com/sites"
        pod_template = "dualContainer"
        cpu_request = "1"
        memory_limit = "4Gi"
        ttl = "1h30m"
        """,
        deploy(
            cpu="2",
            os="linux",
            ephemeralStorage="5Gi",
            imagePrefix="registry.example.com/sites",
            podTemplate="dualContainer",
            cpuRequest="1",
            memoryLimit="4Gi",
            ttl="1h30m",
        ),
    ),
    "deployment as it is": (
        'deploy_config = { podTemplate = "singleContainer", anything = { at = ["all"] } }',
        deploy(podTemplate="singleContainer", anything={"at": ["all"]}),
    ),
    "service block": (
        "[deploy_config.service]\nreplicas = 1\nport = 80\nenable_storage = true\nstorage_name = 'v'\n"
        "storage_size = '1Gi'\nmount_path = '/data'",
        deploy(
            service={
                "replicas": 1,
                "port": 80,
                "enableStorage": True,
                "storageName": "v",
                "storageSize": "1Gi",
                "mountPath": "/data",
            }
        ),
    ),
    "variables": (
        "environment_variables = { A = 'x', B = 5, C = true, D = '' }",
        deploy(environmentVariables={"A": "x", "B": "5", "C": "true", "D": ""}),
    ),
    "variables in both places": (
        "environment_variables = { A = 'x' }\ndeploy_config.environment_variables = { B = 'y' }",
        deploy(environmentVariables={"B": "y", "A": "x"}),
    ),
    "compute": (
        "compute = { cpu_cores = 1.5, memory = '1024Mi', storage = '5Gi' }",
        deploy(cpu="1500m", memory="1Gi", ephemeralStorage="5Gi"),
    ),
    "cores in the words of config.json": ('compute = { cpu = "500m" }', deploy(cpu="500m")),
}


@pytest.mark.parametrize("field", FIELDS)
def test_what_a_spec_says_arrives(folder: Folder, field: str) -> None:
    """Each field, in TOML beside a config.json, becomes what the wire has for it; nothing else is sent."""
    text, wire = FIELDS[field]
    folder.config(SMALLEST)
    assert folder.sent(f'config = "config.json"\n{text}') == {**SMALLEST, "status": "Ready", **wire}


def test_every_field_of_a_spec_is_in_the_table() -> None:
    """Nothing that a spec may say is left untried here."""
    said = {key for text, _ in FIELDS.values() for key in tomllib.loads(text)}
    assert MODELS["environment"].model_fields.keys() - said == {"config", "service"}
    assert PLUGIN.spec_fields("environment") == MODELS["environment"].model_fields.keys()


def test_a_project_is_taken_as_it_is(folder: Folder) -> None:
    """Every key of config.json arrives; an empty codeUrl is none, and keeps what EnvHub has."""
    folder.config(TEMPLATE)
    wanted = {key: value for key, value in TEMPLATE.items() if key != "codeUrl"}
    assert folder.sent('config = "config.json"') == wanted
    assert folder.read('config = "config.json"').files == (folder.path / "config.json",)


def test_the_name_is_that_of_the_project(folder: Folder) -> None:
    """Else that of the spec."""
    folder.config({**SMALLEST, "name": "from-file"})
    assert folder.sent('config = "config.json"')["name"] == "from-file"
    assert folder.sent('version = "1"')["name"] == "demo"


def test_what_the_spec_says_is_laid_over_the_file(folder: Folder) -> None:
    """Key by key in deployConfig, its service and its variables; whole elsewhere."""
    inner = {**TEMPLATE["deployConfig"], "environmentVariables": {"A": "file", "B": "file"}}
    folder.config({**TEMPLATE, "deployConfig": inner})
    sent = folder.sent(
        """
        config = "config.json"
        image = "other:2"
        build_config = { context = "." }
        environment_variables = { B = "spec", C = "spec" }
        deploy_config = { service = { replicas = 2 } }
        compute = { memory = "4Gi" }
        """
    )
    assert sent["buildConfig"] == {"context": "."}
    assert sent["artifacts"] == [{"id": "", "type": "image", "content": "other:2"}]
    assert sent["deployConfig"] == {
        **inner,
        "memory": "4Gi",
        "environmentVariables": {"A": "file", "B": "spec", "C": "spec"},
        "service": {**inner["service"], "replicas": 2},
    }


def test_a_project_that_was_not_built_takes_no_image_away(folder: Folder) -> None:
    """An empty list of artifacts is what `aenv init` writes; a spec that wants none says so."""
    folder.config({**SMALLEST, "artifacts": []})
    assert "image" not in folder.drafts('config = "config.json"')[0].attributes
    assert folder.drafts('config = "config.json"\nartifacts = []')[0].attributes["image"] is None


def test_facts_are_what_a_policy_limits(folder: Folder) -> None:
    """Image, cores and memory, old names included, each where the spec says it."""
    folder.config({**SMALLEST, **artifacts(IMAGE), "deployConfig": {"cpuLimit": "4", "memory": "8Gi"}})
    (draft,) = folder.drafts('config = "config.json"\ncompute = { cpu_cores = 2 }')
    assert draft.facts == (
        Fact("image", IMAGE, ("config",)),
        Fact("cpu_cores", 2.0, ("compute", "cpu_cores")),
        Fact("cpu_cores", 4.0, ("config",)),
        Fact("memory_gb", 8.0, ("config",)),
    )


def test_what_a_spec_ignores_is_left_out_of_the_file_too(folder: Folder) -> None:
    """Tags and variables that other platforms share and this one is not to have."""
    folder.config({**TEMPLATE, "deployConfig": {"cpu": "1", "environmentVariables": {"A": "x"}}})
    ignored = frozenset({"tags", "environment_variables", "compute", "test_config"})
    place = Place("aenv", "demo", folder.path, folder.path, ignored)
    (draft,) = read_spec("environment", {"config": "config.json"}, place).drafts
    assert draft.attributes["deploy_config"] == {"cpu": "1"}
    assert draft.attributes.keys() & {"tags", "test_config"} == set()


# --- services ---

AMOUNTS = {
    "cpu_request": "1",
    "cpu_limit": "1",
    "memory_request": "2Gi",
    "memory_limit": "2Gi",
    "ephemeral_storage_request": "5Gi",
    "ephemeral_storage_limit": "5Gi",
}
"""What the vendor's command line sends where config.json says nothing."""


def service(folder: Folder, document: Mapping[str, Any], text: str = "service = {}") -> dict[str, Any]:
    """The attributes of the service beside the environment of *document*."""
    folder.config(document)
    environment, found = folder.drafts(f'config = "config.json"\n{text}')
    assert (environment.kind, found.kind) == ("environment", "service")
    return dict(found.attributes)


def test_a_service_comes_with_its_environment_when_it_is_asked_for(folder: Folder) -> None:
    """As `aenv service create` makes it: the block's fields, no storage while that is off."""
    found = service(folder, TEMPLATE)
    assert found == {
        "name": "demo",
        "environment": {REF: "aenv.environment.demo"},
        "replicas": 1,
        "port": 8081,
        **AMOUNTS,
    }
    folder.config(TEMPLATE)
    assert [one.kind for one in folder.drafts('config = "config.json"')] == ["environment"]


LEGACY: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing said": ({}, {"replicas": 1, **AMOUNTS}),
    "short names": (
        {"cpu": "2", "memory": "4Gi", "ephemeralStorage": "1Gi"},
        {
            "cpu_request": "2",
            "cpu_limit": "2",
            "memory_request": "4Gi",
            "memory_limit": "4Gi",
            "ephemeral_storage_request": "1Gi",
            "ephemeral_storage_limit": "1Gi",
        },
    ),
    "old names before short ones": (
        {"cpu": "2", "cpuRequest": "500m", "memoryLimit": "8Gi", "memory": "4Gi"},
        {"cpu_request": "500m", "cpu_limit": "2", "memory_request": "4Gi", "memory_limit": "8Gi"},
    ),
    "old names of storage": (
        {"ephemeralStorageRequest": "1Gi", "ephemeralStorageLimit": "2Gi"},
        {"ephemeral_storage_request": "1Gi", "ephemeral_storage_limit": "2Gi"},
    ),
    "empty text is absence": ({"cpu": "2", "cpuRequest": ""}, {"cpu_request": "2"}),
    "service keys at the top": (
        {"replicas": 1, "port": 80, "enableStorage": True, "storageName": "v", "storageSize": "1Gi"},
        {"port": 80, "storage_name": "v", "storage_size": "1Gi"},
    ),
    "a block wins over keys at the top": (
        {"port": 80, "service": {"port": 81}},
        {"port": 81},
    ),
    "an empty block does not": ({"port": 80, "service": {}}, {"port": 80}),
    "storage, named by the environment": (
        {"service": {"enableStorage": True, "storageSize": "1024Mi", "mountPath": "/d"}},
        {"storage_name": "demo", "storage_size": "1Gi", "mount_path": "/d"},
    ),
    "variables": ({"environmentVariables": {"A": "x"}}, {"environment_variables": {"A": "x"}}),
}


@pytest.mark.parametrize("case", LEGACY)
def test_old_keys_follow_the_documented_fallback(folder: Folder, case: str) -> None:
    """Source: `aenv service create` 0.1.7."""
    values, wanted = LEGACY[case]
    found = service(folder, {**SMALLEST, "deployConfig": values})
    assert {key: found.get(key) for key in wanted} == wanted


def test_a_spec_overrides_what_config_json_says_of_its_service(folder: Folder) -> None:
    """Each field alone; variables by name; a short amount is request and limit."""
    document = {
        **TEMPLATE,
        "deployConfig": {
            "environmentVariables": {"A": "file", "B": "file"},
            "service": {"enableStorage": True, "storageSize": "1Gi"},
        },
    }
    text = """
    [service]
    name = "web"
    port = 9000
    owner = "team"
    memory = "4Gi"
    memory_limit = "8Gi"
    storage_name = "notes"
    delete_storage = true
    ready_timeout = 60
    environment_variables = { B = "spec" }
    """
    assert service(folder, document, text) == {
        "name": "web",
        "environment": {REF: "aenv.environment.demo"},
        "replicas": 1,
        "storage_size": "1Gi",
        **AMOUNTS,
        "memory_request": "4Gi",
        "memory_limit": "8Gi",
        "environment_variables": {"A": "file", "B": "spec"},
        "port": 9000,
        "owner": "team",
        "storage_name": "notes",
        "delete_storage": True,
        "ready_timeout": 60,
    }
    assert "storage_size" not in service(folder, document, "service = { enable_storage = false }")


def test_a_service_in_a_file_of_its_own_says_what_it_wants_and_no_more(folder: Folder) -> None:
    """Of an environment of this stack, or of any other."""
    (found,) = folder.drafts('environment = "lab"', "service")
    assert found.attributes == {"name": "demo", "environment": {REF: "aenv.environment.lab"}}
    (found,) = folder.drafts('environment = "lab@2"\nstorage_size = "1Gi"\nreplicas = 1', "service")
    assert found.attributes == {
        "name": "demo",
        "environment": {ID: "lab@2"},
        "replicas": 1,
        "storage_size": "1Gi",
        "storage_name": "lab",
    }


def test_what_a_service_says_arrives(folder: Folder) -> None:
    """Every field of the request; what is for us alone stays here."""
    text = """
    environment = "lab@2"
    replicas = 1
    port = 80
    owner = "me"
    cpu = "1"
    memory_request = "1Gi"
    memory_limit = "2Gi"
    ephemeral_storage = "5Gi"
    storage_size = "10Gi"
    storage_name = "v"
    mount_path = "/data"
    environment_variables = { A = 1, B = true }
    delete_storage = true
    ready_timeout = 5
    """
    (found,) = folder.drafts(text, "service")
    assert service_body(found.attributes) == {
        "envName": "lab@2",
        "service_name": "demo",
        "replicas": 1,
        "port": 80,
        "owner": "me",
        "cpu_request": "1",
        "cpu_limit": "1",
        "memory_request": "1Gi",
        "memory_limit": "2Gi",
        "ephemeral_storage_request": "5Gi",
        "ephemeral_storage_limit": "5Gi",
        "storage_size": "10Gi",
        "pvc_name": "v",
        "mount_path": "/data",
        "environment_variables": {"A": "1", "B": "true"},
    }


# --- what is wrong ---

MISTAKES: dict[str, tuple[Any, str, tuple[str | int, ...], str]] = {
    "no version": ({"name": "demo"}, "", ("version",), "`version` is missing"),
    "capitals in the name": (
        {**SMALLEST, "name": "Demo"},
        "",
        ("config",),
        "config.json: `name`: 'Demo' cannot name an environment",
    ),
    "a long name": (
        {**SMALLEST, "name": "x" * 64},
        "",
        ("config",),
        "config.json: `name`: the name has 64 characters, more than 63",
    ),
    "a slash in the version": (SMALLEST, 'version = "1/2"', ("version",), "'1/2' cannot be a version"),
    "an at sign in the version": (
        {**SMALLEST, "version": "1@2"},
        "",
        ("config",),
        "config.json: `version`: '1@2' cannot be a version",
    ),
    "build metadata": (SMALLEST, 'version = "1.0.0+5"', ("version",), "'1.0.0+5' cannot be a version"),
    "a long version": (
        SMALLEST,
        f'version = "{"1" * 64}"',
        ("version",),
        "the version has 64 characters, more than 63",
    ),
    "a number for a version": (
        {**SMALLEST, "version": 1},
        "",
        ("config",),
        "config.json: `version`: this must be text",
    ),
    "an unknown status": (
        {**SMALLEST, "status": "Redy"},
        "",
        ("config",),
        "config.json: `status`: 'Redy' is no status: EnvHub would take it for Init",
    ),
    "an unknown status in the spec": (
        SMALLEST,
        'status = "done"',
        ("status",),
        "'done' is no status: EnvHub would take it for Init",
    ),
    "released by the way": (
        {**SMALLEST, "status": "Released"},
        "",
        ("config",),
        "config.json: `status`: Released is final: it has to be asked for",
    ),
    "released in the spec by the way": (
        SMALLEST,
        'status = "released"',
        ("status",),
        "Released is final: it has to be asked for",
    ),
    "release against status": (
        SMALLEST,
        'release = true\nstatus = "Ready"',
        ("status",),
        "`release` makes the status Released, and `status` says Ready",
    ),
    "artifacts that are no list": (
        {**SMALLEST, "artifacts": {}},
        "",
        ("config",),
        "config.json: `artifacts`: artifacts are a list of tables",
    ),
    "an artifact that is no table": (
        {**SMALLEST, "artifacts": ["x"]},
        "",
        ("config",),
        "config.json: `artifacts.0`: an artifact is a table",
    ),
    "an artifact with a number": (
        {**SMALLEST, "artifacts": [{"type": "image", "content": 5}]},
        "",
        ("config",),
        "config.json: `artifacts.0.content`: the content of an artifact is text",
    ),
    "an image with a capital": (
        {**SMALLEST, "artifacts": [{"type": "Image", "content": "x"}]},
        "",
        ("config",),
        "config.json: `artifacts.0.type`: 'Image' is not taken for the container image",
    ),
    "an image with blanks": (
        SMALLEST,
        'image = "python 3"',
        ("image",),
        "'python 3' is no image: it has blanks",
    ),
    "tags that are no list": (
        {**SMALLEST, "tags": "linux"},
        "",
        ("config",),
        "config.json: `tags`: tags are a list of text",
    ),
    "a tag that is a number": (
        {**SMALLEST, "tags": [1]},
        "",
        ("config",),
        "config.json: `tags.0`: a tag is text",
    ),
    "a config that is no table": (
        {**SMALLEST, "deployConfig": []},
        "",
        ("config",),
        "config.json: `deployConfig`: this must be a table",
    ),
    "the documented pod template": (
        SMALLEST,
        'deploy_config.pod_template = "Default"',
        ("deploy_config", "pod_template"),
        "'Default' is no pod template: it names a file, and case counts",
    ),
    "a pod template in the wrong case": (
        {**SMALLEST, "deployConfig": {"podTemplate": "DualContainer"}},
        "",
        ("config",),
        "config.json: `deployConfig.podTemplate`: 'DualContainer' is no pod template: "
        "it names a file, and case counts",
    ),
    "a prefix that is no text": (
        {**SMALLEST, "deployConfig": {"imagePrefix": 1}},
        "",
        ("config",),
        "config.json: `deployConfig.imagePrefix`: this must be text: the controller fails on anything else",
    ),
    "a policy that crashes EnvHub": (
        {**SMALLEST, "buildConfig": {"build_policy": True}},
        "",
        ("config",),
        "config.json: `buildConfig.build_policy`: this must be text: EnvHub crashes on anything else",
    ),
    "a number for an amount": (
        {**SMALLEST, "deployConfig": {"cpu": 2}},
        "",
        ("config",),
        "config.json: `deployConfig.cpu`: an amount is text",
    ),
    "no amount": (
        {**SMALLEST, "deployConfig": {"memoryLimit": "much"}},
        "",
        ("config",),
        "config.json: `deployConfig.memoryLimit`: 'much' is no amount",
    ),
    "a variable that is no text": (
        {**SMALLEST, "deployConfig": {"environmentVariables": {"A": 1}}},
        "",
        ("config",),
        "config.json: `deployConfig.environmentVariables.A`: the value of a variable is text",
    ),
    "a variable with a blank": (
        SMALLEST,
        "environment_variables = { 'A B' = '1' }",
        ("environment_variables", "A B"),
        "'A B' cannot name an environment variable",
    ),
    "a secret in a variable": (
        SMALLEST,
        "environment_variables = { A = { env = 'TOKEN' } }",
        ("environment_variables", "A"),
        "EnvHub and api-service log the values of variables, and show them to whoever asks",
    ),
    "a credential in a variable": (
        SMALLEST,
        "environment_variables = { A = { credential = 'hub', key = 'token' } }",
        ("environment_variables", "A"),
        "AEnvironment knows variables with a value only",
    ),
    "a secret in a config": (
        SMALLEST,
        "test_config = { login = { file = 'password' } }",
        ("test_config", "login"),
        "a secret does not belong here: EnvHub and api-service write every request into their logs, "
        "and show it to whoever asks",
    ),
    "replicas beside storage": (
        {
            **SMALLEST,
            "deployConfig": {"service": {"replicas": 2, "enableStorage": True, "storageSize": "1Gi"}},
        },
        "",
        ("config",),
        "config.json: `deployConfig.service.replicas`: storage goes with one replica, not with 2: "
        "api-service refuses it",
    ),
    "storage without a size": (
        {**SMALLEST, "deployConfig": {"service": {"enableStorage": True}}},
        "",
        ("config",),
        "config.json: `deployConfig.service.enableStorage`: storage needs a size",
    ),
    "storage in quotes": (
        {**SMALLEST, "deployConfig": {"service": {"enableStorage": "yes"}}},
        "",
        ("config",),
        "config.json: `deployConfig.service.enableStorage`: this is true or false",
    ),
    "a number too large": (
        {**SMALLEST, "testConfig": {"seed": 2**60}},
        "",
        ("config",),
        f"config.json: `testConfig.seed`: {2**60} is too large to be kept exactly",
    ),
    "a date": (
        SMALLEST,
        "test_config.on = 2026-01-01",
        ("test_config", "on"),
        "a date or time has no form in JSON",
    ),
    "no end": (SMALLEST, "test_config.x = inf", ("test_config", "x"), "`inf` has no form in JSON"),
    "a marker": (SMALLEST, "test_config.'$ref' = 1", ("test_config", "$ref"), "'$ref' cannot be a key"),
    "a GPU": (SMALLEST, "compute = { gpu = 1 }", ("compute",), "AEnvironment cannot carry `compute.gpu`"),
    "cores twice": (
        SMALLEST,
        "compute = { cpu = '1', cpu_cores = 1 }",
        ("compute", "cpu"),
        "`cpu` and `cpu_cores` are the same",
    ),
    "a long name, with a service": (
        {**SMALLEST, "name": "x" * 53},
        "service = {}",
        ("config",),
        "config.json: `name`: the name has 53 characters, more than the 52 that an environment with services "
        "may have",
    ),
    "a digit first, with a service": (
        {**SMALLEST, "name": "3d"},
        "service = {}",
        ("config",),
        "config.json: `name`: '3d' begins with a digit, and its services have to begin with a letter",
    ),
    "a service with a capital": (
        SMALLEST,
        'service = { name = "Web" }',
        ("service", "name"),
        "'Web' cannot name a service",
    ),
    "replicas of a service beside storage": (
        SMALLEST,
        'service = { replicas = 2, storage_size = "1Gi" }',
        ("service", "replicas"),
        "storage goes with one replica, not with 2: api-service refuses it",
    ),
    "storage deleted that is not there": (
        SMALLEST,
        "service = { delete_storage = true }",
        ("service", "delete_storage"),
        "`delete_storage` has no effect without storage",
    ),
    "a limit too low": (
        SMALLEST,
        'service = { memory_request = "4Gi", memory_limit = "2Gi" }',
        ("service", "memory_limit"),
        "the limit of memory is 2Gi, less than the 4Gi that are asked for",
    ),
    "a secret for a service": (
        SMALLEST,
        "service = { environment_variables = { A = { env = 'TOKEN' } } }",
        ("service", "environment_variables", "A"),
        "api-service logs the values of variables, and shows them to whoever asks",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_what_bites_later_is_said_early(folder: Folder, case: str) -> None:
    """Where it stands, with what to do; in config.json with the key there."""
    document, text, path, summary = MISTAKES[case]
    folder.config(document)
    assert (path, summary) in folder.complaints(f'config = "config.json"\n{text}')


FILES: dict[str, tuple[str, str]] = {
    "no JSON": ('{"name": "demo",}', "config.json is not JSON: "),
    "no object": ("[]", "config.json is no JSON object"),
    "a key twice": (
        '{"name": "a", "name": "b"}',
        "config.json cannot be used: the key 'name' stands twice in one object",
    ),
    "not a number": ('{"name": NaN}', "config.json cannot be used: NaN is no JSON number"),
    "nested without end": ("[" * 100_000, "config.json cannot be used: a number or its nesting is too large"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_broken_config_json_is_one_clear_complaint(folder: Folder, case: str) -> None:
    """At the key that names the file."""
    text, said = FILES[case]
    folder.config(text)
    ((path, summary),) = folder.complaints('config = "config.json"')
    assert path == ("config",)
    assert summary.startswith(said)


def test_a_config_json_that_is_not_there_is_one_clear_complaint(folder: Folder) -> None:
    """A folder, nothing, or bytes that are no text."""
    assert folder.complaints('config = "."') == [(("config",), "'.' is a folder")]
    assert folder.complaints('config = "config.jsn"') == [(("config",), "there is no file 'config.jsn'")]
    (folder.path / "config.json").write_bytes(b'{"name": "\xff"}')
    assert folder.complaints('config = "config.json"') == [(("config",), "config.json is not UTF-8")]


def test_every_mistake_is_said_at_once(folder: Folder) -> None:
    """Those of the spec beside those of the file."""
    folder.config({"name": "Demo", "version": "1", "deployConfig": {"cpu": 1, "podTemplate": "default"}})
    found = folder.complaints('config = "config.json"\nstatus = "x"\nreplicas = 2\nservice = { name = "W" }')
    assert [path for path, _ in found] == [("status",), ("replicas",), *[("config",)] * 3]


# --- what is doubtful ---

DOUBTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no image": (
        {},
        "",
        "config.json: there is no artifact of type image: instances and services would start with none. "
        "`aenv build` in the project's folder builds it and writes it into config.json.",
    ),
    "an image of another version": (
        {**artifacts("registry.example.com/demo:0.9.0"), "buildConfig": {"dockerfile": "./Dockerfile"}},
        "",
        "config.json: `artifacts`: the image is registry.example.com/demo:0.9.0, and buildConfig builds "
        "demo:1.0.0. If it was not built since: `aenv build` in the project's folder builds it and writes it "
        "into config.json.",
    ),
    "an image under another name": (
        {**artifacts(IMAGE), "buildConfig": {"image_name": "lab", "image_tag": "2"}},
        "",
        f"config.json: `artifacts`: the image is {IMAGE}, and buildConfig builds lab:2. If it was not built "
        "since: `aenv build` in the project's folder builds it and writes it into config.json.",
    ),
    "a key that is dropped": (
        {"requirements": [], **artifacts(IMAGE)},
        "",
        "config.json: `requirements`: EnvHub drops this key",
    ),
    "a key that is meant": (
        {"deployconfig": {}, **artifacts(IMAGE)},
        "",
        "config.json: `deployconfig`: EnvHub drops this key. Did you mean `deployConfig`?",
    ),
    "snake case": (
        {**artifacts(IMAGE), "deployConfig": {"pod_template": "singleContainer"}},
        "",
        "config.json: `deployConfig.pod_template`: nothing reads this key. Did you mean `podTemplate`?",
    ),
    "a slip in a service": (
        {**artifacts(IMAGE), "deployConfig": {"service": {"replica": 1}}},
        "",
        "config.json: `deployConfig.service.replica`: nothing reads this key. Did you mean `replicas`?",
    ),
    "flat storage": (
        {**artifacts(IMAGE), "deployConfig": {"storageSize": "1Gi"}},
        "",
        "config.json: `deployConfig.storageSize`: at the top of deployConfig this switches storage on for "
        "every service of the environment. Move it into `deployConfig.service`.",
    ),
    "the template's volume": (
        {
            **artifacts(IMAGE),
            "deployConfig": {"service": {"enableStorage": True, "storageSize": "1Gi", "storageName": "aenv"}},
        },
        "",
        "config.json: `deployConfig.service.storageName`: 'aenv' is what `aenv init` writes into every "
        "project: all of them would share one volume. Name it after the environment.",
    ),
    "a colon": (
        {**artifacts(IMAGE), "deployConfig": {"imagePrefix": "registry.example.com/sites:"}},
        "",
        "config.json: `deployConfig.imagePrefix`: a colon is put between prefix and data source anyway. "
        "Remove the one at its end.",
    ),
    "two containers without a prefix": (
        {**artifacts(IMAGE), "deployConfig": {"podTemplate": "dualContainer"}},
        "",
        "config.json: `deployConfig`: the second container of dualContainer runs `imagePrefix`:DATASOURCE, "
        "and there is no prefix. Give one, without a colon at its end, unless every data source is a whole "
        "image name.",
    ),
    "two containers for a service": (
        {**artifacts(IMAGE), "deployConfig": {"podTemplate": "dualContainer", "imagePrefix": "p"}},
        "service = {}",
        "config.json: `deployConfig.podTemplate`: services always run one container; this counts for "
        "instances alone",
    ),
    "a template of one's own": (
        artifacts(IMAGE),
        'deploy_config.pod_template = "gpu"',
        "`deployConfig.podTemplate`: 'gpu' has to be installed in the cluster: the chart has singleContainer "
        "and dualContainer",
    ),
    "no duration": (
        {**artifacts(IMAGE), "deployConfig": {"ttl": "1 day"}},
        "",
        "config.json: `deployConfig.ttl`: '1 day' is no duration: instances would live for ever. "
        "Such as 30m.",
    ),
    "an artifact with more": (
        {"artifacts": [{"id": "", "type": "image", "content": IMAGE, "size": 1}]},
        "",
        "config.json: `artifacts.0`: EnvHub drops size",
    ),
}


@pytest.mark.parametrize("case", DOUBTS)
def test_what_is_probably_not_meant_is_a_warning(folder: Folder, case: str) -> None:
    """One line, with what to run or write."""
    document, text, said = DOUBTS[case]
    folder.config({**SMALLEST, **document})
    assert folder.warnings(f'config = "config.json"\n{text}') == (said,)


def test_a_sound_project_has_no_warning(folder: Folder) -> None:
    """What the vendor's template says, with an image in it, is as it should be."""
    folder.config(TEMPLATE)
    assert folder.warnings('config = "config.json"') == ()
    assert folder.warnings(f'version = "1"\nimage = "{IMAGE}"') == ()


def test_a_policy_limits_services_by_what_they_ask_for(folder: Folder) -> None:
    """Each amount where it is said; what config.json says of it, at the service."""
    folder.config({**SMALLEST, "deployConfig": {"memory": "2Gi"}})
    text = 'config = "config.json"\nservice = { cpu = "3", memory_limit = "4Gi" }'
    _, found = folder.drafts(text)
    assert found.facts == (
        Fact("cpu_cores", 3.0, ("service", "cpu")),
        Fact("cpu_cores", 3.0, ("service", "cpu")),
        Fact("memory_gb", 2.0, ("service",)),
        Fact("memory_gb", 4.0, ("service", "memory_limit")),
    )
    assert [one.value for one in SERVICE.facts(found.attributes)] == [3.0, 3.0, 2.0, 4.0]
    (found,) = folder.drafts('environment = "lab"\ncpu_limit = "500m"', "service")
    assert found.facts == (Fact("cpu_cores", 0.5, ("cpu_limit",)),)


def test_an_undo_is_held_against_the_policy_too(folder: Folder) -> None:
    """By the attributes alone, which is all that there is of it."""
    values = {"image": IMAGE, "deploy_config": {"cpu": "2", "memoryLimit": "1Gi"}}
    assert list(ENVIRONMENT.facts(values)) == [
        Fact("image", IMAGE, ("image",)),
        Fact("cpu_cores", 2.0, ("deploy_config", "cpu")),
        Fact("memory_gb", 1.0, ("deploy_config", "memoryLimit")),
    ]
