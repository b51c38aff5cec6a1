"""What looks like a secret in a spec, and what does not.

The credentials are made here, from a prefix and a body, so that no string in this repository looks like one.
"""

from __future__ import annotations

import tomllib
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.plaintext import Suspicion, suspicions


def body(length: int, letters: str = "aB3dE5gH7jK9") -> str:
    """*length* characters as a generator of credentials could have drawn them."""
    return (letters * length)[:length]


def joined(*parts: str) -> str:
    return "".join(parts)


HEX_40 = body(40, "0a1b2c3d4e5f")
MIXED_40 = body(40, "aB3/dE5+")
BASE64_88 = body(86) + "=="
JWT = joined("ey", "J", body(20), ".", body(40), ".", body(43))

SHAPES = [
    (joined("AK", "IA", body(16, "A7BQ")), "an AWS access key id"),
    (joined("AS", "IA", body(16, "A7BQ")), "an AWS access key id"),
    *[(joined("gh", kind, "_", body(36)), "a GitHub token") for kind in "pousr"],
    (joined("ghs", "_12345_", JWT), "a GitHub token"),
    (joined("github", "_pat_", body(22), "_", body(59)), "a GitHub token"),
    (joined("gl", "pat-", body(20)), "a GitLab token"),
    (joined("gl", "dt-", body(20)), "a GitLab token"),
    (joined("h", "f_", body(34, "aBcDeFgH")), "a Hugging Face token"),
    (joined("s", "k-ant-api03-", body(95)), "an Anthropic API key"),
    (joined("s", "k-or-v1-", body(64, "0a1b2c")), "an OpenRouter API key"),
    (joined("s", "k-proj-", body(48)), "an OpenAI API key"),
    (joined("s", "k-", body(48)), "an OpenAI API key"),
    (joined("xo", "xb-", body(12, "123"), "-", body(24)), "a Slack token"),
    (joined("xo", "xp-", body(12, "123"), "-", body(24)), "a Slack token"),
    (joined("AI", "za", body(35)), "a Google API key"),
    (joined("nv", "api-", body(64)), "an NVIDIA API key"),
    (joined("wan", "db_v1_", body(77)), "a Weights & Biases API key"),
    (joined("np", "m_", body(36)), "an npm token"),
    (joined("py", "pi-AgEIcHlwaS5vcmc", body(60)), "a PyPI token"),
    (
        joined("DefaultEndpointsProtocol=https;AccountName=lab;Account", "Key=", BASE64_88),
        "an Azure connection string",
    ),
    (joined("Endpoint=sb://lab/;SharedAccess", "Key=", body(43), "="), "an Azure connection string"),
    (JWT, "a JSON web token"),
    *[
        (f"-----BEGIN {kind}PRIVATE" + f" KEY-----\n{body(64)}\n", "a private key")
        for kind in ("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "PGP ")
    ],
    (joined("Bear", "er ", body(32)), "an authorization header"),
    (joined("https://lab.blob.core.windows.net/c?sp=r&", "sig", "=", body(43), "%3D"), "a signed URL"),
    (joined("https://lab.s3.amazonaws.com/x?", "X-Amz-", "Signature=", HEX_40), "a signed URL"),
    (joined("https://", body(52, "a2b3c4d5"), "@pkgs.example.org/simple"), "a URL with a token in it"),
    (joined("https://lab:", "hunter2", "@example.org/data"), "a URL with a password in it"),
    (joined("redis://:", "hunter2", "@cache:6379/0"), "a URL with a password in it"),
    (joined("postgresql+psycopg://lab:", "$ecret", "@db/lab"), "a URL with a password in it"),
]


@pytest.mark.parametrize(("value", "kind"), SHAPES)
@pytest.mark.parametrize("text", ["{}", "run --with '{}' --verbose\n", "A=1;B={}"])
def test_a_credential_is_known_by_its_shape(text: str, value: str, kind: str) -> None:
    """Under any name, in any depth, and inside a longer text."""
    hidden = text.format(value)
    table = {"description": hidden, "args": ["--x", hidden], "on": {"runai": [{"note": {"text": hidden}}]}}
    assert suspicions(table) == [
        Suspicion(("description",), f"looks like {kind}"),
        Suspicion(("args", 1), f"looks like {kind}"),
        Suspicion(("on", "runai", 0, "note", "text"), f"looks like {kind}"),
    ]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "nvcr.io/nvidia/pytorch:24.08-py3@sha256:" + body(64, "0a1b2c3d"),
        "https://github.com/acme/lab.git",
        "git@github.com:acme/lab.git",
        "ssh://git@github.com:22/acme/lab.git",
        "https://lab:${PASSWORD}@example.org",
        "https://lab:$PASSWORD@example.org",
        "https://the-long-name-of-an-organisation@dev.example.org/lab",
        "https://user-2@example.org",
        "https://lab.blob.core.windows.net/c?sp=r&sig=${SIGNATURE_OF_THE_CONTAINER}",
        "https://example.org/design=signals-and-slots-with-a-long-name",
        "https://lab:$(PASSWORD)@example.org",
        "https://${USER}:${PASS_A}${PASS_B}@example.org",
        "http://localhost:8080/@scope/package",
        "http://localhost:8080?mail=lab@example.org",
        '["http://a:8080","lab@example.org"]',
        "http://localhost:8080 lab@example.org",
        "task-" + body(48),
        "risk-proj-" + body(48),
        "sk-learn-pipelines-and-other-long-names",
        "half_" + body(40),
        "hf_hub_download_with_a_cache_and_more",
        "npm_config_registry_and_other_settings_here",
        "pypi-mirror-with-a-very-long-name-indeed-and-more",
        "glide-and-other-english-words-with-a-dash",
        "AKIAIO",
        "ASIA-PACIFIC and SOUTHEASTASIA",
        "eyJust.a.name",
        "AccountKey=${AZURE_STORAGE_KEY}",
        "-----BEGIN CERTIFICATE-----\n" + body(64),
        "-----BEGIN PUBLIC" + " KEY-----\n" + body(64),
        "Bearer ${HF_TOKEN}",
        "Bearer authentication is used",
        HEX_40,
        MIXED_40,
        BASE64_88,
    ],
)
def test_what_only_resembles_a_credential_passes(value: str) -> None:
    """Such values are ordinary in specs."""
    assert suspicions({"description": value, "args": [value], "on": {"runai": {"image": value}}}) == []


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ({"WANDB": HEX_40}, "a Weights & Biases API key"),
        ({"WANDB_API_KEY": HEX_40}, "a Weights & Biases API key"),
        ({"wandb": {"key": HEX_40}}, "a Weights & Biases API key"),
        ({"wandb": ["x", HEX_40]}, "a Weights & Biases API key"),
        ({"WANDB_GIT_COMMIT": HEX_40}, None),
        ({"WANDB_KEY": HEX_40[1:]}, None),
        ({"AWS_KEY": MIXED_40}, "an AWS secret access key"),
        ({"AWS_SECRET_ACCESS_KEY": MIXED_40}, "an AWS secret access key"),
        ({"aws": {"key": MIXED_40}}, "an AWS secret access key"),
        ({"aws": {"commit": HEX_40}}, None),
        ({"account": {"key": BASE64_88}}, "an Azure storage key"),
        ({"azureStorageKey": BASE64_88}, "an Azure storage key"),
        ({"integrity": BASE64_88}, None),
    ],
)
def test_a_credential_that_looks_like_a_digest_needs_a_name_beside_it(
    table: dict[str, Any], kind: str | None
) -> None:
    """Commits and checksums have the same shape."""
    assert [found.why for found in suspicions(table)] == ([f"looks like {kind}"] if kind else [])


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("PASSWORD", "password"),
        ("POSTGRES_PASSWORD", "password"),
        ("dbPassword", "password"),
        ("PGPASSWORD", "password"),
        ("smtp-passwd", "password"),
        ("MYSQL_PWD", "password"),
        ("SSH_KEY_PASSPHRASE", "passphrase"),
        ("secret", "secret"),
        ("CLIENT_SECRET", "secret"),
        ("clientsecret", "secret"),
        ("token", "token"),
        ("HF_TOKEN", "token"),
        ("HF_TOKEN_2", "token"),
        ("HFToken", "token"),
        ("oauth.token", "token"),
        ("TOKEN_VALUE", "token"),
        ("PASSWORD_PROD", "password"),
        ("API_KEY", "API key"),
        ("OPENAI_API_KEY", "API key"),
        ("apiKey", "API key"),
        ("APIKEY", "API key"),
        ("AWS_ACCESS_KEY", "access key"),
        ("SSH_PRIVATE_KEY", "private key"),
        ("SECRET_KEY_BASE", "secret key"),
        ("accountKey", "account key"),
        ("REGISTRY_CREDENTIALS", "credentials"),
    ],
)
def test_a_name_can_announce_a_secret(name: str, secret: str) -> None:
    """The last words of a name say what the value is, in any spelling."""
    why = f"the name says {secret} and the value is not a reference"
    assert suspicions({"env": {name: "hunter2"}}) == [Suspicion(("env", name), why)]
    assert suspicions({name: {"instructions": "ask", "value": "hunter2"}}) == [
        Suspicion((name, "value"), why)
    ]
    assert suspicions({"env": [{"name": name, "value": "hunter2"}]}) == [Suspicion(("env", 0, "value"), why)]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "KEY",
        "key",
        "value",
        "TOKENIZERS_PARALLELISM",
        "TOKENIZER",
        "MAX_TOKENS",
        "TOKEN_LIMIT",
        "token_type",
        "PAD_TOKEN",
        "eos_token",
        "SECRET_NAME",
        "secretName",
        "existing_secret_name",
        "existingSecret",
        "IMAGE_PULL_SECRETS",
        "image_pull_secret",
        "PASSWORD_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "TOKEN_PATH",
        "TOKEN_URL",
        "AWS_ACCESS_KEY_ID",
        "PASSWORDLESS",
        "PUBLIC_KEY",
        "SORT_KEY",
        "MONKEY",
        "API_VERSION",
        "NCCL_SOCKET_IFNAME",
        "PWD",
        "OLDPWD",
        "OLD_PWD",
        "credential",
        "credential_id",
        "image",
        "description",
        "2",
    ],
)
def test_other_names_announce_nothing(name: str) -> None:
    """The words are compared, not the letters; and what follows the word for a secret changes its meaning."""
    assert suspicions({name: "hunter2", "env": {name: {"value": "hunter2"}}}) == []


@pytest.mark.parametrize(
    "line",
    [
        'TOKEN = ""',
        'TOKEN = " "',
        'TOKEN = "-"',
        'TOKEN = "${HF_TOKEN}"',
        'TOKEN = "$HF_TOKEN"',
        'TOKEN = "$(HF_TOKEN)"',
        'TOKEN = "${USER}:${TOKEN}"',
        'TOKEN = "True"',
        'TOKEN = "none"',
        'TOKEN = "-1"',
        'TOKEN = "0.5"',
        "TOKEN = 17",
        "TOKEN = true",
        "TOKEN = 2024-01-01",
        'TOKEN = ["hub", "registry"]',
        'TOKEN = { env = "HF_TOKEN" }',
        'TOKEN = { file = "/run/secrets/hf" }',
        'TOKEN = { command = ["pass", "show", "token"] }',
        'TOKEN = { credential = "hf-token", key = "token" }',
        'TOKEN = { credential_id = "0b5c" }',
        'TOKEN = { config_map = "settings", key = "password" }',
        'TOKEN = { pod_field = "metadata.name" }',
        'TOKEN = { value = "${HF_TOKEN}", instructions = "your own token" }',
        'GOOGLE_APPLICATION_CREDENTIALS = "/secrets/gcp.json"',
        'GIT_CREDENTIALS = "~/.git-credentials"',
        'PRIVATE_KEY = "./keys/id_ed25519"',
    ],
)
def test_a_reference_and_a_harmless_value_pass(line: str) -> None:
    """Below a telling name a value that is nobody's secret is fine."""
    assert suspicions(tomllib.loads(line)) == []


@pytest.mark.parametrize(
    "line",
    [
        'TOKEN = "changeme"',
        'TOKEN = "***"',
        'TOKEN = "$ecret"',
        'TOKEN = "${TOKEN:-hunter2}"',
        'TOKEN = "${TOKEN}hunter2"',
        'TOKEN = "12-34"',
        'TOKEN = "trueish"',
        'TOKEN = "/run/secrets/hf"',
        'PASSWORD = "correct horse battery staple"',
        'CREDENTIALS = "lab:hunter2"',
        'PRIVATE_KEY = "hunter2"',
    ],
)
def test_a_value_that_could_be_a_secret_does_not_pass_below_a_telling_name(line: str) -> None:
    """In doubt the name is right."""
    assert len(suspicions(tomllib.loads(line))) == 1


def test_a_credential_inside_a_reference_is_found_by_its_shape() -> None:
    """A token given to a command is in plain text, whatever the command does with it."""
    token = SHAPES[2][0]
    table = {"HF_TOKEN": {"command": ["vault", "login", token]}, "KEY": {"file": f"/x/{token}"}}
    assert [found.path for found in suspicions(table)] == [("HF_TOKEN", "command", 2), ("KEY", "file")]


def test_the_shape_says_more_than_the_name() -> None:
    """One value is one suspicion."""
    token, kind = SHAPES[2]
    assert suspicions({"PASSWORD": token}) == [Suspicion(("PASSWORD",), f"looks like {kind}")]


def test_read_only_tables_and_tuples_are_searched_too() -> None:
    """What was frozen after parsing is not overlooked."""
    table = MappingProxyType({"env": (MappingProxyType({"TOKEN": "hunter2"}),)})
    assert [found.path for found in suspicions(table)] == [("env", 0, "TOKEN")]


@pytest.mark.parametrize(
    "piece",
    [
        *[
            "a",
            "A",
            "0",
            "-",
            "_",
            ".",
            "/",
            ":",
            "@",
            "$",
            "-----BEGIN ",
            "://",
            "://a:",
            "://a:$A",
            "bearer ",
        ],
        *[
            "eyJ",
            "-eyJaaaaaaaaaa",
            ".eyJaaaaaaaaaa",
            "eyJaaaaaaaaaa.",
            "gh" + "p_",
            "sk-",
            "hf_",
            "${",
            "${A}",
        ],
    ],
)
def test_a_value_of_a_megabyte_is_searched_in_one_pass(piece: str) -> None:
    """Were a pattern quadratic, this would take hours."""
    value = piece * (1_000_000 // len(piece))
    assert len(suspicions({"TOKEN": value + "!", value: "x"})) == 1


# None of these characters is in any text we say, so a piece of a value can be told from our own words.
ODD = st.text("QZXqzx0123456789", min_size=8, max_size=90)
NAMES = st.sampled_from(
    [
        "HF_TOKEN",
        "db_password",
        "API_KEY",
        "CLIENT_SECRET",
        "value",
        "WANDB_KEY",
        "AWS",
        "AZURE",
        "description",
    ]
)
AFFIXES = st.sampled_from(
    [
        "",
        "://u:",
        "Account" + "Key=",
        "AI" + "za",
        "h" + "f_",
        "gl" + "pat-",
        "gh" + "p_",
        "s" + "k-",
        "np" + "m_",
    ]
)
VALUES = st.tuples(AFFIXES, ODD, st.sampled_from(["", "@h", "=="])).map("".join)


@settings(deadline=None)
@given(
    st.recursive(
        VALUES, lambda inner: st.dictionaries(NAMES, inner) | st.lists(inner, max_size=3), max_leaves=8
    ).map(lambda value: {"TOKEN": value, "text": value})
)
def test_why_never_contains_a_part_of_the_value(table: dict[str, Any]) -> None:
    """What is said about a secret can be printed."""
    for found in suspicions(table):
        value: Any = table
        for part in found.path:
            value = value[part]
        assert not any(value[start : start + 4] in found.why for start in range(len(value) - 3))
