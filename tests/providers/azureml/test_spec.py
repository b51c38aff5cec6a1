"""What a spec may say for Azure ML, and the attributes that it means."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from azureml_specs import attributes, reading, says
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.attributes import ID, LOOKUP, REF
from reconciler.core.ports import Draft, Fact, Place
from reconciler.providers.azureml.plugin import PLUGIN
from reconciler.providers.azureml.spec import MODELS, read_spec
from reconciler.providers.azureml.spec.environment import CANNOT_CARRY

IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1"
SMALLEST: dict[str, Any] = {
    "name": "lab",
    "version": {LOOKUP: {"version": ""}},
    "image": IMAGE,
    "conda": None,
    "build": None,
    "inference_config": None,
    "os_type": "Linux",
    "auto_rebuild": "Disabled",
    "description": "",
    "tags": {},
}
ROUTE = {"path": "/live", "port": 8080}


def conda(*dependencies: Any, channels: tuple[str, ...] = ("conda-forge",)) -> dict[str, Any]:
    return {"conda": {"channels": list(channels), "dependencies": list(dependencies)}}


# What the guides let a person set, how a spec says it, and which attributes differ from the smallest spec's.
FIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    "nothing but an image": ("", {}),
    "name in the workspace": ('name = "Lab_1"', {"name": "Lab_1"}),
    "version": ('version = "7"', {"version": "7"}),
    "version as a number": ("version = 7", {"version": "7"}),
    "version as a date": ('version = "2026.11-1_b"', {"version": "2026.11-1_b"}),
    "description": ('description = "Ä lab"', {"description": "Ä lab"}),
    "empty description": ('description = ""', {}),
    "tags": ('tags = { a = "b", n = 3, on = true }', {"tags": {"a": "b", "n": "3", "on": "true"}}),
    "properties": ('properties = { a = "b" }', {"properties": {"a": "b"}}),
    "no properties, said": ("properties = {}", {"properties": {}}),
    "stage": ('stage = "Production"', {"stage": "Production"}),
    "how many versions stay": ("keep_versions = 3", {"keep_versions": 3}),
    "image by its digest": (f'image = "python@sha256:{"0a" * 32}"', {"image": f"python@sha256:{'0a' * 32}"}),
    "registry beside the image": (
        'image = "team/app:1"\nbase_image_registry = "registry.example.com:5000"',
        {"image": "registry.example.com:5000/team/app:1"},
    ),
    "registry as a table": (
        'image = "team/app:1"\nbase_image_registry = { address = "registry.example.com/" }',
        {"image": "registry.example.com/team/app:1"},
    ),
    "registry in the image, too": (
        'image = "registry.example.com/team/app:1"\nbase_image_registry = "registry.example.com"',
        {"image": "registry.example.com/team/app:1"},
    ),
    "dependencies in the image": ("user_managed_dependencies = true", {}),
    "dependencies not in the image": ("user_managed_dependencies = false", {}),
    "conda inline": (
        'conda = { name = "x", channels = ["a"], dependencies = ["python=3.12", { pip = ["b==1"] }] }',
        {"conda": {"name": "x", "channels": ["a"], "dependencies": ["python=3.12", {"pip": ["b==1"]}]}},
    ),
    "conda variables": (
        'conda = { dependencies = ["python=3.12"], variables = { A = "b", N = 3 } }',
        {"conda": {"dependencies": ["python=3.12"], "variables": {"A": "b", "N": 3}}},
    ),
    "packages one by one": (
        'python = "3.12"\npackages = ["numpy=2.1.3", "conda-forge::pandas>=2,<3"]\npip = ["torch==2.5.1"]',
        conda("python=3.12", "numpy=2.1.3", "conda-forge::pandas>=2,<3", "pip", {"pip": ["torch==2.5.1"]}),
    ),
    "channels of their own": (
        'python = "3.12"\nchannels = ["nvidia", "https://conda.example.com/main"]',
        conda("python=3.12", channels=("nvidia", "https://conda.example.com/main")),
    ),
    "pip that is pinned": (
        'python = "3.12"\npackages = ["pip=24.3"]\npip = ["a==1"]',
        conda("python=3.12", "pip=24.3", {"pip": ["a==1"]}),
    ),
    "Python among the packages": ('packages = ["python=3.12"]', conda("python=3.12")),
    "options of pip": (
        'python = "3.12"\npip = ["--extra-index-url https://pypi.example.com/simple", "a==1"]',
        conda("python=3.12", "pip", {"pip": ["--extra-index-url https://pypi.example.com/simple", "a==1"]}),
    ),
    "build context at an address": (
        'build = "https://acct.blob.core.windows.net/c/ctx"',
        {"build": {"context_uri": "https://acct.blob.core.windows.net/c/ctx/", "dockerfile": "Dockerfile"}},
    ),
    "build context with another Dockerfile": (
        'build = { path = "https://acct.blob.core.windows.net/c/ctx/", dockerfile_path = "gpu/Dockerfile" }',
        {
            "build": {
                "context_uri": "https://acct.blob.core.windows.net/c/ctx/",
                "dockerfile": "gpu/Dockerfile",
            }
        },
    ),
    "build context in a repository": (
        'build = "https://git.example.com/team/images.git#main:train"',
        {
            "build": {
                "context_uri": "https://git.example.com/team/images.git#main:train",
                "dockerfile": "Dockerfile",
            }
        },
    ),
    "inference server": (
        """
        [inference_config]
        liveness_route = { path = "/live", port = 8080 }
        readiness_route = { path = "/live", port = 8080 }
        scoring_route = { path = "/live", port = 8080 }
        startup_route = { path = "/live", port = 8080 }
        """,
        {
            "inference_config": {
                "liveness_route": ROUTE,
                "readiness_route": ROUTE,
                "scoring_route": ROUTE,
                "startup_route": ROUTE,
            }
        },
    ),
    "some routes": (
        'inference_config = { scoring_route = { path = "/live", port = 8080 } }',
        {"inference_config": {"scoring_route": ROUTE}},
    ),
    "Windows": ('os_type = "windows"', {"os_type": "Windows"}),
    "rebuild": ('auto_rebuild = "on-base-image-update"', {"auto_rebuild": "OnBaseImageUpdate"}),
    **{
        f"{name} that says nothing": (
            f"{name} = {str(value).lower() if value in (True, False) else repr(value)}",
            {},
        )
        for name, (_, harmless) in CANNOT_CARRY.items()
        for value in harmless
    },
}


def with_image(text: str) -> str:
    """*text*, with the usual image when it says nothing else to build on."""
    keys = tomllib.loads(text).keys() & {"image", "base_image", "build", "dockerfile"}
    return text if keys else f'image = "{IMAGE}"\n{text}'


@pytest.mark.parametrize(("text", "said"), FIELDS.values(), ids=FIELDS)
def test_a_field_arrives(text: str, said: dict[str, Any], tmp_path: Path) -> None:
    """In the attributes, which are all there whatever the spec leaves out."""
    smallest = SMALLEST if "build" not in tomllib.loads(text) else {**SMALLEST, "image": None}
    assert attributes(tmp_path, with_image(text)) == {**smallest, **said}


def test_every_field_is_in_the_table_or_has_tests_of_its_own() -> None:
    """No field is there for nothing."""
    elsewhere = {"conda_file", "pip_requirements", "dockerfile", "wheels", "environment_variables"}
    elsewhere |= {"base_image", "from_yaml", "from_v1", "image"}
    said = {key for text, _ in FIELDS.values() for key in tomllib.loads(text)}
    assert set(MODELS["environment"].model_fields) - elsewhere - said == set()


def test_the_other_name_of_the_image(tmp_path: Path) -> None:
    """As the guides of v1 have it; a policy finds it there."""
    found = reading(tmp_path, f'base_image = "{IMAGE}"')
    assert found.drafts == (Draft("environment", SMALLEST, (Fact("image", IMAGE, ("base_image",)),)),)


def test_a_policy_sees_the_image_with_its_registry(tmp_path: Path) -> None:
    """What is pulled counts."""
    found = reading(tmp_path, 'image = "team/app:1"\nbase_image_registry = "registry.example.com"')
    assert found.drafts[0].facts == (Fact("image", "registry.example.com/team/app:1", ("image",)),)


# --- what is refused ---

REFUSED: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "nothing to build on": ("description = 'x'", [("", "`image` is missing")]),
    "image and build": (
        'image = "a:1"\nbuild = "https://a.example.com/c/"',
        [("build", "`image` and `build` exclude each other")],
    ),
    "both names of the image": (
        'image = "a:1"\nbase_image = "a:1"',
        [("base_image", "`image` and `base_image` exclude each other")],
    ),
    "build with conda": (
        'build = "https://a.example.com/c/"\npython = "3.12"',
        [("python", "`python` does not go with `build`: into what it builds, Azure ML installs nothing")],
    ),
    "conda said twice": (
        'image = "a:1"\nconda_file = "x.yml"\npip = ["a==1"]',
        [("pip", "`conda_file` and `pip` exclude each other"), ("conda_file", "there is no 'x.yml'")],
    ),
    "packages for an image that has them": (
        'image = "a:1"\nuser_managed_dependencies = true\npython = "3.12"',
        [("python", "`python` has no effect when the dependencies are user-managed: the image has them")],
    ),
    "no Python": ('image = "a:1"\npip = ["a==1"]', [("pip", "which Python? `python` is missing")]),
    "Python twice": (
        'image = "a:1"\npython = "3.12"\npackages = ["python=3.11"]',
        [("packages", "`python` is in `packages`, too")],
    ),
    "no image": ("image = 'a b'", [("image", "'a b' is no image: it has blanks or control characters")]),
    "two registries": (
        'image = "docker.io/a:1"\nbase_image_registry = "registry.example.com"',
        [("base_image_registry", "docker.io/a:1 names a registry already, docker.io")],
    ),
    "registry that is none": (
        'image = "a:1"\nbase_image_registry = "https://registry.example.com"',
        [("base_image_registry", "'https://registry.example.com' is no address of a registry")],
    ),
    "registry without an image": (
        'build = "https://a.example.com/c/"\nbase_image_registry = "registry.example.com"',
        [("base_image_registry", "`base_image_registry` goes with `image`")],
    ),
    "password of a registry": (
        'image = "a:1"\n[base_image_registry]\naddress = "a.example.com"\nusername = "u"\npassword = "p"',
        [("base_image_registry.password", "the credentials of a registry do not belong into an environment")],
    ),
    "identity of a registry": (
        'image = "a:1"\n[base_image_registry]\naddress = "a.example.com"\nregistry_identity = { a = 1 }',
        [("base_image_registry.registry_identity", "a v2 environment has no identity for its registry")],
    ),
    "signature of a build context": (
        'build = "https://a.example.com/c/?sv=1&sig=abc"',
        [
            (
                "build",
                "a signature or credentials do not belong into the address of a build context",
            )
        ],
    ),
    "build context over plain HTTP": (
        'build = "http://a.example.com/c/"',
        [("build", "a build context is a directory of the stack, or an https address")],
    ),
    "variables": (
        'image = "a:1"\nenvironment_variables = { A = "b" }',
        [("environment_variables", "an environment of Azure ML has no environment variables")],
    ),
    "version that is a label": (
        'image = "a:1"\nversion = "latest"',
        [("version", "'latest' is what Azure ML calls the newest version, whatever that is")],
    ),
    "version that is no part of a path": (
        'image = "a:1"\nversion = "1/2"',
        [("version", "'1/2' cannot be a version")],
    ),
    "version that is a switch": (
        'image = "a:1"\nversion = true',
        [("version", "a version is text in quotes, or a whole number")],
    ),
    "tag with a point": (
        'image = "a:1"\ntags = { a = 1.10 }',
        [("tags.a", "a number with a point has several spellings")],
    ),
    "tag like a marker": (
        f'image = "a:1"\ntags = {{ "{REF}" = "b" }}',
        [(f"tags.{REF}", f"{REF!r} cannot be a key")],
    ),
    "conda key like a marker": (
        f'image = "a:1"\nconda = {{ dependencies = ["a=1"], variables = {{ "{ID}" = "b" }} }}',
        [(f"conda.variables.{ID}", f"{ID!r} cannot be a key")],
    ),
    "no route": ('image = "a:1"\ninference_config = {}', [("inference_config", "there is no route in it")]),
    "half a route": (
        'image = "a:1"\ninference_config = { scoring_route = { path = "/" } }',
        [("inference_config.scoring_route.port", "`port` is missing")],
    ),
    "another system": ('image = "a:1"\nos_type = "Linus"', [("os_type", "'Linus' is not allowed here")]),
    "no versions": (
        'image = "a:1"\nkeep_versions = 0',
        [("keep_versions", "`keep_versions` must be at least 1, not 0")],
    ),
    "unknown key": ('image = "a:1"\nconda_fil = "x"', [("conda_fil", "unknown key `conda_fil`")]),
    "both files": (
        'image = "a:1"\nfrom_yaml = "a.yml"\nfrom_v1 = "a.json"',
        [("from_v1", "`from_yaml` and `from_v1` exclude each other"), ("from_yaml", "there is no 'a.yml'")],
    ),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_where_it_stands(
    text: str, said: list[tuple[str, str]], tmp_path: Path
) -> None:
    """With what to do instead."""
    assert says(tmp_path, text) == said


NAMES = {
    "AzureML-mine": "'AzureML-mine' is a name that Azure ML keeps for itself",
    "MicrosoftLab": "'MicrosoftLab' is a name that Azure ML keeps for itself",
    "CliV2AnonymousEnvironment": "'CliV2AnonymousEnvironment' is a name that Azure ML keeps for itself",
    "my lab": "'my lab' cannot name an environment of Azure ML",
    "a.b": "'a.b' cannot name an environment of Azure ML",
    "-lab": "'-lab' cannot name an environment of Azure ML",
    "x" * 256: f"{'x' * 256!r} cannot name an environment of Azure ML",
}


@pytest.mark.parametrize(("name", "summary"), NAMES.items(), ids=lambda text: text[:20])
def test_a_name_that_the_service_refuses_is_refused_here(name: str, summary: str, tmp_path: Path) -> None:
    """Whether the spec says it, or it is that of the file."""
    assert says(tmp_path, 'image = "a:1"', name=name) == [("name", summary)]
    assert says(tmp_path, f'image = "a:1"\nname = "{name}"') == [("name", summary)]
    assert attributes(tmp_path, f'image = "{IMAGE}"', name="azureml_x-1")["name"] == "azureml_x-1"


VALUES = {
    "interpreter_path": '"/opt/conda/bin/python"',
    "base_conda_environment": '"base"',
    "spark": '{ packages = ["a:b:1"] }',
    "databricks": "{ jar_libraries = ['x'] }",
    "r": '{ r_version = "4" }',
    "inferencing_stack_version": '"latest"',
    "docker_arguments": '["--gpus", "all"]',
    "shm_size": '"8g"',
    "shared_volumes": "false",
    "docker_enabled": "false",
    "gpu_support": "true",
    "architecture": '"arm64"',
    "datastore": '"mystore"',
}


@pytest.mark.parametrize("name", CANNOT_CARRY)
def test_what_v2_cannot_carry_is_refused_with_the_nearest_thing(name: str, tmp_path: Path) -> None:
    """Unless the spec says that it may be left out: nothing is lost silently."""
    text = f'image = "{IMAGE}"\n{name} = {VALUES[name]}'
    (problem,) = reading(tmp_path, text).problems
    assert (problem.path, problem.summary) == ((name,), f"an environment of Azure ML cannot carry `{name}`")
    assert problem.hint.startswith(CANNOT_CARRY[name][0])
    assert problem.hint.endswith(f'To leave it out: ignore = ["{name}"] in its [on.…] table.')
    assert attributes(tmp_path, text, ignored=frozenset({name})) == SMALLEST


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """Fields, what does not go together, and what is in files."""
    text = """
    image = "a b"
    version = "latest"
    spark = { packages = ["a:b:1"] }
    conda_file = "missing.yml"
    pip = ["a==1"]
    keep_versions = "many"
    """
    assert {place for place, _ in says(tmp_path, text)} == {
        "image",
        "version",
        "spark",
        "conda_file",
        "pip",
        "keep_versions",
    }


def test_a_spec_with_problems_still_says_which_object_it_is(tmp_path: Path) -> None:
    """So that doubles are found beside it; unless the name is what is wrong."""
    (draft,) = reading(tmp_path, 'image = "a:1"\nversion = "latest"\ndescription = "x"').drafts
    assert (draft.is_sure, draft.attributes) == (True, {"name": "lab", "description": "x", "tags": {}})
    (draft,) = reading(tmp_path, 'image = "a:1"\nname = 3').drafts
    assert not draft.is_sure


# --- what may surprise later ---

MOVING = (
    "Azure ML reuses the image that it built for an unchanged definition, so what is new there does not "
    "arrive; give a tag that stays, or a digest"
)
WARNINGS: dict[str, tuple[str, list[str]]] = {
    "nothing": (f'image = "{IMAGE}"\npython = "3.12"\npackages = ["numpy=2.1"]\npip = ["a==1"]', []),
    "no tag": (
        'image = "python"',
        [f"lab builds on python, and it has no tag, which means latest: {MOVING}"],
    ),
    "tag that moves": (
        'image = "python:latest"',
        [f"lab builds on python:latest, and its tag 'latest' moves: {MOVING}"],
    ),
    "packages without versions": (
        'image = "a:1"\npython = "3.12"\n'
        'packages = ["numpy", "pandas>=2", "scipy=1.*"]\npip = ["torch", "x~=1.0", "y==1"]',
        [
            "lab does not pin numpy, pandas, torch and 1 more: Azure ML reuses the image that it built for "
            "an unchanged definition, so the versions of the first build stay until the definition changes"
        ],
    ),
    "path of one machine": (
        'image = "a:1"\nconda = { dependencies = ["python=3.12"], prefix = "/opt/x" }',
        ["the conda definition of lab has a `prefix`, a path of one machine: remove it"],
    ),
    "blob address": (
        'image = "a:1"\npython = "3.12"\npip = ["https://acct.blob.core.windows.net/c/x-1-py3-none-any.whl"]',
        [
            "lab installs from blob storage by its address: Azure ML signs no such address any more, so "
            "download the wheel and name it in `wheels`, unless everybody may read the blob"
        ],
    ),
    "many tags": (
        'image = "a:1"\ntags = { ' + ", ".join(f"t{n} = 1" for n in range(16)) + " }",
        ["lab has 16 tags; Azure ML may refuse more than 15"],
    ),
    "long tags": (
        f'image = "a:1"\ntags = {{ a = "{"x" * 257}" }}',
        ["tags of lab are longer than Azure ML may take (key 512, value 256 characters): a"],
    ),
    "long conda definition": (
        f'image = "a:1"\nconda = {{ dependencies = ["python=3.12"], variables = {{ A = "{"x" * 65600}" }} }}',
        ["the conda definition of lab has 65653 bytes; Azure ML may refuse more than 65536"],
    ),
}


@pytest.mark.parametrize(("text", "said"), WARNINGS.values(), ids=WARNINGS)
def test_what_may_surprise_later_is_said_with_the_reason(text: str, said: list[str], tmp_path: Path) -> None:
    """A warning, since it may be meant."""
    found = reading(tmp_path, text)
    assert (found.problems, list(found.warnings)) == ((), said)


# --- the kind ---


def test_the_kind_says_what_makes_a_version() -> None:
    """The definition does, the rest is changed in place; what the platform does not keep is local."""
    kind = PLUGIN.kinds["environment"]
    assert kind.versioned == {
        "image",
        "conda",
        "build",
        "inference_config",
        "os_type",
        "auto_rebuild",
        "version",
    }
    assert (kind.identity, kind.removal.value, kind.local) == (
        ("name",),
        "archive",
        {"context", "keep_versions"},
    )
    assert kind.defaults.keys() <= {*SMALLEST, "properties"}
    assert {key: SMALLEST[key] for key in kind.defaults.keys() & SMALLEST.keys() - {"image"}} == {
        key: value for key, value in kind.defaults.items() if key in SMALLEST and key != "image"
    }


# --- whatever TOML can hold ---

scalars = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["latest", "python:3.12", "-r x", "https://u:p@e.x/", "3.12", "Linux", ID, "=1", "$x"]),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.booleans(),
    st.just(date(2026, 1, 1)),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["path", "text", "address", "dependencies", "pip", "channels", "variables", "", REF]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_whatever_a_file_holds_is_refused_or_fits_into_json(
    tmp_path_factory: Any, data: st.DataObject
) -> None:
    """No value crashes the reading, and none changes on its way through the cache, the plan or the wire."""
    fields = sorted(PLUGIN.spec_fields("environment"))
    table = {"image": "python:3.12"} | data.draw(st.dictionaries(st.sampled_from(fields), values, max_size=4))
    nowhere = tmp_path_factory.getbasetemp()
    found = read_spec("environment", table, Place("azureml", "lab", nowhere, nowhere))
    assert found.drafts or found.problems
    for draft in found.drafts:
        assert msgspec.json.decode(msgspec.json.encode(draft.attributes)) == draft.attributes
        msgspec.json.encode(draft.facts)
