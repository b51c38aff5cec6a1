"""Secret references and their values.

A value lives in this process's memory and nowhere else. It is resolved when it
is needed, compared by a keyed hash, and kept out of every text by `Secrets.mask`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus

from reconciler.core.attributes import SECRET, marked
from reconciler.core.model import ResourceState
from reconciler.errors import SecretUnavailable

__all__ = ["Secrets", "keyed_hash", "learn"]

HIDDEN: Final = "(secret)"
_SHORTEST_MASKED: Final = 4
"""Shorter values would be found in half of all words; they are no secrets to speak of."""
_COMMAND_SECONDS: Final = 60


def keyed_hash(key: str, value: str) -> str:
    """A hash by which a changed secret is noticed, of no use without *key* (hex)."""
    return hmac.new(bytes.fromhex(key), value.encode(), hashlib.sha256).hexdigest()


class Secrets:
    """A `SecretSource` over an environment, files and commands. Paths are relative to *directory*."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = environment
        self._values: dict[str, str] = {}
        self._references: dict[str, Mapping[str, Any]] = {}
        self._spellings: list[str] = []

    def value(self, reference: Mapping[str, Any]) -> str:
        """See `SecretSource.value`. A command runs once, however often its value is needed."""
        name = json.dumps(reference, sort_keys=True)
        if name not in self._values:
            value = self._resolve(reference)
            if not value:
                raise SecretUnavailable(f"the secret {describe(reference)} is empty")
            self._values[name] = value
            self._references.setdefault(value, dict(reference))
            self.learn(value)
        return self._values[name]

    def _resolve(self, reference: Mapping[str, Any]) -> str:
        match reference:
            case {"env": str(name)}:
                try:
                    return self._environment[name]
                except KeyError:
                    raise SecretUnavailable(
                        f"the environment variable {name} is not set",
                        hint=f"A spec takes a secret from it. Set it: export {name}=…",
                    ) from None
            case {"file": str(name)}:
                path = self._directory / name
                try:
                    return path.read_text(encoding="utf-8").removesuffix("\n")
                except (OSError, UnicodeDecodeError) as error:
                    why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                    raise SecretUnavailable(f"the secret file {name} cannot be read: {why}") from None
            case {"command": [str(program), *arguments]}:
                return self._run([program, *map(str, arguments)])
        raise SecretUnavailable(f"{describe(reference)} is not a secret reference")

    def _run(self, command: list[str]) -> str:
        what = f"the secret command {command[0]!r}"
        try:
            done = subprocess.run(  # noqa: S603 - the spec's own command, reviewed like the rest of it
                command,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except FileNotFoundError:
            raise SecretUnavailable(f"{what} is not installed") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            why = f"took more than {_COMMAND_SECONDS} s" if not isinstance(error, OSError) else error.strerror
            raise SecretUnavailable(f"{what} {why}") from None
        if done.returncode:
            # Its output may hold the secret, or half of it: never shown.
            raise SecretUnavailable(f"{what} failed with exit code {done.returncode}")
        try:
            return done.stdout.decode().removesuffix("\n")
        except UnicodeDecodeError:
            raise SecretUnavailable(f"{what} printed something that is not UTF-8 text") from None

    def learn(self, value: str) -> None:
        """See `SecretSource.learn`."""
        if len(value) < _SHORTEST_MASKED:
            return
        spellings = {
            value,
            json.dumps(value)[1:-1],
            json.dumps(value, ensure_ascii=False)[1:-1],
            repr(value)[1:-1],
            quote(value, safe=""),
            quote_plus(value),  # as the form of a token call spells it
            base64.b64encode(value.encode()).decode(),
        }
        # The longest first, so that no spelling leaves the tail of a longer one.
        self._spellings = sorted({*self._spellings, *spellings}, key=len, reverse=True)

    def mask(self, text: str) -> str:
        """See `SecretSource.mask`."""
        for spelling in self._spellings:
            if spelling in text:
                text = text.replace(spelling, HIDDEN)
        return text

    def conceal(self, value: Any) -> Any:
        """*value* with each text that is a known secret replaced by its reference.

        For what a platform shows and we have to keep (a pre-image): the
        reference can be turned back, a mask could not. A text that only
        contains a secret is masked.
        """
        if not self._spellings:
            return value
        if isinstance(value, Mapping):
            return {key: self.conceal(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.conceal(item) for item in value]
        if isinstance(value, str) and len(value) >= _SHORTEST_MASKED:
            if value in self._references:
                return {SECRET: self._references[value]}
            return self.mask(value)
        return value


def learn(secrets: Secrets, records: Iterable[ResourceState]) -> None:
    """Know the values behind the references of *records*, as far as they can be had.

    Before something live is kept: nobody else can tell that somebody typed one of them in by hand.
    """
    for record in records:
        for _, reference in marked(record.attributes.values_, SECRET):
            with contextlib.suppress(SecretUnavailable):
                secrets.value(reference)


def describe(reference: Mapping[str, Any]) -> str:
    """A reference for people: ``env HF_TOKEN``. Only the program of a command is named."""
    for how, what in reference.items():
        return f"{how} {what[0] if isinstance(what, list) and what else what}"
    return "without a source"
