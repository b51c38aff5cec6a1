"""Image builds: which image an environment becomes, when it is built, how that goes.

What is built is shared by all definitions with the same ingredients, whatever
their names. A build context is built when its version is made; an image with
a conda file when somebody asks; a plain image never, as it is one.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from reconciler.providers.azureml.emulator.answers import refused
from reconciler.providers.azureml.emulator.store import (
    Place,
    Platform,
    Thing,
    find,
    insert,
    next_moment,
    replace,
)
from reconciler.providers.emulator import Answer, Call

__all__ = ["Builds"]

_FAMILY: Final = "builds"


class Builds:
    """Starts builds, and tells of them."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def image_of(self, version: Thing) -> str:
        """The repository that the image of a version goes to; empty when it is an image itself."""
        properties = version.body["properties"]
        if not properties["condaFile"] and "build" not in properties:
            return ""
        made_of = [properties.get("image"), properties["condaFile"], properties.get("build")]
        digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
        return f"azureml/azureml_{digest[:32]}"

    def start(self, db: sqlite3.Connection, place: Place, version: Thing, *, anew: bool) -> str:
        """Build a version's image, unless that is done or under way; *anew* builds it again. Its id."""
        image = self.image_of(version)
        if not image:
            raise refused(400, f"Environment {version.parent} is an image: there is nothing to build")
        name = image.rpartition("_")[2]
        now = self._platform.now()
        found = find(db, place, _FAMILY, "", name)
        if found is not None and (not anew or now < found.body["ends"]):
            return name
        ends = now + int(self._platform.options.build_seconds * 10_000_000)
        trouble = self._trouble(db, version.body["properties"].get("build"))
        body = {"name": name, "start": now, "ends": ends, "trouble": trouble, "image": image}
        if found is None:
            insert(db, place, _FAMILY, "", body, created=next_moment(db, now), since=now)
        else:
            replace(db, found, body, now)
        return name

    def _trouble(self, db: sqlite3.Connection, build: dict[str, str] | None) -> str:
        """Why a build will fail; only a context in a storage account of ours is looked at."""
        if build is None:
            return ""
        parts = urlsplit(build["contextUri"])
        account, _, rest = (parts.hostname or "").partition(".")
        if rest != f"blob.{self._platform.options.storage_suffix}":
            return ""
        container, _, prefix = unquote(parts.path).lstrip("/").partition("/")
        dockerfile = f"{prefix.rstrip('/')}/{build['dockerfilePath']}".lstrip("/")
        found = db.execute(
            "SELECT 1 FROM azureml_blob WHERE account = ? AND container = ? AND name = ?",
            (account, container, dockerfile),
        ).fetchone()
        return "" if found else f"unable to prepare context: {dockerfile} does not exist"

    def find(self, place: Place, name: str) -> dict[str, Any]:
        """A build by its id. Refuses an unknown one."""
        found = self._platform.find(place, _FAMILY, "", name)
        if found is None:
            raise refused(404, f"There is no build {name}")
        return found.body

    def is_built(self, place: Place, image: str) -> bool:
        """Whether an image is in the workspace's registry."""
        found = self._platform.find(place, _FAMILY, "", image.rpartition("_")[2])
        return found is not None and self.status(found.body) == "Succeeded"

    def status(self, build: dict[str, Any]) -> str:
        """``Queued``, ``Running``, ``Succeeded`` or ``Failed``."""
        now = self._platform.now()
        if now >= build["ends"]:
            return "Failed" if build["trouble"] else "Succeeded"
        return "Running" if 2 * (now - build["start"]) >= build["ends"] - build["start"] else "Queued"

    def log_url(self, place: Place, name: str, origin: str) -> str:
        """Where a build's log is read without a token."""
        return f"{origin}/_log/{place.id}/{name}?sig={self._platform.signature(f'log {place.id} {name}')}"

    def log(self, call: Call) -> Answer:
        """The log of a build, as long as it is by now."""
        place, name = call.params["place"], call.params["build"]
        if call.query.get("sig") != self._platform.signature(f"log {place} {name}"):
            return Answer(403, b"", ((b"x-ms-error-code", b"AuthenticationFailed"),))
        row = self._platform.store.row(
            "SELECT text FROM azureml_thing WHERE place = ? AND family = ? AND name = ?",
            (place, _FAMILY, name),
        )
        build = json.loads(row[0]) if row else {}
        status = self.status(build)
        lines = [f"Queued a build of {build['image']}"]
        if status != "Queued":
            lines += ["Step 1/2 : FROM the base image", "Step 2/2 : RUN the installation"]
        if status == "Failed":
            lines.append(f"failed: {build['trouble']}")
        if status == "Succeeded":
            lines.append(f"Successfully pushed {build['image']}")
        return Answer(
            200, "".join(f"{line}\n" for line in lines).encode(), ((b"content-type", b"text/plain"),)
        )
