"""The vendor's Python clients in a process of their own, which says what they answer.

A process of their own, because the SDK comes as top-level packages ``aenv``
and ``cli``, loads a second of other people's code, and warns while it does.
Requests are lines of JSON on standard input, answers on standard output:
``{"url", "client": "hub" or "scheduler", "method", "arguments"}`` gets
``{"answer"}``, models as the SDK loaded them, or ``{"error", "text"}``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

# Their logs go to standard output; ours is kept aside for the answers.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

from aenv.client.scheduler_client import AEnvSchedulerClient  # noqa: E402
from aenv.core.models import APIResponse, Env, EnvInstance, EnvService  # noqa: E402
from cli.client.aenv_hub_client import AEnvHubClient  # noqa: E402
from pydantic import BaseModel  # noqa: E402

MODELS = {"Env": Env, "EnvInstance": EnvInstance, "EnvService": EnvService, "APIResponse": APIResponse}


def plain(value: Any) -> Any:
    """What the SDK loaded, as JSON."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [plain(one) for one in value] if isinstance(value, list) else value


def answer(request: dict[str, Any]) -> Any:
    """Do what one line asks."""
    arguments = request["arguments"]
    if request["client"] == "model":
        return plain(MODELS[request["method"]](**arguments))
    if request["client"] == "hub":
        hub = AEnvHubClient(request["url"], api_key="ignored", max_retries=0)
        try:
            return getattr(hub, request["method"])(**arguments)
        finally:
            hub.session.close()

    async def ask() -> Any:
        async with AEnvSchedulerClient(request["url"], api_key=request.get("api_key")) as scheduler:
            return plain(await getattr(scheduler, request["method"])(**arguments))

    return asyncio.run(ask())


def main() -> None:
    """Answer line by line."""
    for line in sys.stdin:
        try:
            told: dict[str, Any] = {"answer": answer(json.loads(line))}
        except Exception as error:  # whatever the SDK raises is what the test wants to see
            told = {"error": type(error).__name__, "text": str(error)}
        print(json.dumps(told), file=ANSWERS, flush=True)


if __name__ == "__main__":
    main()
