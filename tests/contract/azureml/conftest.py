"""An embedded Azure ML behind TLS on a loopback port, for the vendor's own clients.

They refuse to send a token over plain HTTP. Importing them warns, and takes a
second: nothing here imports them before a test that needs them runs.
"""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvicorn

from reconciler.providers.azureml.emulator import CLIENT, HERE, TENANT, Options, build_app
from reconciler.providers.emulator import Store


class Front:
    """One server for all tests, with one platform at a time."""

    def __init__(self) -> None:
        self.url = ""
        self.ca_file = ""
        self.app: Any = None
        self.asked: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = f"?{scope['query_string'].decode()}" if scope["query_string"] else ""
        self.asked.append(f"{scope['method']} {scope['path']}{query}")

        async def sending(message: Any) -> None:
            # The vendor's clients keep connections open, cannot be closed, and would hold up the end.
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await self.app(scope, receive, sending)


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A uvicorn in a thread, for the whole session."""
    place = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(place / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1", "localhost", "*.blob.core.localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(place / "server.pem"))
    front = Front()
    front.ca_file = str(place / "ca.pem")
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        front.url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            front,
            lifespan="off",
            ws="none",
            log_config=None,
            ssl_certfile=str(place / "server.pem"),
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield front
        server.should_exit = True
        thread.join()


@dataclass(frozen=True)
class Served:
    """A platform that answers at ``url``."""

    url: str
    ca_file: str
    store: Store
    front: Front

    @property
    def asked(self) -> list[str]:
        """What was asked since the last look: methods, paths, queries; without the workspace's address."""
        group = f"/subscriptions/{HERE.subscription}/resourceGroups/{HERE.resource_group}"
        address = f"{group}/providers/Microsoft.MachineLearningServices/workspaces/{HERE.name}/"
        found = [line.replace(address, "") for line in self.front.asked]
        self.front.asked.clear()
        return found


@pytest.fixture
def serve(front: Front, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Serves a new Azure ML on the real clock, with these options."""
    stores: list[Store] = []

    def serving(options: Options | None = None) -> Served:
        stores.append(Store(None))
        front.app = build_app(
            stores[-1],
            clock=lambda: datetime.now(UTC),
            new_id=lambda: str(uuid.uuid4()),
            options=options or Options(operation_seconds=0.0, build_seconds=0.0),
        )
        front.asked.clear()
        return Served(front.url, front.ca_file, stores[-1], front)

    yield serving
    front.app = None
    for store in stores:
        store.close()


@pytest.fixture
def served(serve: Callable[..., Served], request: pytest.FixtureRequest) -> Served:
    """A platform; with the options that a test is parametrized with."""
    return serve(getattr(request, "param", None))


@pytest.fixture
def credential(served: Served) -> Any:
    """azure-identity's own client credentials, at the platform's token endpoint."""
    from azure.identity import ClientSecretCredential

    return ClientSecretCredential(
        TENANT,
        CLIENT,
        CLIENT,
        authority=served.url,
        disable_instance_discovery=True,
        connection_verify=served.ca_file,
    )


@pytest.fixture
def ml_client(served: Served, credential: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The vendor's own client, as its users make it."""
    from azure.ai.ml import MLClient

    monkeypatch.setenv("AZUREML_DEV_URL_MFE", served.url)
    return MLClient(credential, HERE.subscription, HERE.resource_group, HERE.name, **_plainly(served))


@pytest.fixture
def in_a_cloud(served: Served, credential: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes clients in a cloud that is this platform alone: discovery, resource manager and storage.

    Arguments are those of ``MLClient``. Names of storage accounts lead to the platform's port.
    """
    from azure.ai.ml import MLClient

    port = served.url.rpartition(":")[2]
    real = socket.getaddrinfo

    def resolved(host: Any, *more: Any, **named: Any) -> Any:
        return real("127.0.0.1" if str(host).endswith(".blob.core.localhost") else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", served.ca_file)  # the storage client is not given ours
    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", "Embedded")  # the SDK sets it, and would leave it set
    cloud = {
        "azure_portal": served.url,
        "resource_manager": served.url,
        "active_directory": served.url,
        "aml_resource_id": served.url,
        "storage_endpoint": f"core.localhost:{port}",
        "registry_discovery_endpoint": f"{served.url}/",
    }

    def client(**more: Any) -> Any:
        return MLClient(
            credential,
            HERE.subscription,
            HERE.resource_group,
            cloud="Embedded",
            cloud_metadata=cloud,
            **_plainly(served),
            **more,
        )

    return client


def _plainly(served: Served) -> dict[str, Any]:
    return {
        "connection_verify": served.ca_file,
        "enable_telemetry": False,
        "show_progress": False,
        "retry_total": 0,
        "polling_interval": 0,
    }
