"""Where words go: standard output for results, standard error for everything else; text or NDJSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

from reconciler.errors import PlanRefused, PlanStale, ReconcilerError, SpecErrors
from reconciler.render.text import COLOURED, PLAIN, Palette, complaint_lines, error_lines
from reconciler.render.wrap import wrapped

__all__ = ["Output", "OutputLost", "json_text", "masked"]

_TRUE: Final = ("1", "true", "t", "yes", "y", "on")


class OutputLost(Exception):
    """What we say does not arrive: nobody reads it any more, or the disk behind ``> file`` is full.

    No OSError: click would take a broken pipe for its own to handle.
    """

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


@contextlib.contextmanager
def _losing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputLost(error) from error


def _unmasked(text: str) -> str:
    return text


@dataclass
class Output:
    """The standard streams of one command.

    With ``as_json`` every line on standard output is a JSON object, and the
    last one a summary, whatever happens. ``mask`` takes known secrets out of
    every text. ``width`` is how much should stand on one line, ``table_width``
    where tables are cut: in a pipe never, since what is cut there is lost.
    ``out_columns`` and ``err_columns`` are how wide the terminals are, None
    where a stream is none: lines break there, and only there.
    ``attended`` is false where a terminal, if there is one, has nobody at it;
    ``dumb`` says that it cannot take back what was written.
    """

    out: TextIO
    err: TextIO
    palette: Palette
    error_palette: Palette
    width: int
    table_width: int = sys.maxsize
    out_columns: int | None = None
    err_columns: int | None = None
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    attended: bool = True
    dumb: bool = False
    mask: Callable[[str], str] = field(default=_unmasked)
    is_summed_up: bool = False

    @classmethod
    def standard(cls, environment: Mapping[str, str], arguments: Sequence[str]) -> Output:
        """The process's own streams, coloured as the user and the environment want it.

        Reads ``--json``, ``--color`` and ``--no-color`` by itself: a command
        line that cannot be understood is complained of in the wanted form too.
        """
        words = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
        out, err = _usable(sys.stdout), _usable(sys.stderr)
        wanted = _colour(words, environment)
        columns = environment.get("COLUMNS", "")
        known = int(columns) if columns.isdecimal() and int(columns) > 0 else None
        out_columns, err_columns = _terminal(out, known), _terminal(err, known)
        known = known if known is not None else out_columns
        return cls(
            out,
            err,
            _palette(out, wanted, environment),
            _palette(err, wanted, environment),
            width=known if known is not None else 80,
            table_width=known if known is not None else sys.maxsize,
            out_columns=out_columns,
            err_columns=err_columns,
            as_json="--json" in words or _is_true(environment.get("RECONCILER_JSON")),
            attended=environment.get("CI", "").strip().lower() in ("", "0", "false"),
            dumb=environment.get("TERM") == "dumb",
        )

    # --- results ---

    def lines(self, lines: Iterable[str]) -> None:
        """Text results. In JSON mode there is no text."""
        if not self.as_json:
            self._write(_broken(self.mask("".join(f"{line}\n" for line in lines)), self.out_columns))

    def record(self, kind: str, /, **values: Any) -> None:
        """One JSON line. In text mode there is none."""
        if self.as_json:
            line = json.dumps({"type": kind, **masked(values, self.mask)}, ensure_ascii=False, default=str)
            self._write(line + "\n")
            self.flush()

    def summary(self, exit_code: int, /, **values: Any) -> None:
        """The last JSON line. Only the first one counts: what follows it adds nothing."""
        if not self.is_summed_up:
            self.is_summed_up = True
            self.record("summary", exit_code=exit_code, **values)

    def document(self, text: str) -> None:
        """A whole document as it is: CSV, a schema, a graph."""
        self._write(self.mask(text))

    def json_document(self, value: Any) -> None:
        """A JSON document for people and tools, many lines of it."""
        self._write(json_text(value, self.mask))

    def flush(self) -> None:
        """Have everything out. Raises `OutputLost` when it cannot be."""
        with _losing():
            self.out.flush()
            self.err.flush()

    def _write(self, text: str) -> None:
        with _losing():
            self.out.write(text)

    # --- on the way ---

    def note(self, text: str, *, urgent: bool = False) -> None:
        """Something to know on the way. Unless it is *urgent*, ``--quiet`` leaves it out."""
        if self.as_json:
            self.record("note", text=text)
        elif urgent or not self.quiet:
            self._say(text + "\n")

    def warning(self, text: str) -> None:
        """Something that must not be missed, whatever ``--quiet`` says."""
        if self.as_json:
            self.record("diagnostic", severity="warning", summary=text)
        else:
            self._say(f"{self.error_palette.warn}Warning:{self.error_palette.end} {text}\n")

    def ask(self, question: str) -> None:
        """A question; the answer is typed behind it."""
        self._say(question)

    def for_error(self, text: str) -> str:
        """*text* as it may stand on standard error: masked, its lines no longer than a terminal is wide."""
        return _broken(self.mask(text), self.err_columns)

    def _say(self, text: str) -> None:
        with _losing():
            self.out.flush()
            self.err.write(self.for_error(text))
            self.err.flush()

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
            self.record("error", summary=summary, hint=hint, details=list(more))
        else:
            self._say("\n".join(error_lines(summary, hint, more, self.error_palette)) + "\n")

    def _complaints(self, error: SpecErrors) -> None:
        if self.as_json:
            for one in error.complaints:
                self.record(
                    "diagnostic",
                    severity="error",
                    summary=one.whole,
                    file=one.file,
                    line=one.line,
                    column=one.column,
                    excerpt=one.excerpt,
                    hint=one.hint,
                    limit=one.limit,
                )
            return
        blocks = [
            "\n".join(complaint_lines(one, self.error_palette, width=self.width)) for one in error.complaints
        ]
        if len(blocks) > 1:
            blocks.append(f"{error}.")
        self._say("\n\n".join(blocks) + "\n")


def _broken(text: str, width: int | None) -> str:
    if width is None:
        return text
    return "\n".join(part for line in text.split("\n") for part in wrapped(line, width))


def _terminal(stream: TextIO, known: int | None) -> int | None:
    """How wide the terminal behind *stream* is, None when there is none; *known* has the last word."""
    if not stream.isatty():
        return None
    if known is not None:
        return known
    try:
        found = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        found = 0
    return found or 80


def masked(value: Any, mask: Callable[[str], str]) -> Any:
    """*value* with *mask* over every text in it: over the texts, not over their JSON, which stays JSON."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {key: masked(item, mask) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item, mask) for item in value]
    return value


def json_text(value: Any, mask: Callable[[str], str]) -> str:
    """*value* as a JSON document with *mask* over every text in it."""
    return json.dumps(masked(value, mask), ensure_ascii=False, indent=2) + "\n"


def _usable(stream: TextIO | None) -> TextIO:
    """*stream*, or a hole where the caller closed it. A character that it has no code for is spelled out."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - for as long as we live
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    return stream


def _is_true(text: str | None) -> bool:
    return text is not None and text.strip().lower() in _TRUE


def _colour(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """What the last of the flags says, else the variables: always, auto or never."""
    wanted = environment.get("RECONCILER_COLOR", "auto")
    if _is_true(environment.get("RECONCILER_NO_COLOR")):
        wanted = "never"
    for place, word in enumerate(words):
        if word == "--no-color":
            wanted = "never"
        elif word.startswith("--color="):
            wanted = word.partition("=")[2]
        elif word == "--color":
            wanted = "".join(words[place + 1 : place + 2])
    return wanted


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
