"""Tools, how they are reached, the inference endpoint and the readiness probe."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from reconciler.core.reading import Table, refuse
from reconciler.providers.runai import api
from reconciler.providers.runai.spec.words import Count, Port, Positive, Text, Values, translated

TOOL_WORDS = {
    "jupyter": "jupyter-notebook",
    "jupyterlab": "jupyter-notebook",
    "jupyter-lab": "jupyter-notebook",
    "notebook": "jupyter-notebook",
    "vscode": "visual-studio-code",
    "vs-code": "visual-studio-code",
    "code-server": "visual-studio-code",
    "r-studio": "rstudio",
    "ml-flow": "mlflow",
    "tensor-board": "tensorboard",
    "weights-and-biases": "wandb",
    "weights-&-biases": "wandb",
    "w&b": "wandb",
    "comet-ml": "comet",
}


TOOLS = (
    "jupyter",
    "tensorboard",
    "vscode",
    "rstudio",
    "mlflow",
    "pycharm",
    "matlab",
    "chatbot-ui",
    "custom",
    "wandb",
    "comet",
)
"""The tools as people are told to write them."""


TOOL_TITLES = {
    "jupyter-notebook": "Jupyter",
    "tensorboard": "TensorBoard",
    "visual-studio-code": "VS Code",
    "rstudio": "RStudio",
    "mlflow": "MLflow",
    "pycharm": "PyCharm",
    "matlab": "MATLAB",
    "chatbot-ui": "Chatbot UI",
    "custom": "Custom",
    "wandb": "Weights & Biases",
    "comet": "Comet",
}


TOOL_PORTS = {
    "jupyter-notebook": 8888,
    "tensorboard": 6006,
    "visual-studio-code": 8080,
    "rstudio": 8787,
    "mlflow": 5000,
    "pycharm": 22,
    "matlab": 8888,
    "chatbot-ui": 3000,
}


_PROTOCOLS = ("http", "grpc")


_SCHEMES = ("HTTP", "HTTPS")


_CONNECTIONS = ("external-url", "node-port", "load-balancer")


_ALL_TOOLS = (*api.INTERNAL_TOOL_TYPES, *api.EXTERNAL_TOOL_TYPES)


class Tool(Table):
    """A tool and how it is reached. A bare name stands for the tool's usual connection and port."""

    type: Annotated[str, translated(TOOL_WORDS, _ALL_TOOLS, TOOLS)] = Field(
        description="jupyter, tensorboard, vscode, rstudio, mlflow, pycharm, matlab, chatbot-ui, custom; "
        "wandb and comet are external."
    )
    name: Text | None = Field(None, description="Shown to users; unique in the environment.")
    connection: (
        Annotated[Literal["external-url", "node-port", "load-balancer"], translated({}, _CONNECTIONS)] | None
    ) = Field(None, description="How the tool is reached.")
    container_port: Port | None = Field(None, description="The port that the tool listens on.")
    custom: bool | None = Field(
        None, description="External URL or node port: given by the user, not made by the platform."
    )
    url: Text | None = Field(None, description="A custom external URL, or the address of an external tool.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.type in api.EXTERNAL_TOOL_TYPES:
            if self.url is None:
                raise refuse(
                    f"{TOOL_TITLES[self.type]} needs its `url`",
                    f'{{ type = "{self.type}", url = "https://…/${{WANDB_PROJECT}}" }}',
                )
            if self.connection is not None or self.container_port is not None or self.custom:
                raise refuse(
                    f"{TOOL_TITLES[self.type]} runs outside: it has a `url`, no connection and no port",
                    "Remove `connection`, `container_port` and `custom`.",
                )
        else:
            if self.container_port is None and self.type not in TOOL_PORTS:
                raise refuse(f"a {self.type} tool needs its `container_port`", "Add `container_port = …`.")
            if self.url is not None and self.connection not in (None, "external-url"):
                raise refuse(f"`url` goes with an external URL, not with {self.connection}", "Remove one.")
            if self.url is not None and self.custom is False:
                raise refuse("a `url` of your own is a custom one", "Remove `custom`, or `url`.")
            if self.custom and self.connection == "load-balancer":
                raise refuse("a load balancer has nothing custom", "Remove `custom`.")
        return self

    @property
    def title(self) -> str:
        """The name that users see."""
        return self.name or TOOL_TITLES[self.type]

    def canonical(self) -> Values:
        """As the attributes hold it."""
        if self.type in api.EXTERNAL_TOOL_TYPES:
            return {"type": self.type, "url": self.url}
        table: Values = {
            "type": self.type,
            "connection": self.connection or "external-url",
            "container_port": self.container_port or TOOL_PORTS[self.type],
        }
        if self.custom or self.url is not None:
            table["custom"] = True
        if self.url is not None:
            table["url"] = self.url
        return table


def _bare_tool(value: Any) -> Any:
    if isinstance(value, str):
        return {"type": value}
    if not isinstance(value, dict):
        raise refuse("a tool is a name in quotes, or a table", '"jupyter", or { type = "jupyter", … }')
    return value


ToolEntry = Annotated[Tool, BeforeValidator(_bare_tool, json_schema_input_type=str | Tool)]


class InferenceEndpoint(Table):
    """Where an inference workload serves."""

    protocol: Annotated[Literal["http", "grpc"], translated({}, _PROTOCOLS)] = Field(
        "http", description="Protocol of the endpoint."
    )
    serving_port: Port = Field(description="The container port that serves.")
    name: Text = Field("endpoint", description="Name of its connection on the platform.")
    type: Literal["custom", "chatbot-ui"] = Field("custom", description="Tool type of its connection.")


class ReadinessProbe(Table):
    """An HTTP request that says when the container is ready. Times are in seconds."""

    path: str | None = Field(None, pattern=r"^(/[a-zA-Z0-9\-_./]*)?$", description="Path of the request.")
    port: Port | None = Field(None, description="Port of the request.")
    host: str | None = Field(None, description="Host of the request; the pod when absent.")
    scheme: Annotated[Literal["HTTP", "HTTPS"], translated({"http": "HTTP", "https": "HTTPS"}, _SCHEMES)] = (
        Field("HTTP", description="Scheme of the request.")
    )
    initial_delay_seconds: Count | None = None
    period_seconds: Positive | None = None
    timeout_seconds: Positive | None = None
    success_threshold: Positive | None = None
    failure_threshold: Positive | None = None
