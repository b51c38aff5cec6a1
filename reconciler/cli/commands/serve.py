"""``reconciler serve``."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any, Final

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common, option
from reconciler.cli.session import Session
from reconciler.errors import ReconcilerError, UsageError

_LAST_SECONDS: Final = 1
"""How long an answer that is under way may take when the server is to end."""


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

    config = uvicorn.Config(
        Starlette(routes=[Mount(f"/{name}", app=app) for name, app in apps.items()]),
        log_level="critical",  # else a traceback is logged for each connection that a fault cuts
        access_log=False,
        lifespan="off",
        ws="none",
        ssl_certfile=options["tls_cert"],
        ssl_keyfile=options["tls_key"],
        timeout_graceful_shutdown=_LAST_SECONDS,
    )
    try:
        config.load()
    except OSError as error:
        why = "they are no pair, or not PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise ReconcilerError(
            f"cannot serve https with {options['tls_cert']} and {options['tls_key']}: {why}",
            hint="Give a certificate and the private key that belongs to it, each in PEM form.",
        ) from error
    with _listening(options["host"], options["port"]) as listener:
        scheme = "https" if options["tls_cert"] else "http"
        host = f"[{options['host']}]" if ":" in options["host"] else options["host"]
        base = f"{scheme}://{host}:{listener.getsockname()[1]}"

        class Server(uvicorn.Server):
            """Says where it answers when it does: from then on signals end it in order."""

            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                for name, app in apps.items():
                    # A platform of somebody else's making may be a plain app.
                    sign_in = getattr(app, "sign_in", "")
                    context.output.lines([f"{name}: {base}/{name}" + (f"  ({sign_in})" if sign_in else "")])
                    context.output.record("serving", platform=name, url=f"{base}/{name}", sign_in=sign_in)
                context.output.flush()

        # uvicorn ends in order and then raises the signal again: to be asked to end is no failure here.
        with contextlib.suppress(KeyboardInterrupt):
            Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections from here on: they wait until the server is up."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, so that asyncio switches off Nagle's delay, 40 ms an answer otherwise.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ReconcilerError(
            f"cannot listen on {host} port {port}: {error.strerror}",
            hint="Another program has the port, perhaps. --port 0 takes a free one.",
        ) from error
    return listener
