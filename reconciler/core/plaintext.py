"""A likely secret written in plain text in a spec.

Specs live in git, where a secret stays for ever and is read by many. This module looks for two signs: a
value shaped like a known credential, and a name that announces a secret above a value that does not refer
to one. It knows no format of specs: any table a parser returns will do. It is a net, not a proof: a secret
without a known shape below a name that does not give it away passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from reconciler.core.model import Path

__all__ = ["Suspicion", "suspicions"]


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One value that is likely a secret.

    *why* is one of a fixed set of texts, chosen but never made from the value: it can be printed, logged
    and sent.
    """

    path: Path
    why: str


def suspicions(table: Mapping[str, Any]) -> list[Suspicion]:
    """The strings in *table*, at any depth, that are likely secrets in plain text; in the table's order.

    A string anywhere is reported when it contains something shaped like a known credential. Besides, the
    string at a telling name (``HF_TOKEN``, ``dbPassword``; not ``TOKEN_LIMIT`` or ``SECRET_NAME``) is
    reported unless it is empty, a placeholder such as ``${HF_TOKEN}``, a number or a switch. The ``value`` of
    a table has the name of the table: ``HF_TOKEN = { value = ... }``, ``{ name = "HF_TOKEN", value = ... }``.

    References, such as ``{ env = "HF_TOKEN" }`` or ``{ credential = "hub", key = "token" }``, are not values.
    A string is reported once. The time is linear in the size of *table*.
    """
    return list(_in_table(table, (), ""))


def _in_table(table: Mapping[str, Any], path: Path, title: str) -> Iterator[Suspicion]:
    # References need no rule: the keys they consist of announce nothing, so only shapes are found in them.
    for key, value in table.items():
        if isinstance(value, str):
            why = _why(_name(table, title) if key == "value" else key, title, value)
            if why is not None:
                yield Suspicion((*path, key), why)
        else:
            yield from _inside(value, (*path, key), key)


def _inside(value: Any, path: Path, title: str) -> Iterator[Suspicion]:
    """What is suspicious in a table or array; *title* is the nearest key above it."""
    if isinstance(value, Mapping):
        yield from _in_table(value, path, title)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            if isinstance(item, str):
                # By its shape alone: the words of a list below a telling name are as a rule the names of
                # secrets, as in `image_pull_secret = ["hub"]`.
                why = _shape(item) or _shape_beside(title, item)
                if why is not None:
                    yield Suspicion((*path, number), why)
            else:
                yield from _inside(item, (*path, number), title)


def _name(table: Mapping[str, Any], title: str) -> str:
    """What the ``value`` of *table* is the value of."""
    name = table.get("name")
    return name if isinstance(name, str) else title


def _why(name: str, title: str, value: str) -> str | None:
    # The shape comes first because it says more.
    return _shape(value) or _shape_beside(f"{title}_{name}", value) or _announced(name, value)


# The value has the shape of a credential.


def _shape(value: str) -> str | None:
    """The credential that *value* contains by the look of it."""
    if _MARKS.search(value) is None:
        return None
    return next((why for why, _, shape in _SHAPES if shape.search(value)), None)


# `$NAME` only in capitals: `$ecret` is a password.
_PLACEHOLDER = r"(?:\$\{\w+\}|\$\(\w+\)|\$[A-Z_][A-Z0-9_]*+)"

# Not inside a word: `task-...` is no `sk-...`.
_START = r"(?<![A-Za-z0-9])"


def _credential(kind: str, mark: str, shape: str) -> tuple[str, str, re.Pattern[str]]:
    return f"looks like {kind}", mark, re.compile(shape)


# Kind, mark, shape; the first shape that fits counts. The marks of all kinds make one expression that lets
# ordinary values pass quickly: each alternative begins with a plain character, because only then does `re`
# leap from candidate to candidate. A shape counts no further than it must, and one that has to run on until
# a certain character cannot begin again within what it ran over: so no value takes more than linear time.
_SHAPES = (
    _credential("an AWS access key id", "AKIA|ASIA", _START + r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _credential("a GitHub token", "gh[pour]_", _START + r"gh[pour]_[A-Za-z0-9]{30}"),
    # An installation token can have a JSON web token in it.
    _credential("a GitHub token", "ghs_", _START + r"ghs_[A-Za-z0-9._-]{30}"),
    _credential("a GitHub token", "github_pat_", _START + r"github_pat_[A-Za-z0-9_]{22}"),
    _credential(
        "a GitLab token",
        "gl[a-z]{2,5}-",
        _START + r"gl(?:pat|dt|rt|ptt|cbt|ft|imt|oas|soat|agent)-[A-Za-z0-9_-]{20}",
    ),
    _credential("a Hugging Face token", "hf_", _START + r"hf_[A-Za-z0-9]{30}"),
    _credential("an Anthropic API key", "sk-ant-", _START + r"sk-ant-[A-Za-z0-9_-]{20}"),
    _credential("an OpenRouter API key", "sk-or-", _START + r"sk-or-v\d-[A-Za-z0-9]{20}"),
    _credential(
        "an OpenAI API key",
        "sk-",
        _START + r"sk-(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20}|[A-Za-z0-9]{20})",
    ),
    _credential("a Slack token", "xox[a-z]-", _START + r"xox[a-z]-[A-Za-z0-9-]{10}"),
    _credential("a Google API key", "AIza", _START + r"AIza[A-Za-z0-9_-]{35}"),
    _credential("an NVIDIA API key", "nvapi-", _START + r"nvapi-[A-Za-z0-9_-]{20}"),
    _credential("a Weights & Biases API key", "wandb_v", _START + r"wandb_v\d_[A-Za-z0-9_]{20}"),
    _credential("an npm token", "npm_", _START + r"npm_[A-Za-z0-9]{36}"),
    _credential("a PyPI token", "pypi-AgE", _START + r"pypi-AgE[A-Za-z0-9_-]{30}"),
    _credential("an Azure connection string", "AccountKey=", r"AccountKey=[A-Za-z0-9+/]{40}"),
    _credential("an Azure connection string", "SharedAccessKey=", r"SharedAccessKey=[A-Za-z0-9+/]{40}"),
    _credential(
        "a JSON web token",
        "eyJ",
        r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{10}",
    ),
    _credential("a private key", "-----BEGIN ", r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY"),
    _credential("an authorization header", "Bearer |bearer ", _START + r"[Bb]earer [A-Za-z0-9._~+/-]{20}"),
    # Whoever has the address has what it leads to: of blob storage, a bucket.
    _credential(
        "a signed URL",
        "sig=|X-Amz-Signature=|X-Goog-Signature=",
        r"[?&](?:sig|X-Amz-Signature|X-Goog-Signature)=[A-Za-z0-9%+/_=-]{20}",
    ),
    # The feeds of packages take a token in the place of the user. A shorter word is likely a name.
    _credential(
        "a URL with a token in it",
        r"://[^\s/@]*+@",
        r"://(?=[A-Za-z_-]*+[0-9])[A-Za-z0-9_-]{32,}+@",
    ),
    _credential(
        "a URL with a password in it",
        r"://[^\s/@]*+@",
        rf"""://[^\s/:@?#"'<>]*+:(?!{_PLACEHOLDER}++@)[^\s/@?#"'<>]++@""",
    ),
)
_MARKS = re.compile("|".join(mark for _, mark, _ in _SHAPES))


def _shape_beside(name: str, value: str) -> str | None:
    """As `_shape`, for credentials that look like any digest and need a name beside them to be told apart."""
    if len(value) not in (40, 88):
        return None
    words = _words(name)
    if _BASE64_OF_64_BYTES.fullmatch(value) and not {"AZURE", "ACCOUNT", "STORAGE"}.isdisjoint(words):
        return "looks like an Azure storage key"
    if _MIXED_40.fullmatch(value) and not {"AWS", "SECRET"}.isdisjoint(words):
        return "looks like an AWS secret access key"
    # Not every name with WANDB: there is also WANDB_GIT_COMMIT.
    if _HEX_40.fullmatch(value) and "WANDB" in words and words[-1] in {"WANDB", "KEY", "TOKEN", "LOGIN"}:
        return "looks like a Weights & Biases API key"
    return None


_BASE64_OF_64_BYTES = re.compile(r"[A-Za-z0-9+/]{86}==")
_MIXED_40 = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9+/]{40}")
_HEX_40 = re.compile(r"[0-9a-f]{40}")


# The name announces a secret.


def _announced(name: str, value: str) -> str | None:
    """The secret that *name* says it holds, unless *value* obviously is none."""
    secret = _secret_said_by(name)
    if secret is None or _HARMLESS.fullmatch(value):
        return None
    if secret in _OFTEN_IN_A_FILE and _FILE.fullmatch(value):
        return None
    return f"the name says {secret} and the value is not a reference"


_HARMLESS = re.compile(
    rf"(?:{_PLACEHOLDER}|[\s:,;/@._-])*+"  # empty, "${USER}:${PASSWORD}"
    r"|[+-]?\d++(?:\.\d++)?|(?i:true|false|yes|no|on|off|none|null)"
)
_FILE = re.compile(r"(?:~|\.\.?)?(?:/[\w.-]++)++")
_OFTEN_IN_A_FILE = {"credentials", "private key"}  # GOOGLE_APPLICATION_CREDENTIALS is a path


@lru_cache(maxsize=1024)
def _secret_said_by(name: str) -> str | None:
    """What kind of secret the last words of *name* announce.

    The last words decide: what follows the word for the secret (PASSWORD_FILE, TOKEN_LIMIT) tells what the
    value is instead.
    """
    words = _words(name)
    while words and (words[-1] in _WHICH_ONE or words[-1].isdigit()):
        words.pop()
    if not words:
        return None
    last = words[-1]
    before = words[-2] if len(words) > 1 else ""
    if last in {"KEY", "KEYS"}:
        return _SECRET_KEYS.get(before)
    if last == "PWD":
        # Alone, or as OLDPWD, it is the shell's working directory.
        return "password" if before not in {"", "OLD"} else None
    # By its ending, for names without separators: PGPASSWORD, clientsecret.
    ending = next((ending for ending in _SECRETS if last.endswith(ending)), None)
    if ending is None or before in _NO_SECRETS.get(ending, ()):
        return None
    return _SECRETS[ending]


def _words(name: str) -> list[str]:
    """``HF_TOKEN``, ``hf-token``, ``hf.token`` and ``hfToken`` are all HF and TOKEN."""
    return [word.upper() for word in _WORD.findall(name)]


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_SECRETS = {
    "PASSWORD": "password",
    "PASSWD": "password",
    "PASSPHRASE": "passphrase",
    "SECRET": "secret",
    "TOKEN": "token",
    "APIKEY": "API key",
    "ACCESSKEY": "access key",
    "SECRETKEY": "secret key",
    "PRIVATEKEY": "private key",
    "CREDENTIALS": "credentials",
}
# Not the singular CREDENTIAL: `credential = "hub"` is how a spec names one.

_SECRET_KEYS = {
    "API": "API key",
    "ACCESS": "access key",
    "ACCOUNT": "account key",
    "AUTH": "auth key",
    "ENCRYPTION": "encryption key",
    "MASTER": "master key",
    "PRIVATE": "private key",
    "SECRET": "secret key",
    "SIGNING": "signing key",
}


def _these(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Words before the last one that make it mean something else: the vocabulary of language models, and the
# names Kubernetes objects go by.
_NO_SECRETS = {
    "TOKEN": _these(
        "AUDIO BEGIN BOS CLS END EOS EOT IMAGE MASK MAX MIN NEXT PAD PER SEP SPECIAL START STOP UNK VIDEO"
    ),
    "SECRET": _these("EXISTING PULL TLS"),
}

# Words after the last one that only tell several secrets apart, or how it is written.
_WHICH_ONE = _these(
    "ADMIN B BASE CURRENT DEFAULT DEV LOCAL NEW OLD PLAIN PLAINTEXT PREVIOUS PRIMARY PROD PRODUCTION READ "
    "ROOT SECONDARY STAGING TEST VALUE WRITE"
)
