"""Words in, exit code out. No decision lives here."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """The ``reconciler`` command. Ends the process with the exit code of the contract."""
    import sys

    from reconciler.cli.app import run

    sys.exit(run(sys.argv[1:]))
