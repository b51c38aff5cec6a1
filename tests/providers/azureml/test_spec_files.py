"""The files that a spec names: conda files, requirements, Dockerfiles, build contexts, wheels."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from azureml_specs import HASH, attributes, reading, says, wheel, write

from reconciler.core.attributes import LOOKUP
from reconciler.core.ports import Fact
from reconciler.providers.azureml.context import open_context

IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1"
SHOWN = "would be shown to everybody who may see the environment"


def files_of(stack: Path, text: str, **options: Any) -> list[str]:
    """The files besides the spec that it was made from, by their names in the stack."""
    return sorted(str(file.relative_to(stack)) for file in reading(stack, text, **options).files)


def uri(made: dict[str, Any]) -> str:
    """The content in the address of a local build context."""
    found = made["build"]["context_uri"][LOOKUP]["context"]
    assert isinstance(found, str)
    return found


# --- conda files ---

CONDA = """\
# what the team trains with
name: py_env
channels: [conda-forge, defaults]
dependencies:
- python=3.10
- "numpy=2.1"
- pip
- pip:
  - azureml-defaults==1.60.0
variables: {A: b, N: 3, ON: true}
"""


def test_a_conda_file_is_its_value(tmp_path: Path) -> None:
    """Keys and lists as given, whatever way they are written: what the service gives back is JSON."""
    write(tmp_path, {"conda.yml": CONDA})
    text = f'image = "{IMAGE}"\nconda_file = "conda.yml"'
    assert attributes(tmp_path, text)["conda"] == {
        "name": "py_env",
        "channels": ["conda-forge", "defaults"],
        "dependencies": ["python=3.10", "numpy=2.1", "pip", {"pip": ["azureml-defaults==1.60.0"]}],
        "variables": {"A": "b", "N": 3, "ON": True},
    }
    assert files_of(tmp_path, text) == ["conda.yml"]


def test_a_conda_file_in_json_is_the_same(tmp_path: Path) -> None:
    """JSON is YAML: what `condaFile` of the service says can be a file."""
    write(tmp_path, {"conda.yml": CONDA})
    wanted = attributes(tmp_path, f'image = "{IMAGE}"\nconda_file = "conda.yml"')
    write(tmp_path, {"conda.json": json.dumps(wanted["conda"], indent=2)})
    assert attributes(tmp_path, f'image = "{IMAGE}"\nconda_file = "conda.json"') == wanted


def test_paths_are_from_the_folder_of_the_spec(tmp_path: Path) -> None:
    """As a person reads them; out of the folder is allowed, out of the stack is not."""
    write(tmp_path, {"teams/vision/conda.yml": CONDA, "shared/conda.yml": CONDA})
    for path in ("conda.yml", "../../shared/conda.yml"):
        text = f'image = "{IMAGE}"\nconda_file = "{path}"'
        assert attributes(tmp_path, text, folder="teams/vision")["conda"]["name"] == "py_env"
    assert says(tmp_path, 'image = "a:1"\nconda_file = "../x.yml"') == [
        ("conda_file", "'../x.yml' leads out of the directory of the stack")
    ]


BROKEN: dict[str, tuple[str | bytes, str]] = {
    "syntax": (
        "name: a\n dependencies: b\n",
        "line 2, column 14: YAML syntax: mapping values are not allowed in this context",
    ),
    "no closing bracket": (
        "channels: [a\n",
        "line 2, column 1: YAML syntax: did not find expected ',' or ']'",
    ),
    "two documents": ("a: 1\n---\nb: 2\n", "line 2, column 1: YAML syntax: but found another document"),
    "not UTF-8": (b"name: a\ndependencies: [\xff]\n", "line 2, column 1: this byte is not UTF-8"),
    "control characters": (
        "name: \x07\n",
        "line 1, column 1: YAML syntax: it has characters that YAML does not allow",
    ),
    "key twice": (
        "dependencies: [a=1]\ndependencies: [b=1]\n",
        "line 2, column 1: the key `dependencies` is there twice",
    ),
    "a number of many digits": (
        f"dependencies: [{'9' * 5000}]\n",
        "line 1, column 16: this number is too long",
    ),
    "a large number": (
        "dependencies: [99999999999999999999]\n",
        "line 1, column 16: this number is too large",
    ),
    "a program": (
        "dependencies: !!python/object/apply:os.system [x]\n",
        "line 1, column 15: a value with a tag of its own",
    ),
    "merge": ("a: &a {b: 1}\n<<: *a\n", "line 2, column 1: a key must be text"),
    "itself": ("dependencies: &a [*a]\n", "line 1, column 15: it says too much, or refers to itself"),
    "empty": ("", "line 1, column 1: a conda definition is a table"),
    "a list": ("- python=3.10\n", "line 1, column 1: a conda definition is a table"),
    "unknown key": (
        "dependancies:\n- a=1\n",
        "line 1, column 1: unknown key `dependancies` of a conda definition",
    ),
    "nothing in it": (
        "name: a\ndependencies: []\n",
        "line 2, column 1: `dependencies` must be a list of packages",
    ),
    "a number": ("dependencies:\n- a=1\n- 3.10\n", "line 3, column 3: a package is text"),
    "no package": ("dependencies:\n- '=1'\n", "line 2, column 3: '=1' is no conda package"),
    "lines that run together": (
        "dependencies:\n- python=3.12\n - numpy\n",
        "line 2, column 3: two packages were read as one",
    ),
    "a table": ("dependencies:\n- numpy: 1\n", "line 2, column 3: only `pip` has a list of its own"),
    "pip without a list": (
        "dependencies:\n- pip: numpy\n",
        "line 2, column 3: `pip` must be a list of requirements",
    ),
    "two lists of pip": (
        "dependencies:\n- pip: [a]\n- pip: [b]\n",
        "line 1, column 1: there are two lists of pip packages",
    ),
    "a file that only we have": (
        "dependencies:\n- pip:\n  - -r requirements.txt\n",
        "line 3, column 5: the service has no such file",
    ),
    "constraints": (
        "dependencies:\n- pip: [-c c.txt]\n",
        "line 2, column 9: a constraints file has no place in a definition",
    ),
    "a wheel beside it": (
        "dependencies:\n- pip:\n  - ./x-1-py3-none-any.whl\n",
        "line 3, column 5: the service has no such file",
    ),
    "channels that are none": (
        "channels: conda-forge\ndependencies: [a=1]\n",
        "line 1, column 1: `channels` must be a list of texts",
    ),
    "a name that is a switch": ("name: true\ndependencies: [a=1]\n", "line 1, column 1: `name` must be text"),
    "a variable with a point": (
        "dependencies: [a=1]\nvariables: {V: 1.10}\n",
        "line 2, column 13: the value of a variable is text",
    ),
    "password of an index": (
        "dependencies:\n- pip:\n  - --extra-index-url https://me:hunter2@pypi.example.com/simple\n",
        f"line 3, column 5: credentials in an address {SHOWN}",
    ),
    "token of an index": (
        "dependencies:\n- pip:\n  - -i https://ghs4x7token@pypi.example.com/simple\n",
        f"line 3, column 5: credentials in an address {SHOWN}",
    ),
    "token of a channel": (
        "channels: ['https://conda.example.com/t/ab-0123-4567/main']\ndependencies: [a=1]\n",
        f"line 1, column 12: a token in the address of a channel {SHOWN}",
    ),
    "signature of a blob": (
        "dependencies:\n- pip: ['https://a.blob.core.windows.net/c/x.whl?sv=1&sig=abc%3D']\n",
        f"line 2, column 9: a signature in an address {SHOWN}",
    ),
    "token in a variable": (
        "dependencies: [a=1]\nvariables: {HF_TOKEN: abcdefgh}\n",
        f"line 2, column 13: a secret: the name says token and the value is not a reference {SHOWN}",
    ),
}


@pytest.mark.parametrize(("content", "summary"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_in_a_conda_file_is_found_there(
    content: str | bytes, summary: str, tmp_path: Path
) -> None:
    """By line and column of that file, and without what may be a secret."""
    write(tmp_path, {"conda.yml": content})
    assert says(tmp_path, 'image = "a:1"\nconda_file = "conda.yml"') == [
        ("conda_file", f"conda.yml {summary}")
    ]
    (problem,) = reading(tmp_path, 'image = "a:1"\nconda_file = "conda.yml"').problems
    assert not re.search("hunter2|ghs4x7|ab-0123|abc%3D|abcdefgh", problem.summary + problem.hint)


def test_a_placeholder_is_no_secret(tmp_path: Path) -> None:
    """pip and conda put the value in where they run."""
    line = "--index-url https://${PIP_USER}:${PIP_TOKEN}@pypi.example.com/simple"
    text = f'image = "{IMAGE}"\npython = "3.12"\npip = ["{line}", "a==1"]'
    assert attributes(tmp_path, text)["conda"]["dependencies"][-1] == {"pip": [line, "a==1"]}


def test_a_few_aliases_do_not_become_gigabytes(tmp_path: Path) -> None:
    """A file may say too much in few bytes."""
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    write(tmp_path, {"conda.yml": "\n".join(lines)})
    ((_, summary),) = says(tmp_path, 'image = "a:1"\nconda_file = "conda.yml"')
    assert summary.endswith("it says too much, or refers to itself")


# --- requirements ---

REQUIREMENTS = {
    "requirements.txt": """\
\ufeff# what we serve with
--index-url https://pypi.example.com/simple
numpy==2.1.3   # the newest that works

-r more/requirements.txt
torch==2.5.1 \\
    --hash=sha256:0123 \\
    --hash=sha256:4567
pandas[excel] >= 2, < 3 ; python_version < "3.13"
name @ https://example.com/name-1.0.tar.gz#egg=name
""",
    "more/requirements.txt": "scipy==1.14.1\n--requirement=../base.txt\nnumpy==2.1.3\n",
    "base.txt": "six==1.16.0\n",
}


def test_a_requirements_file_is_read_as_pip_reads_it(tmp_path: Path) -> None:
    """Comments and blanks go, backslashes join, `-r` is followed from the file that says it, doubles go."""
    write(tmp_path, REQUIREMENTS)
    text = f'image = "{IMAGE}"\npython = "3.12"\npip_requirements = "requirements.txt"\npip = ["extra==1"]'
    assert attributes(tmp_path, text)["conda"] == {
        "channels": ["conda-forge"],
        "dependencies": [
            "python=3.12",
            "pip",
            {
                "pip": [
                    "--index-url https://pypi.example.com/simple",
                    "numpy==2.1.3",
                    "scipy==1.14.1",
                    "six==1.16.0",
                    "torch==2.5.1     --hash=sha256:0123     --hash=sha256:4567",
                    'pandas[excel] >= 2, < 3 ; python_version < "3.13"',
                    "name @ https://example.com/name-1.0.tar.gz#egg=name",
                    "extra==1",
                ]
            },
        ],
    }
    assert files_of(tmp_path, text) == sorted(REQUIREMENTS)
    assert list(reading(tmp_path, text).warnings) == [
        "lab does not pin pandas: Azure ML reuses the image that it built for an unchanged definition, so "
        "the versions of the first build stay until the definition changes"
    ]


LINES = {
    "-c constraints.txt": "a constraints file has no place in a definition",
    "--constraint=constraints.txt": "a constraints file has no place in a definition",
    "-e .": "what is installed editable is on one machine only",
    "--editable=git+https://example.com/x.git": "what is installed editable is on one machine only",
    "./dist/x-1-py3-none-any.whl": "the service has no such file",
    "dist/x-1-py3-none-any.whl": "the service has no such file",
    "x @ file:///home/me/x": "the service has no such file",
    "-f ./wheels": "the service has no such directory",
    "-r missing.txt": "there is no 'missing.txt'",
    "-r ../outside.txt": "'../outside.txt' leads out of the directory of the stack",
    "-r https://example.com/r.txt": "what is included must be a file of the stack",
    "-r requirements.txt": "requirements.txt includes itself",
    "-r a.txt": "requirements.txt includes itself",
    "--frobnicate": "--frobnicate is no option of a requirements file",
    "not a requirement": "'not a requirement' is no requirement",
    "==1.0": "'==1.0' is no requirement",
    "--extra-index-url https://me:hunter2@pypi.example.com/": f"credentials in an address {SHOWN}",
    "x @ git+https://hunter2@git.example.com/x.git@main": f"credentials in an address {SHOWN}",
}


@pytest.mark.parametrize(("line", "summary"), LINES.items(), ids=LINES)
def test_what_pip_could_not_do_in_the_service_is_refused(line: str, summary: str, tmp_path: Path) -> None:
    """By the file and line that says it; nothing of a secret is shown."""
    write(tmp_path, {"requirements.txt": f"numpy==1\n# why\n{line}\n", "a.txt": "-r requirements.txt\n"})
    text = 'image = "a:1"\npython = "3.12"\npip_requirements = "requirements.txt"'
    place = "a.txt line 1" if line == "-r a.txt" else "requirements.txt line 3"
    assert says(tmp_path, text) == [("pip_requirements", f"{place}: {summary}")]
    assert "hunter2" not in str(reading(tmp_path, text).problems)


def test_a_single_requirement_is_looked_at_the_same_way(tmp_path: Path) -> None:
    """Where it stands in the spec."""
    text = 'image = "a:1"\npython = "3.12"\npip = ["a==1", "-e ."]\npackages = ["numpy=1", "=2"]\n'
    assert says(tmp_path, f'{text}channels = ["https://u:p@conda.example.com/a"]') == [
        ("pip.1", "what is installed editable is on one machine only"),
        ("channels.0", f"credentials in an address {SHOWN}"),
        ("packages.1", "'=2' is no conda package"),
    ]


# --- Dockerfiles and build contexts ---

DOCKERFILE = """\
# syntax=docker/dockerfile:1
ARG BASE=nvcr.io/nvidia/pytorch:24.01-py3
FROM --platform=linux/amd64 ${BASE} AS build
RUN pip install \\
    # in between
    numpy==2.1.3
FROM python:3.12
COPY --from=build /x /x
COPY --from=ghcr.io/astral-sh/uv:0.5.0 /uv /bin/
"""


def test_a_build_context_is_known_by_its_content(tmp_path: Path) -> None:
    """The same content, the same address: a change of any file is a change of the definition."""
    write(tmp_path, {"docker/train/Dockerfile": DOCKERFILE, "docker/train/x": "1"})
    text = 'build = "docker/train"'
    made = attributes(tmp_path, text)
    assert made["build"] == {"context_uri": {LOOKUP: {"context": uri(made)}}, "dockerfile": "Dockerfile"}
    assert re.fullmatch(f"{HASH}/train", uri(made))
    assert (made["image"], made["context"]) == (None, {"directory": "docker/train"})
    assert f"{open_context(made['context'], tmp_path).digest()}/train" == uri(made)
    assert files_of(tmp_path, text) == ["docker/train"]
    write(tmp_path, {"docker/train/x": "2"})
    assert uri(attributes(tmp_path, text)) != uri(made)


def test_a_build_context_can_have_its_dockerfile_elsewhere_in_it(tmp_path: Path) -> None:
    """Named from the context's directory, which is named from the spec's folder."""
    write(tmp_path, {"team/ctx/gpu/Dockerfile": "FROM python:3.12\n", "team/ctx/x": "1"})
    made = attributes(tmp_path, 'build = { path = "ctx", dockerfile_path = "gpu/Dockerfile" }', folder="team")
    assert (made["build"]["dockerfile"], made["context"]) == ("gpu/Dockerfile", {"directory": "team/ctx"})


def test_a_policy_sees_what_a_dockerfile_builds_on(tmp_path: Path) -> None:
    """Arguments by their defaults, other stages left out; an argument without one is shown as it is."""
    write(tmp_path, {"ctx/Dockerfile": DOCKERFILE, "open/Dockerfile": "ARG BASE\nFROM $BASE\nFROM scratch\n"})
    found = reading(tmp_path, 'build = "ctx"').drafts[0].facts
    assert found == (
        Fact("image", "nvcr.io/nvidia/pytorch:24.01-py3", ("build",)),
        Fact("image", "python:3.12", ("build",)),
        Fact("image", "ghcr.io/astral-sh/uv:0.5.0", ("build",)),
    )
    assert reading(tmp_path, 'build = "open"').drafts[0].facts == (Fact("image", "$BASE", ("build",)),)


def test_a_single_dockerfile_is_a_context_of_one_file(tmp_path: Path) -> None:
    """A file of the stack, or a text in the spec: the same content, the same address."""
    write(tmp_path, {"train.Dockerfile": "FROM python:3.12\nRUN pip install numpy==2.1.3\n"})
    made = attributes(tmp_path, 'dockerfile = "train.Dockerfile"')
    assert made["context"] == {"files": {"Dockerfile": {"path": "train.Dockerfile"}}}
    assert re.fullmatch(f"{HASH}/context", uri(made))
    assert files_of(tmp_path, 'dockerfile = "train.Dockerfile"') == ["train.Dockerfile"]
    text = 'dockerfile = { text = "FROM python:3.12\\nRUN pip install numpy==2.1.3\\n" }'
    assert uri(attributes(tmp_path, text)) == uri(made)


def test_a_single_dockerfile_that_copies_files_gets_a_warning(tmp_path: Path) -> None:
    """There are none beside it; out of stages and addresses it may."""
    copies = {
        "COPY x /x": True,
        "ADD x /x": True,
        "COPY --from=a /x /x": False,
        "ADD https://e.x/a /a": False,
    }
    for line, warned in copies.items():
        found = reading(tmp_path, f'dockerfile = {{ text = "FROM python:3.12 AS a\\n{line}\\n" }}')
        assert (found.problems, bool(found.warnings)) == ((), warned)


DOCKERFILES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "missing directory": ('build = "nothing"', [("build", "there is no 'nothing'")]),
    "missing Dockerfile": (
        'build = "empty"',
        [("build", "there is no 'Dockerfile' in the build context 'empty'")],
    ),
    "ignored Dockerfile": (
        'build = "ignored"',
        [("build", "there is no 'Dockerfile' in the build context 'ignored'")],
    ),
    "missing file": ('dockerfile = "nothing"', [("dockerfile", "there is no 'nothing'")]),
    "a directory": ('dockerfile = "empty"', [("dockerfile", "empty cannot be read: Is a directory")]),
    "text for a path": (
        'dockerfile = "FROM x\\n"',
        [("dockerfile", "this is a Dockerfile, not the path of one")],
    ),
    "nothing to begin with": (
        'dockerfile = { text = "RUN x" }',
        [("dockerfile", "the Dockerfile: there is no FROM")],
    ),
    "a token": (
        'build = "token"',
        [
            (
                "build",
                f"Dockerfile: line 2: a secret: the name says token and the value is not a reference {SHOWN}",
            )
        ],
    ),
    "a password": (
        'dockerfile = { text = "FROM x:1\\nRUN pip install -i https://me:hunter2@e.x/ a\\n" }',
        [("dockerfile", f"the Dockerfile: line 2: credentials in an address {SHOWN}")],
    ),
    "wheels, too": (
        'build = "token"\nwheels = ["x-1-py3-none-any.whl"]',
        [
            ("wheels", "`wheels` does not go with `build`: into what it builds, Azure ML installs nothing"),
        ],
    ),
}


@pytest.mark.parametrize(("text", "said"), DOCKERFILES.values(), ids=DOCKERFILES)
def test_what_cannot_be_built_is_refused(text: str, said: list[tuple[str, str]], tmp_path: Path) -> None:
    """Before it is uploaded."""
    write(
        tmp_path,
        {
            "empty/x": "1",
            "ignored/Dockerfile": "FROM x:1\n",
            "ignored/.amlignore": "Docker*\n",
            "token/Dockerfile": "FROM x:1\nENV A=1 HF_TOKEN=abcdefgh\n",
        },
    )
    found = says(tmp_path, text)
    assert said[0] in found
    assert "hunter2" not in str(found)


# --- wheels ---


def generated(made: dict[str, Any]) -> dict[str, str]:
    """The texts of a context that we make, and the paths of its files."""
    return {name: source.get("text") or source["path"] for name, source in made["context"]["files"].items()}


def test_a_wheel_gets_a_build_context_of_its_own(tmp_path: Path) -> None:
    """Known by its content, with the conda environment that v2 cannot combine with a build."""
    wheel(tmp_path / "dist" / "acme_tools-1.0-py3-none-any.whl")
    text = f"""
    image = "{IMAGE}"
    wheels = ["dist/acme_tools-1.0-py3-none-any.whl"]
    python = "3.12"
    packages = ["numpy=2.1"]
    environment_variables = {{ OMP_NUM_THREADS = 4, GREETING = 'say "hi" to $USER \\', ON = true }}
    """
    made = attributes(tmp_path, text)
    assert (made["image"], made["conda"]) == (None, None)
    assert generated(made) == {
        "conda_dependencies.yaml": json.dumps(
            {"channels": ["conda-forge"], "dependencies": ["python=3.12", "numpy=2.1", "pip"]}, indent=2
        )
        + "\n",
        "Dockerfile": f"""\
FROM {IMAGE}
ENV CONDA_PREFIX=/azureml-envs/environment
ENV CONDA_DEFAULT_ENV=$CONDA_PREFIX
ENV PATH=$CONDA_PREFIX/bin:$PATH
ENV LD_LIBRARY_PATH=$CONDA_PREFIX/lib:$LD_LIBRARY_PATH
COPY conda_dependencies.yaml /opt/reconciler/
RUN conda env create -p $CONDA_PREFIX -f /opt/reconciler/conda_dependencies.yaml -q && conda clean -a -y
COPY wheels /opt/reconciler/wheels
RUN python -m pip install --no-cache-dir /opt/reconciler/wheels/acme_tools-1.0-py3-none-any.whl
ENV OMP_NUM_THREADS="4"
ENV GREETING="say \\"hi\\" to \\$USER \\\\"
ENV ON="true"
""",
        "wheels/acme_tools-1.0-py3-none-any.whl": "dist/acme_tools-1.0-py3-none-any.whl",
    }
    assert files_of(tmp_path, text) == ["dist/acme_tools-1.0-py3-none-any.whl"]
    assert f"{open_context(made['context'], tmp_path).digest()}/context" == uri(made)


def test_without_conda_a_wheel_goes_into_the_python_of_the_image(tmp_path: Path) -> None:
    """With the requirements that it may need besides."""
    for name in ("b_tools-1.0-py3-none-any.whl", "a_tools-2.0-py3-none-any.whl"):
        wheel(tmp_path / name, name[:7], name[8:11])
    write(tmp_path, {"requirements.txt": "six==1.16.0\n"})
    wheels = 'wheels = ["b_tools-1.0-py3-none-any.whl", "a_tools-2.0-py3-none-any.whl"]'
    text = f'image = "python:3.12"\n{wheels}\npip_requirements = "requirements.txt"\npip = ["attrs==24.2.0"]'
    made = generated(attributes(tmp_path, text))
    assert made["requirements.txt"] == "six==1.16.0\nattrs==24.2.0\n"
    assert (
        made["Dockerfile"]
        == """\
FROM python:3.12
COPY requirements.txt /opt/reconciler/
RUN python -m pip install --no-cache-dir -r /opt/reconciler/requirements.txt
COPY wheels /opt/reconciler/wheels
RUN python -m pip install --no-cache-dir /opt/reconciler/wheels/a_tools-2.0-py3-none-any.whl \
/opt/reconciler/wheels/b_tools-1.0-py3-none-any.whl
"""
    )
    bare = generated(attributes(tmp_path, f'image = "python:3.12"\n{wheels}'))
    assert "requirements.txt" not in bare


def test_another_wheel_is_another_definition(tmp_path: Path) -> None:
    """Under the same name, with other bytes; the same bytes are the same definition."""
    text = 'image = "python:3.12"\nwheels = ["acme_tools-1.0-py3-none-any.whl"]'
    path = wheel(tmp_path / "acme_tools-1.0-py3-none-any.whl")
    first = uri(attributes(tmp_path, text))
    assert uri(attributes(tmp_path, text)) == first
    path.write_bytes(path.read_bytes() + b" ")
    assert uri(attributes(tmp_path, text)) != first


WHEELS = {
    "missing-1.0-py3-none-any.whl": "there is no 'missing-1.0-py3-none-any.whl'",
    "wheel.whl": "'wheel.whl' is no name of a wheel",
    "acme-1.0.tar.gz": "'acme-1.0.tar.gz' is no name of a wheel",
    "text-1.0-py3-none-any.whl": "text-1.0-py3-none-any.whl is no wheel: it is not a zip archive",
    "bare-1.0-py3-none-any.whl": (
        "bare-1.0-py3-none-any.whl is no wheel: it has no WHEEL file in a .dist-info directory"
    ),
    "other-1.0-py3-none-any.whl": "other-1.0-py3-none-any.whl is a wheel of acme-tools, by what is in it",
    "folder-1.0-py3-none-any.whl": "folder-1.0-py3-none-any.whl cannot be read: Is a directory",
    "../out-1.0-py3-none-any.whl": "'../out-1.0-py3-none-any.whl' leads out of the directory of the stack",
}


@pytest.mark.parametrize(("path", "summary"), WHEELS.items(), ids=WHEELS)
def test_a_wheel_that_is_none_is_refused(path: str, summary: str, tmp_path: Path) -> None:
    """By its name, and by what is in it."""
    write(tmp_path, {"text-1.0-py3-none-any.whl": "hello", "wheel.whl": "", "acme-1.0.tar.gz": ""})
    wheel(tmp_path / "bare-1.0-py3-none-any.whl", "bare", without="WHEEL")
    wheel(tmp_path / "other-1.0-py3-none-any.whl")
    (tmp_path / "folder-1.0-py3-none-any.whl").mkdir()
    assert says(tmp_path, f'image = "python:3.12"\nwheels = ["{path}"]') == [("wheels.0", summary)]


def test_what_does_not_go_with_wheels_is_refused(tmp_path: Path) -> None:
    """Two of one distribution, Windows, no image, variables that are none."""
    for version in ("1.0", "2.0"):
        wheel(tmp_path / f"acme_tools-{version}-py3-none-any.whl", version=version)
    one, two = '"acme_tools-1.0-py3-none-any.whl"', '"acme_tools-2.0-py3-none-any.whl"'
    assert says(tmp_path, f'image = "python:3.12"\nwheels = [{one}, {two}]') == [
        (
            "wheels.1",
            "acme_tools-2.0-py3-none-any.whl and acme_tools-1.0-py3-none-any.whl are of the same "
            "distribution",
        )
    ]
    assert says(tmp_path, f'image = "python:3.12"\nwheels = [{one}]\nos_type = "Windows"') == [
        ("wheels", "wheels are installed on Linux only")
    ]
    assert says(tmp_path, f"wheels = [{one}]") == [("", "`image` is missing")]
    variables = '{ "A B" = "x", C = { env = "X" }, D = "a\\nb", HF_TOKEN = "abcdefgh" }'
    assert says(tmp_path, f'image = "a:1"\nwheels = [{one}]\nenvironment_variables = {variables}') == [
        ("environment_variables.A B", "'A B' cannot name a variable of an image"),
        ("environment_variables.C", "a variable of an image is text"),
        ("environment_variables.D", "a variable of an image has one line"),
        (
            "environment_variables.HF_TOKEN",
            "a secret: the name says token and the value is not a reference would be kept in the image",
        ),
    ]


def test_packages_beside_a_wheel_get_the_same_warnings(tmp_path: Path) -> None:
    """The image that is built of them is reused as well."""
    wheel(tmp_path / "acme_tools-1.0-py3-none-any.whl")
    text = 'image = "python"\nwheels = ["acme_tools-1.0-py3-none-any.whl"]\npip = ["numpy"]'
    first, second = reading(tmp_path, text).warnings
    assert (first[:20], second[:22]) == ("lab builds on python", "lab does not pin numpy")
