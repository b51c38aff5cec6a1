"""What a script without a reconciler would do: POST each environment and GET it back, ten at a time.

    python benchmarks/bare_loop.py URL N PARALLELISM

Prints the wall seconds. The yardstick for an apply against a slow platform: the
same requests, the same parallelism, no plan, no journal, no state.
"""

from __future__ import annotations

import asyncio
import sys
import time

import httpx


async def main(url: str, count: int, parallelism: int) -> None:
    """Send the requests and print how long they took."""
    limits = httpx.Limits(max_connections=parallelism, max_keepalive_connections=parallelism)
    async with httpx.AsyncClient(limits=limits, timeout=60.0) as client:
        key = {"grantType": "client_credentials", "clientID": "embedded", "clientSecret": "embedded"}
        token = (await client.post(f"{url}/api/v1/token", json=key)).json()["accessToken"]
        headers = {"authorization": f"Bearer {token}"}
        numbers = iter(range(count))

        async def worker() -> None:
            for number in numbers:
                body = {
                    "meta": {
                        "name": f"bare-{number:06d}",
                        "scope": "tenant",
                        "workloadSupportedTypes": {"workspace": True, "training": True},
                    },
                    "spec": {
                        "image": "python:3.11",
                        "imagePullPolicy": "IfNotPresent",
                        "uidGidSource": "fromTheImage",
                        "environmentVariables": [{"name": f"V{n}", "value": "x"} for n in range(5)],
                        "capabilities": [],
                    },
                }
                made = await client.post(f"{url}/api/v1/asset/environment", json=body, headers=headers)
                made.raise_for_status()
                remote_id = made.json()["meta"]["id"]
                read = await client.get(f"{url}/api/v1/asset/environment/{remote_id}", headers=headers)
                read.raise_for_status()

        began = time.monotonic()
        await asyncio.gather(*(worker() for _ in range(parallelism)))
        print(f"{time.monotonic() - began:.3f}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
