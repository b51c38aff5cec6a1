"""``reconciler serve``."""

from __future__ import annotations

import logging
import socket
from typing import Any

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common, option
from reconciler.cli.session import Session
from reconciler.errors import ReconcilerError, UsageError


@click.command("serve")
@common
@option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes a free one.")
@option("--tls-cert", type=click.Path(exists=True, dir_okay=False), help="Certificate, PEM: serve https.")
@option("--tls-key", type=click.Path(exists=True, dir_okay=False), help="Its private key, PEM.")
@click.pass_obj
def command(context: Context, /, **options: Any) -> int:
    """Run the stack's embedded platforms on a local port, each below /NAME.

    They are the same that `plan` and `apply` use: what is changed here by the
    vendor's own tools, the next plan sees. Ends with Ctrl-C.
    """
    if bool(options["tls_cert"]) != bool(options["tls_key"]):
        raise UsageError("--tls-cert and --tls-key go together")
    session = Session.open(context, **options)
    apps = {}
    for name, platform in session.config.settings.platforms.items():
        app = session.config.plugin(name).embedded(
            platform.settings, session.platform_context(name), served=True
        )
        if app is not None:
            apps[name] = app
    if not apps:
        raise ReconcilerError("no platform of this stack is embedded", hint='Set endpoint = "embedded".')
    _serve(context, apps, options)
    return Exit.DONE


def _serve(context: Context, apps: dict[str, Any], options: dict[str, Any]) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Mount

    family = socket.AF_INET6 if ":" in options["host"] else socket.AF_INET
    # Named as TCP, so that asyncio switches off Nagle's delay, 40 ms an answer otherwise.
    server_socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    server_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server_socket.bind((options["host"], options["port"]))
    except OSError as error:
        raise ReconcilerError(
            f"cannot listen on {options['host']} port {options['port']}: {error.strerror}",
            hint="Another program has the port, perhaps. --port 0 takes a free one.",
        ) from error
    scheme = "https" if options["tls_cert"] else "http"
    port = server_socket.getsockname()[1]
    for name in apps:
        url = f"{scheme}://{options['host']}:{port}/{name}"
        context.output.lines([f"{name}: {url}  (client id: embedded, client secret: embedded)"])
        context.output.record("serving", platform=name, url=url)
    context.output.out.flush()
    # A connection that a fault cuts is no news; uvicorn would log a traceback for each.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        Starlette(routes=[Mount(f"/{name}", app=app) for name, app in apps.items()]),
        log_level="critical",
        access_log=False,
        lifespan="off",
        ssl_certfile=options["tls_cert"],
        ssl_keyfile=options["tls_key"],
    )
    uvicorn.Server(config).run(sockets=[server_socket])
