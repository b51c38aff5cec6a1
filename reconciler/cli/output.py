"""Where words go: standard output for results, standard error for everything else; text or NDJSON."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from reconciler.errors import PlanRefused, PlanStale, ReconcilerError, SpecErrors
from reconciler.render.text import COLOURED, PLAIN, Palette, complaint_lines, error_lines

__all__ = ["Output"]


def _unmasked(text: str) -> str:
    return text


@dataclass
class Output:
    """The standard streams of one command.

    With ``as_json`` every line on standard output is a JSON object, and the
    last one a summary, whatever happens. ``mask`` takes known secrets out of
    every text.
    """

    out: TextIO
    err: TextIO
    palette: Palette
    error_palette: Palette
    width: int
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    mask: Callable[[str], str] = field(default=_unmasked)

    @classmethod
    def standard(cls, environment: Mapping[str, str], arguments: Sequence[str]) -> Output:
        """The process's own streams, coloured as the user and the environment want it."""
        wanted = _colour_flag(arguments) or environment.get("RECONCILER_COLOR", "auto")
        return cls(
            sys.stdout,
            sys.stderr,
            _palette(sys.stdout, wanted, environment),
            _palette(sys.stderr, wanted, environment),
            _width(environment),
            as_json="--json" in arguments or environment.get("RECONCILER_JSON", "") not in ("", "0"),
        )

    def lines(self, lines: Iterable[str]) -> None:
        """Text results. In JSON mode there is no text."""
        if not self.as_json:
            self._write(self.out, "".join(f"{line}\n" for line in lines))

    def record(self, kind: str, **values: Any) -> None:
        """One JSON line. In text mode there is none."""
        if self.as_json:
            line = json.dumps({"type": kind, **values}, ensure_ascii=False, default=str)
            self._write(self.out, line + "\n")
            self.out.flush()

    def document(self, text: str) -> None:
        """A whole document as it is: CSV, a schema, a graph."""
        self._write(self.out, text)

    def note(self, text: str) -> None:
        """Something to know on the way."""
        if self.as_json:
            self.record("note", text=self.mask(text))
        elif not self.quiet:
            self._write(self.err, text + "\n")
            self.err.flush()

    def _write(self, stream: TextIO, text: str) -> None:
        stream.write(self.mask(text))

    # --- errors ---

    def failure(self, error: ReconcilerError) -> None:
        """An error of ours, whole."""
        if isinstance(error, SpecErrors):
            self._complaints(error)
            return
        more: Sequence[str] = ()
        if isinstance(error, PlanRefused):
            more = error.reasons
        elif isinstance(error, PlanStale):
            more = error.moved
        self.error(str(error), error.hint, more)

    def error(self, summary: str, hint: str = "", more: Sequence[str] = ()) -> None:
        """An error."""
        if self.as_json:
            self.record("error", summary=self.mask(summary), hint=self.mask(hint), details=list(more))
        else:
            self.out.flush()
            text = "\n".join(error_lines(summary, hint, more, self.error_palette))
            self._write(self.err, text + "\n")

    def usage_error(self, summary: str, hint: str) -> None:
        """The command line cannot be understood."""
        self.error(summary, hint)

    def _complaints(self, error: SpecErrors) -> None:
        if self.as_json:
            for one in error.complaints:
                self.record(
                    "diagnostic",
                    severity="error",
                    summary=one.summary,
                    file=one.file,
                    line=one.line,
                    column=one.column,
                    excerpt=one.excerpt,
                    hint=one.hint,
                    limit=one.limit,
                )
            return
        self.out.flush()
        for one in error.complaints:
            lines = complaint_lines(one, self.error_palette)
            self._write(self.err, "".join(f"{line}\n" for line in lines) + "\n")
        if len(error.complaints) > 1:
            self._write(self.err, f"{error}.\n")


def _colour_flag(arguments: Sequence[str]) -> str:
    if "--no-color" in arguments:
        return "never"
    for argument in arguments:
        if argument.startswith("--color="):
            return argument.partition("=")[2]
    return ""


def _palette(stream: TextIO, wanted: str, environment: Mapping[str, str]) -> Palette:
    if wanted in ("always", "never"):
        return COLOURED if wanted == "always" else PLAIN
    if environment.get("NO_COLOR"):
        return PLAIN
    if environment.get("FORCE_COLOR"):
        return COLOURED
    if environment.get("TERM") == "dumb" or not stream.isatty():
        return PLAIN
    return COLOURED


def _width(environment: Mapping[str, str]) -> int:
    """Columns to fill: the terminal's, or ``COLUMNS``; 80 where there is neither."""
    text = environment.get("COLUMNS", "")
    return int(text) if text.isdecimal() and int(text) > 0 else shutil.get_terminal_size((80, 24)).columns
