"""Access tokens for Azure: client secret, workload identity, managed identity, Azure CLI.

The requests are those of the vendor's own credentials (azure-identity
1.27.0), without the discovery calls before them, which a given tenant makes
needless. Whatever else that library can do is asked of it, where it is
installed: it is an extra.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from reconciler.core.ports import SecretSource
from reconciler.errors import ProviderError, SecretUnavailable, Unauthenticated
from reconciler.providers.azureml import api
from reconciler.providers.azureml.settings import CLOUDS, Settings
from reconciler.providers.http import HttpClient, Token

__all__ = ["EMBEDDED_HOST", "HINTS", "SignIn", "SignInFailed"]

EMBEDDED_HOST: Final = "http://embedded"
"""Where the embedded platform is asked, in this process."""
_EMBEDDED: Final = "embedded"
"""Tenant, id and secret of the identity that an embedded platform is born with."""
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_METADATA: Final = "http://169.254.169.254"
_MARGIN: Final = 240.0
"""Seconds by which a token is said to end early: with the client's own minute, the vendor's 300."""
_CLI_SECONDS: Final = 60.0
_SCHEME: Final = ".default"
_LONGEST: Final = 200


class SignInFailed(Unauthenticated):
    """There is no access token; its hint says what to do about that."""


class SignIn:
    """Fetches access tokens for *resource* (ARM when None), as ``auth`` of the platform says.

    *metadata* makes a client for the metadata service of the machine. Never
    raises `NotFound`: an absent token call says nothing about any object.
    """

    def __init__(
        self,
        settings: Settings,
        secrets: SecretSource,
        clock: Callable[[], float],
        *,
        connect: Callable[[str], HttpClient],
        resource: str | None = None,
    ) -> None:
        self._settings = settings
        self._secrets = secrets
        self._clock = clock
        self._connect = connect
        cloud = CLOUDS[settings.cloud]
        self._authority = settings.authority or (EMBEDDED_HOST if settings.is_embedded else cloud.authority)
        self._resource = resource or cloud.endpoint
        self._credential: Any = None

    async def __call__(self, client: HttpClient) -> Token:
        ways: dict[str, Callable[[HttpClient], Awaitable[Token]]] = {
            "client-secret": self._by_secret,
            "workload-identity": self._by_workload,
            "managed-identity": self._by_machine,
            "azure-cli": self._by_cli,
            "azure-identity": self._by_library,
        }
        try:
            return await ways[self._settings.auth](client)
        except ProviderError as error:
            # Whatever went wrong went wrong with the sign-in: no object is absent, no write uncertain.
            if error.status in (400, 401, 403, 404, 405, 410):
                raise self._refused(client, error) from error
            raise

    def _refused(self, client: HttpClient, error: ProviderError) -> SignInFailed:
        return SignInFailed(
            str(error),
            platform=client.platform,
            call=error.call,
            status=error.status,
            request_id=error.request_id,
            hint=HINTS[self._settings.auth],
        )

    def _said(self, client: HttpClient, name: str, variable: str, default: str = "") -> str:
        """A value of the settings, or of the variable that the vendor's tools take it from."""
        value: Any = getattr(self._settings, name)
        if isinstance(value, str):
            return value
        try:
            return self._secrets.value(value or {"env": variable})
        except SecretUnavailable as error:
            if value is None and default:
                return default
            raise SignInFailed(
                f"{client.platform}: {error}",
                platform=client.platform,
                hint=f"Set {variable}, or say `{name}` in [platforms.{client.platform}].",
            ) from error

    # --- from the authority ---

    async def _by_secret(self, client: HttpClient) -> Token:
        default = _EMBEDDED if self._settings.is_embedded else ""
        secret = self._said(client, "client_secret", "AZURE_CLIENT_SECRET", default)
        return await self._granted(client, {"client_secret": secret})

    async def _by_workload(self, client: HttpClient) -> Token:
        file = self._said(client, "federated_token_file", "AZURE_FEDERATED_TOKEN_FILE")
        try:
            # Anew each time: the cluster writes it anew before it ends.
            assertion = (await asyncio.to_thread(Path(file).read_text, encoding="utf-8")).strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise SignInFailed(
                f"{client.platform}: the token of the workload identity cannot be read: {why}",
                platform=client.platform,
                hint=HINTS["workload-identity"],
            ) from error
        self._secrets.learn(assertion)
        return await self._granted(
            client, {"client_assertion_type": _ASSERTION, "client_assertion": assertion}
        )

    async def _granted(self, client: HttpClient, proof: Mapping[str, str]) -> Token:
        default = _EMBEDDED if self._settings.is_embedded else ""
        tenant = self._said(client, "tenant_id", "AZURE_TENANT_ID", default)
        form = {
            "grant_type": "client_credentials",
            "client_id": self._said(client, "client_id", "AZURE_CLIENT_ID", default),
            **proof,
            "scope": f"{self._resource}/{_SCHEME}",
        }
        answer = await client.request(
            "POST",
            f"{self._authority}/{tenant}/oauth2/v2.0/token",
            body=urlencode(form).encode(),
            content_type="application/x-www-form-urlencoded",
            repeatable=True,
            signed=False,
        )
        return self._token(client, answer.body)

    # --- from the machine ---

    async def _by_machine(self, client: HttpClient) -> Token:
        """From the metadata service of an Azure VM, an app service or an Azure ML compute."""
        params = {"resource": self._resource}
        if self._settings.client_id is not None:
            params["client_id"] = self._said(client, "client_id", "AZURE_CLIENT_ID")
        if (base := os.environ.get("IDENTITY_ENDPOINT")) and (key := os.environ.get("IDENTITY_HEADER")):
            headers, version = {"X-IDENTITY-HEADER": key}, "2019-08-01"
        elif (base := os.environ.get("MSI_ENDPOINT")) and (key := os.environ.get("MSI_SECRET")):
            headers, version = {"secret": key}, "2017-09-01"
            if "client_id" in params:
                params["clientid"] = params.pop("client_id")
        else:
            key = ""
            host = os.environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST", _METADATA)
            base = f"{host.rstrip('/')}/metadata/identity/oauth2/token"
            headers, version = {"Metadata": "true"}, "2018-02-01"
        if key:
            self._secrets.learn(key)
        service = self._connect(base)
        try:
            answer = await service.request(
                "GET", base, params={"api-version": version, **params}, headers=headers, signed=False
            )
        finally:
            await service.close()
        return self._token(client, answer.body)

    async def _by_cli(self, client: HttpClient) -> Token:
        """From the Azure CLI that a person has signed in with."""
        command = ["account", "get-access-token", "--output", "json", "--resource", self._resource]
        if self._settings.tenant_id is not None:
            command += ["--tenant", self._said(client, "tenant_id", "AZURE_TENANT_ID")]
        else:
            command += ["--subscription", self._settings.subscription_id]
        program = shutil.which("az")
        if program is None:
            raise self._no_cli(client, "it is not installed")
        process = await asyncio.create_subprocess_exec(
            program,
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_CLI_SECONDS):
                out, _ = await process.communicate()
        except TimeoutError as error:
            process.kill()
            await process.wait()
            raise self._no_cli(client, f"no answer after {_CLI_SECONDS:g} s") from error
        if process.returncode:
            # What it says may quote what it was given: never shown.
            raise self._no_cli(client, f"it ended with exit code {process.returncode}")
        return self._token(client, out)

    def _no_cli(self, client: HttpClient, why: str) -> SignInFailed:
        return SignInFailed(
            f"{client.platform}: the Azure CLI gives no token: {why}",
            platform=client.platform,
            hint=HINTS["azure-cli"],
        )

    async def _by_library(self, client: HttpClient) -> Token:
        """From whatever the vendor's library finds: a certificate, an editor, a broker, any of the above."""
        try:
            library: Any = importlib.import_module("azure.identity")
        except ImportError as error:
            raise SignInFailed(
                f"{client.platform}: azure-identity is not installed",
                platform=client.platform,
                hint="pip install 'reconciler[azure]', or set `auth` of this platform to another way.",
            ) from error
        try:
            if self._credential is None:
                self._credential = library.DefaultAzureCredential(authority=urlsplit(self._authority).netloc)
            found = await asyncio.to_thread(self._credential.get_token, f"{self._resource}/{_SCHEME}")
        except Exception as error:  # its errors, and those of what it asks, have no root of their own
            said = self._secrets.mask(str(error)).partition("\n")[0]
            raise SignInFailed(
                f"{client.platform}: azure-identity gives no token: {said[:_LONGEST]}",
                platform=client.platform,
                hint=HINTS["azure-identity"],
            ) from error
        return self._ending(found.token, found.expires_on - self._clock())

    # --- answers ---

    def _token(self, client: HttpClient, body: bytes) -> Token:
        """The token in an answer of any of them; it ends when they say, a little earlier."""
        try:
            answer = api.tables.decode(body)
        except api.UNREADABLE:
            answer = {}
        value = answer.get("access_token") or answer.get("accessToken")
        if not isinstance(value, str) or not value:
            raise SignInFailed(
                f"{client.platform}: the sign-in was answered without a token",
                platform=client.platform,
                hint=HINTS[self._settings.auth],
            )
        return self._ending(value, _seconds_left(answer, self._clock()))

    def _ending(self, value: str, left: float) -> Token:
        """A token that is good for *left* seconds, said to end a little earlier."""
        return Token(value, self._clock() + max(left - _MARGIN, left / 2))


HINTS: Final[Mapping[str, str]] = {
    "client-secret": "Check AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or what stands for "
    "them in reconciler.toml. A client secret may have ended.",
    "workload-identity": "Is AZURE_FEDERATED_TOKEN_FILE set by the cluster, and does the identity trust its "
    "service account?",
    "managed-identity": "Has this machine a managed identity? One of several is named by `client_id`.",
    "azure-identity": "Its own documentation says what it looks for; `az login` is the shortest way.",
    "azure-cli": "Sign in first: az login. Or set `auth` of this platform.",
}
"""What to do about a sign-in that is refused, by how the platform is signed in to."""


def _seconds_left(answer: Mapping[str, Any], now: float) -> float:
    """How long the token of an answer is good for. The Azure CLI of old names local time without a zone."""
    for name, since in (("expires_in", 0.0), ("expires_on", now)):
        try:
            return max(0.0, float(answer[name]) - since)
        except (KeyError, TypeError, ValueError):
            continue
    try:
        return max(0.0, datetime.fromisoformat(str(answer["expiresOn"])).astimezone().timestamp() - now)
    except (KeyError, ValueError):
        return 3600.0
