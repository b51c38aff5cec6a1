"""A command on a terminal of its own: what it shows is read, answers are typed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

_PATIENCE = 30.0
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """``reconciler ARGUMENTS`` with its three streams on a pseudo-terminal of *columns* columns."""

    def __init__(
        self, *arguments: str, cwd: Path, environment: Mapping[str, str] | None = None, columns: int = 80
    ) -> None:
        self._ours, theirs = pty.openpty()
        outside = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "CI")}
        env = {**outside, "TERM": "xterm", **(environment or {})}
        termios.tcsetwinsize(theirs, (24, columns))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=cwd,
            env=env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            # A session of its own, with this as its terminal: so Ctrl-C reaches it as it reaches a user's.
            start_new_session=True,
            preexec_fn=_own_terminal,
        )
        os.close(theirs)
        self.raw = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._ours)

    @property
    def text(self) -> str:
        """What was shown so far, without colours and cursor movements."""
        return _CONTROL.sub("", self.raw).replace("\r\n", "\n")

    def until(self, text: str) -> Terminal:
        """Wait until *text* was shown."""
        while text not in self.text:
            assert self._read(), f"it ended without {text!r}:\n{self.text}"
        return self

    def type(self, keys: str) -> Terminal:
        """Type *keys*: ``\\n`` for Enter, ``\\x03`` for Ctrl-C, ``\\x04`` for Ctrl-D."""
        os.write(self._ours, keys.encode())
        return self

    def send(self, number: signal.Signals) -> Terminal:
        """Send a signal to the command."""
        self._process.send_signal(number)
        return self

    def ended(self) -> int:
        """Wait for the end; the exit code."""
        while self._read():
            pass
        return self._process.wait(_PATIENCE)

    def _read(self) -> bool:
        """Read some more; whether there may be more after that."""
        ready, _, _ = select.select([self._ours], [], [], _PATIENCE)
        assert ready, f"nothing came for {_PATIENCE:g} s:\n{self.text}"
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # Linux says so when the last one with the terminal open is gone
            return False
        self.raw += data.decode(errors="replace")
        return bool(data)


def _own_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
