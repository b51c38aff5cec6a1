"""Who is let in, and what they may do."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from reconciler.providers.azureml.emulator import TENANT, add_principal

SCOPE = "https://management.azure.com/.default"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def jwt(**claims: Any) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{body}.c2ln"


class TestClientCredentials:
    def test_a_secret_is_worth_a_token(self, platform: Any) -> None:
        """For a whole hour, nearly."""
        status, answer = platform.sign_in()
        token = answer.pop("access_token")
        assert (status, answer) == (200, {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599})
        assert platform.ask("GET", "", token=token)[0] == 200
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        assert (claims["aud"], claims["tid"], claims["appid"]) == (
            "https://management.azure.com",
            TENANT,
            "embedded",
        )

    @pytest.mark.parametrize(
        "scope",
        [
            "https://management.azure.com//.default",
            "https://management.usgovcloudapi.net/.default",
            "https://management.chinacloudapi.cn/.default",
            "https://azureml/.default",
        ],
    )
    def test_every_cloud_has_its_scope(self, platform: Any, scope: str) -> None:
        """And so has a cloud that is made of this platform alone."""
        assert platform.sign_in(scope=scope)[0] == 200

    @pytest.mark.parametrize(
        ("fields", "status", "error", "number"),
        [
            ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
            ({"client_secret": ""}, 401, "invalid_client", 7000218),
            ({"client_id": "nobody"}, 400, "unauthorized_client", 700016),
            ({"client_id": ""}, 400, "invalid_request", 900144),
            ({"scope": ""}, 400, "invalid_request", 900144),
            ({"grant_type": ""}, 400, "invalid_request", 900144),
            ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
            ({"scope": "https://management.azure.com"}, 400, "invalid_scope", 1002012),
            ({"scope": f"{SCOPE} {SCOPE}"}, 400, "invalid_scope", 1002012),
            ({"scope": "https://storage.azure.com/.default"}, 400, "invalid_resource", 500011),
        ],
    )
    def test_what_is_wrong_has_a_number(
        self, platform: Any, fields: dict[str, str], status: int, error: str, number: int
    ) -> None:
        """OAuth2 has a word for it, and the vendor a number; no secret is repeated."""
        found, answer = platform.sign_in(**fields)
        assert (found, answer["error"], answer["error_codes"]) == (status, error, [number])
        assert answer["error_description"].startswith(f"AADSTS{number}: ")
        assert sorted(answer) == sorted(
            ["error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id"]
        )
        assert "wrong" not in json.dumps(answer)

    def test_another_tenant_is_not_here(self, platform: Any) -> None:
        """Neither its tokens nor its configuration."""
        form = {"grant_type": "client_credentials"}
        response = platform.send("POST", "/elsewhere/oauth2/v2.0/token", data=form)
        assert (response.status_code, response.json()["error_codes"]) == (400, [90002])
        assert platform.send("GET", "/elsewhere/v2.0/.well-known/openid-configuration").status_code == 400

    def test_a_federated_token_is_as_good_as_a_secret(self, platform: Any) -> None:
        """Workload identity."""
        end = int(platform.now.timestamp()) + 60
        fields = {"client_secret": "", "client_assertion_type": ASSERTION, "client_assertion": jwt(exp=end)}
        status, answer = platform.sign_in(**fields)
        assert status == 200
        assert platform.ask("GET", "", token=answer["access_token"])[0] == 200

    @pytest.mark.parametrize(
        ("assertion", "kind", "number"),
        [
            (jwt(exp=1), ASSERTION, 700024),
            (jwt(), ASSERTION, 700024),
            ("no.jwt", ASSERTION, 50027),
            ("a.!!!.c", ASSERTION, 50027),
            (jwt(exp=2**40), "saml", 50157),
        ],
    )
    def test_a_federated_token_must_be_one_that_is_good_now(
        self, platform: Any, assertion: str, kind: str, number: int
    ) -> None:
        """Expired, malformed, of another kind."""
        fields = {"client_secret": "", "client_assertion_type": kind, "client_assertion": assertion}
        assert platform.sign_in(**fields)[1]["error_codes"] == [number]

    def test_a_library_finds_its_way(self, platform: Any) -> None:
        """From the tenant's configuration to the token endpoint."""
        found = platform.send("GET", f"/{TENANT}/v2.0/.well-known/openid-configuration").json()
        assert found["token_endpoint"] == f"https://azureml/{TENANT}/oauth2/v2.0/token"
        listed = platform.send("GET", "/common/discovery/instance?api-version=1.1").json()
        assert listed["metadata"][0]["aliases"] == ["azureml"]


class TestManagedIdentity:
    RESOURCE = "https://management.azure.com"

    @pytest.mark.parametrize(
        ("path", "headers", "query"),
        [
            ("/metadata/identity/oauth2/token", {"Metadata": "true"}, {"api-version": "2018-02-01"}),
            ("/msi/token", {"X-IDENTITY-HEADER": "embedded"}, {"api-version": "2019-08-01"}),
            ("/msi/token", {"secret": "embedded"}, {"api-version": "2017-09-01", "clientid": "embedded"}),
        ],
    )
    def test_each_place_has_its_call(
        self, platform: Any, path: str, headers: dict[str, str], query: dict[str, str]
    ) -> None:
        """A virtual machine, an app, a compute of the workspace; times are seconds in quotes."""
        query = {**query, "resource": self.RESOURCE}
        answer = platform.send("GET", path, headers=headers, params=query, token="").json()
        token = answer.pop("access_token")
        now = int(platform.now.timestamp())
        assert answer == {
            "client_id": "embedded",
            "expires_in": "3599",
            "expires_on": str(now + 3599),
            "not_before": str(now),
            "resource": self.RESOURCE,
            "token_type": "Bearer",
        }
        assert platform.ask("GET", "", token=token)[0] == 200

    @pytest.mark.parametrize(
        ("path", "headers", "query", "status", "error"),
        [
            ("/metadata/identity/oauth2/token", {}, {}, 400, "invalid_request"),
            (
                "/metadata/identity/oauth2/token",
                {"Metadata": "true"},
                {"client_id": "x"},
                400,
                "invalid_request",
            ),
            (
                "/metadata/identity/oauth2/token",
                {"Metadata": "true"},
                {"resource": "x"},
                400,
                "invalid_resource",
            ),
            ("/msi/token", {"X-IDENTITY-HEADER": "wrong"}, {}, 401, "unauthorized"),
            ("/msi/token", {}, {}, 401, "unauthorized"),
        ],
    )
    def test_what_is_wrong_is_told(
        self, platform: Any, path: str, headers: Any, query: Any, status: int, error: str
    ) -> None:
        """Without its header nobody gets a token."""
        query = {"resource": self.RESOURCE, **query}
        response = platform.send("GET", path, headers=headers, params=query, token="")
        assert (response.status_code, response.json()["error"]) == (status, error)


class TestBearer:
    @pytest.mark.parametrize(
        ("authorization", "code"),
        [
            ("", "AuthenticationFailed"),
            ("Basic eDp5", "AuthenticationFailedInvalidHeader"),
            ("Bearer x", "InvalidAuthenticationToken"),
            ("Bearer a.b.c", "InvalidAuthenticationToken"),
        ],
    )
    def test_no_token_of_ours_is_refused(self, platform: Any, authorization: str, code: str) -> None:
        """401, with a challenge."""
        headers = {"authorization": authorization} if authorization else {}
        response = platform.send(
            "GET",
            "/subscriptions/x/providers/Microsoft.MachineLearningServices/workspaces",
            token="",
            headers=headers,
        )
        assert (response.status_code, response.json()["error"]["code"]) == (401, code)
        assert response.headers["www-authenticate"].startswith("Bearer authorization_uri=")

    def test_a_token_ends(self, platform: Any) -> None:
        """After 3599 seconds."""
        platform.wait(3598)
        assert platform.ask("GET", "")[0] == 200
        platform.wait(1)
        status, body = platform.ask("GET", "")
        assert (status, body["error"]["code"]) == (401, "ExpiredAuthenticationToken")

    def test_a_reader_may_not_write(self, platform: Any) -> None:
        """403, and who it was about."""
        add_principal(platform.store, client_id="guest", client_secret="s3cr3t", role="reader")
        assert platform.sign_in(client_id="guest", client_secret="s3cr3t")[0] == 200
        assert platform.ask("GET", "environments")[0] == 200
        status, body = platform.ask("PUT", "environments/x", {"properties": {}})
        assert (status, body["error"]["code"]) == (403, "AuthorizationFailed")
        assert "The client 'guest' with object id" in body["error"]["message"]
