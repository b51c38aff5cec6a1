"""Who calls: the token calls of the identity platform and of managed identities, and the check of a token.

Any ``scope`` or ``resource`` of a resource manager and of the service itself
is served: those of the three clouds, and this platform's own address.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from reconciler.providers.azureml.emulator.answers import Refused, answer, arm_error, encode
from reconciler.providers.azureml.emulator.options import CLIENT, TENANT
from reconciler.providers.azureml.emulator.store import Platform, Principal, guid
from reconciler.providers.emulator import Answer, Call

__all__ = ["Tokens", "hashed"]

_AUDIENCES: Final = (
    "https://management.azure.com",
    "https://management.core.windows.net",
    "https://management.usgovcloudapi.net",
    "https://management.chinacloudapi.cn",
    "https://ml.azure.com",
    "https://ml.azure.us",
    "https://studio.ml.azure.cn",
)

_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def hashed(secret: str) -> str:
    """What is stored of a client secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _claims(token: bytes) -> dict[str, Any]:
    """The claims of a JWT whose signature was checked, or does not matter. Raises ValueError."""
    parts = token.split(b".")
    if len(parts) != 3:
        raise ValueError("a JWT has three parts")
    padded = parts[1] + b"=" * (-len(parts[1]) % 4)
    return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=dict[str, Any])


class _Denied(Exception):
    """The identity platform says no: status, OAuth2 error, the number behind AADSTS, and why."""

    def __init__(self, status: int, error: str, number: int, why: str) -> None:
        super().__init__(why)
        self.status, self.error, self.number, self.why = status, error, number, why


class Tokens:
    """Issues access tokens, and knows them again."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._known = lru_cache(maxsize=1000)(self._verified)

    # --- the check ---

    def principal(self, call: Call) -> Principal:
        """Who calls. Refuses a missing, foreign or expired token with 401."""
        authorization = call.header(b"authorization")
        if not authorization:
            raise _unauthorized(
                "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
            )
        principal, expires = self._known(authorization)
        if self._platform.clock().timestamp() >= expires:
            raise _unauthorized(
                "ExpiredAuthenticationToken",
                "The access token expiry UTC time is earlier than current UTC time.",
            )
        return principal

    def _verified(self, authorization: bytes) -> tuple[Principal, int]:
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            raise _unauthorized(
                "AuthenticationFailedInvalidHeader",
                "Authentication failed. The 'Authorization' header is provided in an invalid format.",
            )
        signed, _, signature = token.rpartition(b".")
        if not signed or not hmac.compare_digest(signature, self._sign(signed)):
            raise _unauthorized("InvalidAuthenticationToken", "The access token is invalid.")
        claims = _claims(token)
        return Principal(claims["appid"], claims["role"]), claims["exp"]

    def _sign(self, signed: bytes) -> bytes:
        return _base64(hmac.digest(self._platform.key, signed, "sha256"))

    def _token(self, client_id: str, role: str, audience: str) -> str:
        issued = int(self._platform.clock().timestamp())
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{TENANT}/",
            "iat": issued,
            "nbf": issued,
            "exp": issued + self._platform.options.token_lifetime,
            "appid": client_id,
            "idtyp": "app",
            "oid": guid(f"object {client_id}"),
            "role": role,
            "tid": TENANT,
        }
        signed = b".".join((_base64(b'{"typ":"JWT","alg":"HS256"}'), _base64(json.dumps(claims).encode())))
        return b".".join((signed, self._sign(signed))).decode()

    def _role(self, client_id: str) -> tuple[str, str] | None:
        """Secret hash and role of a service principal."""
        found = self._platform.store.row(
            "SELECT secret_hash, role FROM azureml_principal WHERE client_id = ?", (client_id,)
        )
        return None if found is None else (str(found[0]), str(found[1]))

    # --- the identity platform, v2.0 ---

    def issue(self, call: Call) -> Answer:
        """``POST {tenant}/oauth2/v2.0/token`` with client credentials."""
        fields = dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
        try:
            _check_tenant(call.params["tenant"])
            client_id, role = self._client(fields)
            audience = _audience(fields, call.origin)
        except _Denied as denied:
            return self._denial(denied)
        lifetime = self._platform.options.token_lifetime
        return answer(
            {
                "token_type": "Bearer",
                "expires_in": lifetime,
                "ext_expires_in": lifetime,
                "access_token": self._token(client_id, role, audience),
            }
        )

    def _client(self, fields: Mapping[str, str]) -> tuple[str, str]:
        """Id and role of the client that has proved who it is."""
        for name in ("grant_type", "client_id", "scope"):
            if not fields.get(name):
                raise _Denied(
                    400,
                    "invalid_request",
                    900144,
                    f"The request body must contain the following parameter: '{name}'.",
                )
        if fields["grant_type"] != "client_credentials":
            raise _Denied(
                400,
                "unsupported_grant_type",
                70003,
                f"The app requested an unsupported grant type '{fields['grant_type']}'.",
            )
        client_id = fields["client_id"]
        found = self._role(client_id)
        if found is None:
            raise _Denied(
                400,
                "unauthorized_client",
                700016,
                f"Application with identifier '{client_id}' was not found in the directory.",
            )
        secret_hash, role = found
        if fields.get("client_assertion"):
            self._check_assertion(fields)
        elif not fields.get("client_secret"):
            raise _Denied(
                401,
                "invalid_client",
                7000218,
                "The request body must contain the following parameter:"
                " 'client_assertion' or 'client_secret'.",
            )
        elif not hmac.compare_digest(secret_hash, hashed(fields["client_secret"])):
            raise _Denied(
                401, "invalid_client", 7000215, f"Invalid client secret provided for app '{client_id}'."
            )
        return client_id, role

    def _check_assertion(self, fields: Mapping[str, str]) -> None:
        """A federated token: of any issuer, as long as it is a JWT that is good now."""
        if fields.get("client_assertion_type") != _ASSERTION:
            raise _Denied(400, "invalid_request", 50157, "client_assertion_type is not supported.")
        try:
            claims = _claims(fields["client_assertion"].encode())
        except (ValueError, binascii.Error, msgspec.DecodeError):
            raise _Denied(401, "invalid_client", 50027, "JWT token is invalid or malformed.") from None
        expires = claims.get("exp")
        if not isinstance(expires, int) or expires <= self._platform.clock().timestamp():
            raise _Denied(
                401, "invalid_client", 700024, "Client assertion is not within its valid time range."
            )

    def _denial(self, denied: _Denied) -> Answer:
        now = self._platform.clock()
        trace, correlation = guid(f"trace {denied.why}"), guid(f"correlation {denied.why}")
        spelled = f"{now:%Y-%m-%d %H:%M:%SZ}"
        return answer(
            {
                "error": denied.error,
                "error_description": f"AADSTS{denied.number}: {denied.why} Trace ID: {trace} "
                f"Correlation ID: {correlation} Timestamp: {spelled}",
                "error_codes": [denied.number],
                "timestamp": spelled,
                "trace_id": trace,
                "correlation_id": correlation,
            },
            denied.status,
        )

    def configuration(self, call: Call) -> Answer:
        """What a library reads of a tenant before it asks for a token."""
        try:
            _check_tenant(call.params["tenant"])
        except _Denied as denied:
            return self._denial(denied)
        base = f"{call.origin}/{call.params['tenant']}"
        return answer(
            {
                "issuer": f"{call.origin}/{TENANT}/v2.0",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            }
        )

    def instances(self, call: Call) -> Answer:
        """Which hosts speak for one authority: this one alone."""
        host = urlsplit(call.origin).netloc
        return answer(
            {
                "tenant_discovery_endpoint": f"{call.origin}/{TENANT}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
            }
        )

    # --- managed identities ---

    def metadata_service(self, call: Call) -> Answer:
        """The token call of a virtual machine or a node."""
        if call.header(b"metadata").lower() != b"true":
            return _identity_error(400, "invalid_request", "Required metadata header not specified")
        return self._identity(call)

    def app_service(self, call: Call) -> Answer:
        """The token call inside an app, a container app or a machine learning compute."""
        shown = call.header(b"x-identity-header") or call.header(b"secret")
        if not hmac.compare_digest(shown, CLIENT.encode()):
            return _identity_error(401, "unauthorized", "X-IDENTITY-HEADER is missing or wrong")
        return self._identity(call)

    def _identity(self, call: Call) -> Answer:
        query = call.query
        client_id = query.get("client_id", query.get("clientid", CLIENT))
        found = self._role(client_id)
        if found is None:
            return _identity_error(400, "invalid_request", "Identity not found")
        resource = query.get("resource", "")
        if not _is_known(resource, call.origin):
            return _identity_error(
                400,
                "invalid_resource",
                f"AADSTS500011: The resource principal named {resource} was not found.",
            )
        now, lifetime = int(self._platform.clock().timestamp()), self._platform.options.token_lifetime
        return answer(
            {
                "access_token": self._token(client_id, found[1], resource),
                "client_id": client_id,
                "expires_in": str(lifetime),
                "expires_on": str(now + lifetime),
                "not_before": str(now),
                "resource": resource,
                "token_type": "Bearer",
            }
        )


def _check_tenant(tenant: str) -> None:
    if tenant.lower() not in (TENANT, CLIENT):
        raise _Denied(400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")


def _audience(fields: Mapping[str, str], origin: str) -> str:
    scope = fields["scope"]
    resource, default = scope.removesuffix("/.default"), scope.endswith("/.default")
    if not default or " " in scope:
        raise _Denied(
            400,
            "invalid_scope",
            1002012,
            f"The provided value for scope {scope} is not valid. Client credential flows must have a"
            " scope value with /.default suffixed to the resource identifier (application ID URI).",
        )
    if not _is_known(resource, origin):
        raise _Denied(
            400,
            "invalid_resource",
            500011,
            f"The resource principal named {resource} was not found in the tenant.",
        )
    return resource


def _is_known(resource: str, origin: str) -> bool:
    return resource.rstrip("/") in (*_AUDIENCES, origin)


def _identity_error(status: int, error: str, why: str) -> Answer:
    return Answer(status, encode({"error": error, "error_description": why}))


def _unauthorized(code: str, message: str) -> Refused:
    challenge = (
        f'Bearer authorization_uri="https://login.microsoftonline.com/{TENANT}", error="invalid_token"'
    )
    return Refused(arm_error(401, code, message, (b"www-authenticate", challenge.encode())))
