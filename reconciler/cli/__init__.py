"""Words in, exit code out. No decision lives here."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """The ``reconciler`` command. Ends the process with the exit code of the contract."""
    import gc
    import sys

    # Almost all that a command makes lives until it ends, and hardly any of it in cycles: looking for
    # those every 700 objects would be a third of the time of a large plan.
    gc.set_threshold(100_000, 50, 1000)
    try:
        from reconciler.cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # so early, or so late, that there was nobody to say it
        code = 130
    sys.exit(code)
