"""azure-identity's credentials at the embedded Azure ML's token endpoints."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.providers.azureml.emulator import CLIENT, HERE, TENANT

pytestmark = pytest.mark.filterwarnings("ignore")

SCOPE = "https://management.azure.com/.default"
GROUP = f"/subscriptions/{HERE.subscription}/resourceGroups/{HERE.resource_group}"


def opens_the_door(served: Any, token: str) -> bool:
    """Whether the workspace can be read with this token."""
    url = f"{served.url}{GROUP}/providers/Microsoft.MachineLearningServices/workspaces?api-version=1"
    headers = {"authorization": f"Bearer {token}"}
    trusted = httpx.create_ssl_context(verify=served.ca_file)
    return httpx.get(url, headers=headers, verify=trusted).status_code == 200


def test_a_client_secret(served: Any, credential: Any) -> None:
    """After a look at the tenant's configuration."""
    token = credential.get_token(SCOPE)
    assert opens_the_door(served, token.token)
    assert served.asked[:2] == [
        f"GET /{TENANT}/v2.0/.well-known/openid-configuration",
        f"POST /{TENANT}/oauth2/v2.0/token",
    ]


@pytest.mark.parametrize(
    ("client_id", "secret", "number"), [(CLIENT, "wrong", "7000215"), ("nobody", CLIENT, "700016")]
)
def test_a_wrong_secret_or_client_is_told_by_its_number(
    served: Any, client_id: str, secret: str, number: str
) -> None:
    """As the identity platform tells it."""
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import ClientSecretCredential

    wrong = ClientSecretCredential(
        TENANT,
        client_id,
        secret,
        authority=served.url,
        disable_instance_discovery=True,
        connection_verify=served.ca_file,
    )
    with pytest.raises(ClientAuthenticationError, match=f"AADSTS{number}: "):
        wrong.get_token(SCOPE)


def test_a_federated_token(served: Any, tmp_path: Path) -> None:
    """Workload identity: a file with a token that somebody else issued."""
    from azure.identity import WorkloadIdentityCredential

    claims = base64.urlsafe_b64encode(json.dumps({"exp": 2**40}).encode()).rstrip(b"=").decode()
    (tmp_path / "token").write_text(f"e30.{claims}.c2ln")
    federated = WorkloadIdentityCredential(
        tenant_id=TENANT,
        client_id=CLIENT,
        token_file_path=str(tmp_path / "token"),
        authority=served.url,
        disable_instance_discovery=True,
        connection_verify=served.ca_file,
    )
    assert opens_the_door(served, federated.get_token(SCOPE).token)


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({"AZURE_POD_IDENTITY_AUTHORITY_HOST": "{url}"}, "/metadata/identity/oauth2/token"),
        ({"IDENTITY_ENDPOINT": "{url}/msi/token", "IDENTITY_HEADER": CLIENT}, "/msi/token"),
        ({"MSI_ENDPOINT": "{url}/msi/token", "MSI_SECRET": CLIENT}, "/msi/token"),
    ],
)
def test_a_managed_identity(
    served: Any, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], path: str
) -> None:
    """Of a virtual machine, of an app, of a compute of the workspace."""
    from azure.identity import ManagedIdentityCredential

    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(url=served.url))
    managed = ManagedIdentityCredential(connection_verify=served.ca_file)
    token = managed.get_token(SCOPE).token
    assert [line.partition("?")[0] for line in served.asked] == [f"GET {path}"]
    assert opens_the_door(served, token)
