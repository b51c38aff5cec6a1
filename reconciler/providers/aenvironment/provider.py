"""AEnvironment as a `Provider`: which calls, in which order, and what their answers mean.

Worth knowing of the wire:

- EnvHub deletes nothing. Its list is one answer without pages, and silently
  leaves out records that it cannot read. A read answers 404 also when its
  store is down: ``exists`` tells the two apart.
- PUT keeps what is missing or null, and replaces each top-level key that is
  there as a whole. There is no ETag; ``updated_at`` is the version marker.
- api-service passes a controller's errors on as 500, with their status in
  the text. Which environment a service is of, only lists say. What a service
  was created with (amounts, mount path, image) is never shown again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec

from reconciler.core.attributes import ID, REF, Attributes
from reconciler.core.model import Remote, Resource, ResourceAddress, UsedBy, Verb
from reconciler.core.ports import PlatformContext, Problem, Resolution, ResourceKind
from reconciler.errors import (
    AlreadyExists,
    Forbidden,
    ListingIncomplete,
    NotFound,
    OutcomeUnknown,
    ProviderError,
    Rejected,
    Unavailable,
    WriteNotApplied,
)
from reconciler.providers.aenvironment import api, conversion
from reconciler.providers.aenvironment.access import HINTS, bearer, explain, is_own, means
from reconciler.providers.aenvironment.kinds import KINDS, environment_id, parts_of
from reconciler.providers.aenvironment.settings import Settings
from reconciler.providers.aenvironment.together import collisions, completed, shared_volumes
from reconciler.providers.http import HttpClient, embedded_transport, trust

__all__ = ["AenvironmentProvider"]

T = TypeVar("T")

_NO_SERVICES: Final = "Set `api_service` of this platform in reconciler.toml to the address of api-service."
_LONGEST_PAUSE: Final = 5.0
_GONE: Final = "failed to get deployment"
"""What api-service says of a service that is not there at all."""
_ATTEMPTS: Final = 5

_envelopes = msgspec.json.Decoder(api.Envelope)
_raws = msgspec.json.Decoder(list[msgspec.Raw] | None)
_entries = msgspec.json.Decoder(api.EnvironmentEntry)
_existences = msgspec.json.Decoder(api.Existence)
_services = msgspec.json.Decoder(api.ServiceEntry)
_lists_of_services = msgspec.json.Decoder(list[api.ServiceEntry] | None)
_lists_of_instances = msgspec.json.Decoder(list[api.InstanceEntry] | None)


class AenvironmentProvider:
    """One EnvHub, and its api-service where there is one. See `Provider` for the contract of each method.

    *profile* is None until it is found by asking. *clock* gives Unix time;
    *ready_timeout* is how many seconds a service may take to run.
    """

    kinds: Mapping[str, ResourceKind] = KINDS

    def __init__(
        self,
        name: str,
        hub: HttpClient,
        services: HttpClient | None,
        *,
        profile: api.Profile | None,
        patience: float,
        ready_timeout: int,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.patience = patience
        self._hub = hub
        self._api = services
        self._profile = profile
        self._ready_timeout = ready_timeout
        self._clock = clock
        self._asking = asyncio.Lock()
        self._listing: bytes | None = None
        # When a service was made, and of which environment, by its id: a read does not say.
        self._environments: dict[str, tuple[str, str]] = {}
        # New services that may have started with another image than the one that is wanted.
        self._to_repaint: set[str] = set()

    @classmethod
    def open(cls, settings: Settings, context: PlatformContext, app: Any) -> AenvironmentProvider:
        """The platform behind *settings*; with *app*, the embedded one, which is both servers."""

        def client(address: str) -> HttpClient:
            embedded = app is not None
            return HttpClient(
                "http://embedded" if embedded else address,
                embedded_transport(app) if embedded else None,
                platform=context.platform,
                sign_in=bearer(settings, address, context.secrets),
                explain=explain,
                is_own=is_own,
                means=means,
                hints=HINTS,
                secrets=context.secrets,
                user_agent=context.user_agent,
                concurrency=settings.max_concurrency or (context.parallelism if embedded else 4),
                rate=settings.requests_per_second,
                timeout=settings.timeout_seconds,
                verify=True if embedded else trust(settings.ca_file),
                clock=context.clock,
                random=context.random,
                traffic=context.traffic,
            )

        services = settings.endpoint if settings.is_embedded else settings.api_service
        default = 2.0 if settings.is_embedded else 30.0
        return cls(
            context.platform,
            client(settings.endpoint),
            client(services) if services is not None else None,
            profile=None if settings.profile == "auto" else settings.profile,
            patience=settings.patience_seconds if settings.patience_seconds is not None else default,
            ready_timeout=settings.ready_timeout_seconds,
            clock=context.clock,
        )

    async def close(self) -> None:
        """See `Provider.close`."""
        await self._hub.close()
        if self._api is not None:
            await self._api.close()

    # --- reading ---

    async def list(self, kind: str, *, usage: bool = False) -> AsyncIterator[Remote]:
        """See `Reader.list`."""
        if kind == "service":
            for service in await self._all_services():
                # Without one it is any deployment of the cluster, and no service.
                if environment := conversion.environment_of(service):
                    yield self._service(service, environment, usage=usage)
            return
        users = await self._users("*") if usage else None
        seen: set[str] = set()
        for raw in self._decoded(_raws, await self._listed(), api.ENVIRONMENTS) or ():
            remote = self._environment(raw)
            if remote.id in seen:
                raise self._not_whole(api.ENVIRONMENTS, f"lists {remote.id} twice")
            seen.add(remote.id)
            yield replace(remote, used_by=tuple(users.get(remote.id, ()))) if users is not None else remote

    async def read(self, kind: str, remote_id: str, *, usage: bool = False) -> Remote | None:
        """See `Reader.read`."""
        if kind == "service":
            return await self._read_service(remote_id, usage=usage)
        remote = await self._read_environment(*parts_of(remote_id))
        if remote is not None and usage:
            users = await self._users(remote_id)
            return replace(remote, used_by=None if users is None else tuple(users.get(remote_id, ())))
        return remote

    async def find(self, kind: str, attributes: Attributes) -> Remote | None:
        """See `Reader.find`: the natural identity is the id."""
        if kind == "service":
            return await self._read_service(str(attributes["name"]))
        return await self._read_environment(str(attributes["name"]), str(attributes["version"]))

    async def _listed(self) -> bytes:
        """The list of environments: the one that `resolve` asked for just now, or a new one."""
        kept, self._listing = self._listing, None
        return kept if kept is not None else await self._ask_for_list()

    async def _ask_for_list(self) -> bytes:
        async with self._asking:
            if self._profile is None:
                try:
                    body = await self._hub.get(api.ENVIRONMENTS_REDIRECTED)
                except Rejected as error:
                    if error.status not in (301, 302, 307, 308):
                        raise
                    self._profile = "v0.1"
                else:
                    self._profile = "next"
                    return body
        return await self._hub.get(api.ENVIRONMENTS)

    async def _read_environment(self, name: str, version: str) -> Remote | None:
        path = api.environment_path(name, version)
        try:
            body = await self._hub.get(path)
        except NotFound as error:
            if await self._exists(name, version):
                raise Unavailable(
                    f"{self.name}: {environment_id(name, version)} exists, and EnvHub cannot show it",
                    platform=self.name,
                    call=f"GET {path}",
                    status=404,
                    hint="Nothing was decided. Its record or the store behind EnvHub is damaged; try again "
                    "later, or have it repaired.",
                ) from error
            return None
        remote = self._environment(self._data(body, path))
        # NAME-VERSION is the key: 1-2 of a, and 2 of a-1, are one record.
        return remote if remote.identity == (name, version) else None

    async def _exists(self, name: str, version: str) -> bool:
        path = api.environment_path(name, version, "exists")
        return self._decoded(_existences, await self._hub.get(path), path).exists

    def _environment(self, raw: msgspec.Raw) -> Remote:
        data = bytes(raw)
        try:
            entry = _entries.decode(data)
            values = conversion.environment_from_wire(entry)
        except (*api.UNREADABLE, TypeError, AttributeError) as error:
            raise ListingIncomplete(
                f"{self.name} showed an environment that cannot be understood",
                platform=self.name,
                hint="Nothing was decided. EnvHub may be newer than this program.",
            ) from error
        return Remote(
            kind="environment",
            id=environment_id(entry.name, entry.version),
            identity=(entry.name, entry.version),
            attributes=Attributes(values),
            version=entry.updated_at,
            wire_digest=hashlib.blake2b(data, digest_size=16).hexdigest(),
            details={"created_at": entry.created_at, "updated_at": entry.updated_at},
        )

    # --- services and instances ---

    def _services_client(self) -> HttpClient:
        if self._api is None:
            raise Rejected(
                f"{self.name} has no api-service, and so no services",
                platform=self.name,
                hint=_NO_SERVICES,
            )
        return self._api

    async def _all_services(self) -> Sequence[api.ServiceEntry]:
        path = api.listing_path(api.SERVICES)
        found = self._decoded(_lists_of_services, await self._services_client().get(path), path) or []
        for one in found:
            if environment := conversion.environment_of(one):
                self._environments[one.id] = conversion.birth_of(one), environment
        return found

    async def _read_service(self, name: str, *, usage: bool = False) -> Remote | None:
        path = api.service_path(name)
        try:
            body = await self._services_client().get(path)
        except NotFound as error:
            if _GONE in str(error):
                return None
            # What has lost its address in the cluster is not found either, and runs all the same.
            half = next((one for one in await self._all_services() if one.id == name), None)
            if half is None:
                return None
            entry = half
        else:
            entry = self._decoded(_services, body, path)
        if self._environments.get(entry.id, ("", ""))[0] != conversion.birth_of(entry):
            await self._all_services()
        _, environment = self._environments.get(entry.id, ("", ""))
        if not environment:
            raise self._not_whole(
                api.listing_path(api.SERVICES), f"does not say which environment the service {entry.id} is of"
            )
        return self._service(entry, environment, usage=usage)

    def _service(self, entry: api.ServiceEntry, environment: str, *, usage: bool) -> Remote:
        return Remote(
            kind="service",
            id=entry.id,
            identity=(entry.id,),
            attributes=Attributes(conversion.service_from_wire(entry, environment)),
            # Its id is its name: another one under it, made since, is told by when it was.
            version=conversion.birth_of(entry),
            details={
                "state": f"{entry.status}, {entry.available_replicas} of {entry.replicas} running",
                "url": entry.service_url,
                "created_at": entry.created_at,
                "updated_at": entry.updated_at,
            },
            used_by=() if usage else None,
        )

    async def _users(self, environment: str) -> Mapping[str, Sequence[UsedBy]] | None:
        """What runs of each environment, by its id; None where there is no api-service to ask."""
        if self._api is None:
            return None
        users: dict[str, list[UsedBy]] = defaultdict(list)
        path = api.listing_path(api.SERVICES, environment)
        try:
            body = await self._api.get(path)
        except (Forbidden, Rejected) as error:
            # Only the engine for Kubernetes has services, and there the vendor's chart gives its controller
            # no right to them: with either there are none. Any has instances.
            theirs = isinstance(error, Forbidden) and error.status == 500
            if error.status != 404 and not theirs:
                raise
        else:
            for service in self._decoded(_lists_of_services, body, path) or ():
                users[conversion.environment_of(service)].append(conversion.service_use(service))
        path = api.listing_path(api.INSTANCES, environment)
        now = self._clock()
        for instance in self._decoded(_lists_of_instances, await self._api.get(path), path) or ():
            users[conversion.environment_of(instance)].append(conversion.instance_use(instance, now))
        return users

    # --- answers ---

    def _data(self, body: bytes, path: str) -> msgspec.Raw:
        """What is in the envelope."""
        try:
            envelope = _envelopes.decode(body)
        except api.UNREADABLE as error:
            raise self._not_whole(path, "did not answer in the envelope of AEnvironment") from error
        if not envelope.success:
            raise self._not_whole(path, "answered 200 with a failure inside")
        return envelope.data

    def _decoded(self, decoder: msgspec.json.Decoder[T], body: bytes, path: str) -> T:
        try:
            return decoder.decode(self._data(body, path))
        except api.UNREADABLE as error:
            raise self._not_whole(path, "did not answer with what we know of it") from error

    def _not_whole(self, path: str, what: str) -> ListingIncomplete:
        call = f"GET {path}"
        return ListingIncomplete(
            f"{self.name}: {call} {what}",
            platform=self.name,
            call=call,
            hint="Nothing was decided. Try again; if it stays so, the API is not the one we know.",
        )

    # --- writing ---

    async def create(self, address: ResourceAddress, attributes: Attributes, *, key: str) -> str:
        """See `Provider.create`. Neither server has a place for *key*: names are given, and taken once."""
        if address.kind == "service":
            return await self._create_service(attributes)
        body = conversion.environment_body(attributes)
        try:
            await self._hub.request("POST", api.ENVIRONMENTS, body=msgspec.json.encode(body))
        except AlreadyExists as error:
            await self._explain_collision(str(body["name"]), str(body["version"]), error)
            raise
        return environment_id(str(body["name"]), str(body["version"]))

    async def _explain_collision(self, name: str, version: str, error: AlreadyExists) -> None:
        """Raise, when it is another environment that has the key of this one."""
        path = api.environment_path(name, version)
        try:
            other = self._environment(self._data(await self._hub.get(path), path))
        except ProviderError:
            return  # that it exists is known, and it cannot be shown
        if other.identity != (name, version):
            raise AlreadyExists(
                f"{self.name}: {environment_id(name, version)} has the same key in EnvHub as {other.id}",
                platform=self.name,
                call=error.call,
                status=error.status,
                hint="Give it another name or version: EnvHub joins the two with a hyphen.",
            ) from error

    async def _create_service(self, attributes: Attributes) -> str:
        body = conversion.service_body(attributes)
        client = self._services_client()
        if image := attributes.get("image"):
            self._to_repaint.add(str(attributes["name"]))
        answer = await client.request("POST", api.SERVICES, body=msgspec.json.encode(body))
        try:
            made = _services.decode(_envelopes.decode(answer.body).data)
        except api.UNREADABLE as error:
            # Accepted, so it is there, or will be: whoever asked has to look for it.
            raise OutcomeUnknown(
                f"{self.name}: POST {api.SERVICES} was accepted, and its answer holds no service",
                platform=self.name,
                call=f"POST {api.SERVICES}",
                status=answer.status,
            ) from error
        self._environments[made.id] = conversion.birth_of(made), str(body["envName"])
        if made.env is not None and conversion.image_of(made.env.artifacts) == image:
            self._to_repaint.discard(made.id)
        return made.id

    async def update(
        self, address: ResourceAddress, remote_id: str, attributes: Attributes, *, previous: Remote
    ) -> None:
        """See `Provider.update`. Nothing is sent where nothing changes: EnvHub counts that as a change."""
        before = previous.attributes.values_
        if address.kind == "service":
            body = conversion.service_change(before, attributes)
            if body:
                await self._change_service(remote_id, body)
            return
        body = conversion.changed(before, attributes)
        try:
            if body == {"status": "Released"}:
                await self._hub.request("POST", api.environment_path(*parts_of(remote_id), "release"))
            elif body:
                # With other changes beside it, a release goes with them: two calls could be cut apart.
                await self._hub.request(
                    "PUT", api.environment_path(*parts_of(remote_id)), body=msgspec.json.encode(body)
                )
        except NotFound as error:
            raise NotFound(
                str(error),
                platform=self.name,
                call=error.call,
                status=error.status,
                hint="Nothing was written. EnvHub says so of what is gone, and of everything while its store "
                "is in trouble: the next plan tells which.",
            ) from error

    async def _change_service(
        self, remote_id: str, changes: Mapping[str, Any], *, repeatable: bool = False
    ) -> None:
        """Change a service in place.

        The controller writes over what it reads just before; where the
        cluster changed that in between (it counts what runs), nothing happens
        and it says 409.
        """
        path, body = api.service_path(remote_id), msgspec.json.encode(changes)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._services_client().request("PUT", path, body=body, repeatable=repeatable)
                return
            except AlreadyExists:
                if attempt == _ATTEMPTS:
                    raise
            await asyncio.sleep(0.1 * 2**attempt)

    async def delete(
        self, address: ResourceAddress, remote_id: str, *, parting: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """See `Provider.delete`. Storage of a service stays, unless *parting* says that it goes, too."""
        if address.kind == "environment":
            raise Rejected(
                f"{self.name}: EnvHub deletes nothing; {remote_id} stays",
                platform=self.name,
                hint="Let go of it: `reconciler state rm` forgets what it managed.",
            )
        params = None
        if parting.get("delete_storage"):
            await self._check_storage(remote_id)
            params = {"deleteStorage": "true"}
        with contextlib.suppress(NotFound):
            await self._services_client().request("DELETE", api.service_path(remote_id), params=params)
        self._environments.pop(remote_id, None)

    async def _check_storage(self, remote_id: str) -> None:
        """Raise, when the volume of this service is that of others, too: whoever they belong to."""
        found = await self._all_services()
        volume = next((one.pvc_name for one in found if one.id == remote_id), "")
        others = sorted(one.id for one in found if volume and one.pvc_name == volume and one.id != remote_id)
        if others:
            raise Rejected(
                f"{self.name}: the volume {volume} of {remote_id} is used by {', '.join(others)}, too",
                platform=self.name,
                hint="Nothing was deleted. Take `delete_storage` out of its spec and apply that: then the "
                "service goes, and the volume stays.",
            )

    async def await_ready(self, address: ResourceAddress, remote_id: str, attributes: Attributes) -> None:
        """See `Readiness.await_ready`: a service has all its replicas running, with its own image.

        A new one starts with what EnvHub has for its environment. That is
        another image only where the environment was no part of the plan; it
        is set here, where the service is known and cannot be lost any more.
        So are no replicas at all, which creation takes for one.
        """
        if address.kind != "service":
            return
        path = api.service_path(remote_id)
        if remote_id in self._to_repaint and attributes.get("image"):
            await self._change_service(remote_id, {"image": attributes["image"]}, repeatable=True)
            self._to_repaint.discard(remote_id)
        replicas = attributes.get("replicas")
        wanted = 1 if replicas is None else replicas
        if not wanted:
            entry = self._decoded(_services, await self._services_client().get(path), path)
            if entry.replicas:
                await self._change_service(remote_id, {"replicas": 0}, repeatable=True)
        limit = attributes.get("ready_timeout")
        limit = self._ready_timeout if limit is None else limit
        if not limit:
            return
        deadline = time.monotonic() + limit
        pause = 0.1
        while True:
            entry = self._decoded(_services, await self._services_client().get(path), path)
            # One that is scaled to nothing stays "Creating".
            if entry.available_replicas >= wanted and (entry.status == "Running" or not wanted):
                return
            if time.monotonic() >= deadline:
                raise WriteNotApplied(
                    f"{address}: the service is there and does not run after {limit} s: "
                    f"{entry.status}, {entry.available_replicas} of {wanted} replicas available",
                    platform=self.name,
                    call=f"GET {path}",
                    hint="Look at its pods. `ready_timeout` in its spec gives it more time; 0 does not wait.",
                )
            await asyncio.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def place(self, attributes: Attributes) -> str:
        """See `Reader.place`: EnvHub has no places; a service stands at its environment."""
        reference = attributes.get("environment")
        if isinstance(reference, Mapping):
            return f"environment {reference.get(ID) or reference.get(REF)}"
        return ""

    def call(self, verb: Verb, kind: str, remote_id: str, attributes: Attributes | None = None) -> str:
        """See `Reader.call`."""
        method = {Verb.CREATE: "POST", Verb.UPDATE: "PUT", Verb.DELETE: "DELETE"}.get(verb, "GET")
        if kind == "service":
            return f"{method} {api.SERVICES if verb is Verb.CREATE else api.service_path(remote_id)}"
        if verb is Verb.CREATE:
            return f"{method} {api.ENVIRONMENTS}"
        return f"{method} {api.environment_path(*parts_of(remote_id))}"

    # --- the whole set of specs ---

    async def resolve(self, resources: Sequence[Resource]) -> Resolution:
        """See `Reader.resolve`: what only all specs together and the server's release can tell."""
        environments = [one for one in resources if one.address.kind == "environment"]
        services = [one for one in resources if one.address.kind == "service"]
        problems = [*collisions(environments), *self._unserved(services)]
        warnings: list[str] = []
        by_address = {one.address: one for one in resources}
        if environments and not problems:
            self._listing = await self._ask_for_list()
            warnings += self._unlike(environments)
            if self._profile == "v0.1":
                described = [one for one in environments if one.attributes.get("description") is not None]
                for one in described:
                    values = {k: v for k, v in one.attributes.items() if k != "description"}
                    by_address[one.address] = replace(one, attributes=Attributes(values))
                if described:
                    more = f" and {len(described) - 1} more" if len(described) > 1 else ""
                    left = f"{described[0].address}{more}: this EnvHub (v0.1) keeps no description; left out"
                    warnings.append(left)
        for one in services:
            by_address[one.address] = completed(one, by_address)
        problems += shared_volumes(by_address[one.address] for one in services)
        return Resolution(
            tuple(by_address[one.address] for one in resources), tuple(problems), tuple(warnings)
        )

    def _unserved(self, services: Iterable[Resource]) -> Iterable[Problem]:
        if self._api is not None:
            return ()
        return [
            Problem((), f"{self.name} has no api-service, and so no services", _NO_SERVICES, one.address)
            for one in services
        ]

    def _unlike(self, environments: Iterable[Resource]) -> Iterable[str]:
        """A warning for each environment whose live image no spec knows: somebody built it since."""
        assert self._listing is not None
        images: dict[tuple[str, str], str] = {}
        for raw in self._decoded(_raws, self._listing, api.ENVIRONMENTS) or ():
            try:
                entry = _entries.decode(raw)
            except api.UNREADABLE:
                continue  # the listing proper complains of it
            images[entry.name, entry.version] = conversion.image_of(entry.artifacts)
        for one in environments:
            values = one.attributes
            live = images.get((values["name"], values["version"]), "")
            if live and "image" not in values and "artifacts" not in values:
                yield (
                    f"{one.address}: EnvHub has the image {live}, which the spec does not name: it stays. "
                    "`aenv get` shows it, to be taken into config.json"
                )
