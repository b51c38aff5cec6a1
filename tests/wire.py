"""Parts of an environment as the wire spells them: every field that has a shape of its own."""

from __future__ import annotations

from typing import Any

JUPYTER: dict[str, Any] = {
    "name": "Jupyter",
    "isExternal": False,
    "internalToolInfo": {
        "toolType": "jupyter-notebook",
        "connectionType": "ExternalUrl",
        "containerPort": 8888,
        "externalUrlInfo": {"isCustomUrl": True, "externalUrl": "https://nb.example.com"},
    },
}
TENSORBOARD: dict[str, Any] = {
    "name": "TensorBoard",
    "isExternal": False,
    "internalToolInfo": {
        "toolType": "tensorboard",
        "connectionType": "NodePort",
        "containerPort": 6006,
        "nodePortInfo": {"isCustomPort": True},
    },
}
CODE: dict[str, Any] = {
    "name": "Code",
    "isExternal": False,
    "internalToolInfo": {
        "toolType": "visual-studio-code",
        "connectionType": "LoadBalancer",
        "containerPort": 8080,
    },
}
SECURITY: dict[str, Any] = {
    "uidGidSource": "custom",
    "runAsUid": 1000,
    "runAsGid": 100,
    "supplementalGroups": "100,2000",
    "overrideUidGidInWorkspace": True,
    "capabilities": ["CHOWN", "NET_BIND_SERVICE"],
    "seccompProfileType": "RuntimeDefault",
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": False,
    "allowPrivilegeEscalation": False,
    "createHomeDir": True,
    "hostIpc": False,
    "hostNetwork": False,
    "stdin": True,
    "tty": True,
}
"""All but the probe of what a container may do, and as whom it runs."""


def serving(protocol: str) -> dict[str, Any]:
    """The inference endpoint."""
    return {
        "name": "endpoint",
        "isExternal": False,
        "internalToolInfo": {
            "toolType": "custom",
            "connectionType": "ServingPort",
            "containerPort": 8000,
            "servingPortInfo": {"protocol": protocol},
        },
    }
