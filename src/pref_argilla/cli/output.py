"""What a command says: data to stdout, talk to stderr; for a person, as one JSON object, or quietly."""

from __future__ import annotations

import codecs
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Protocol

from pref_argilla.cli.options import storable
from pref_argilla.errors import PrefArgillaError
from pref_argilla.text import strip_controls

if TYPE_CHECKING:
    from rich.console import Console

# Where no terminal draws a bar (a log file, CI), a line this often says how far it is.
LINE_EVERY_SECONDS = 10.0


@dataclass(slots=True)
class _Stdout:
    """A fact of the process, as its standard output is: whether the one JSON object stands there already."""

    has_object: bool = False


_STDOUT = _Stdout()


def failure(exc: BaseException) -> dict[str, Any]:
    """What the JSON object says of a command that did not come to its end."""
    if isinstance(exc, KeyboardInterrupt):
        return {"interrupted": True}
    if isinstance(exc, PrefArgillaError):
        return _error(exc.what, exc.cause, exc.next_step, type(exc).__name__)
    # A bug; its traceback is on stderr. What it says might hold anything, so it does not stand here.
    return _error("Unexpected error, a bug in pref-argilla.", "See the traceback.", "", type(exc).__name__)


def usage_failure(message: str, next_step: str) -> dict[str, Any]:
    return _error(message, "", next_step, "UsageError")


def _error(what: str, cause: str, next_step: str, kind: str) -> dict[str, Any]:
    return {"error": {"what": what, "cause": cause, "next_step": next_step, "kind": kind}}


def take_any_text() -> None:
    """A character that the terminal's encoding lacks is shown as its code (``\\u015f``) instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class Advance(Protocol):
    def __call__(self, done: int, total: int | None = None, note: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class Output:
    """``as_json`` prints exactly one object at the end and no table; ``quiet`` leaves out talk and bars, never errors."""

    as_json: bool = False
    quiet: bool = False

    def say(self, text: str) -> None:
        """Talk: what is going on, what to do next."""
        if not self.quiet:
            print(_clean(text), file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        print(_clean(f"Warning: {text}"), file=sys.stderr, flush=True)

    def line(self, text: str) -> None:
        """A result for a person."""
        if not self.as_json:
            print(_clean(text), flush=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A result for a person; columns whose cells are all numbers are set flush right."""
        if self.as_json:
            return
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        if title:
            self.line(title)
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for number, column in enumerate(columns):
            numeric = bool(rows) and all(isinstance(row[number], int | float) for row in rows)
            table.add_column(column, justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(_one_line(str(cell))) for cell in row))
        _console(sys.stdout).print(table)

    def done(self, result: dict[str, Any]) -> None:
        """The command's result, once, last. Whatever is said after the first one stays unsaid."""
        if self.as_json and not _STDOUT.has_object:
            _STDOUT.has_object = True
            print(json.dumps(result, ensure_ascii=not _is_utf8(sys.stdout), default=str), flush=True)

    def error(self, exc: PrefArgillaError) -> None:
        parts = [f"Error: {exc.what}", *(part for part in (exc.cause, exc.next_step) if part)]
        print(_clean("\n  ".join(parts)), file=sys.stderr, flush=True)
        self.done(failure(exc))

    @contextmanager
    def progress(self, description: str, total: int | None = None) -> Iterator[Advance]:
        """A bar on stderr; call the value with how much is done (and the total, once it is known)."""
        if self.quiet:
            yield _ignore
        elif sys.stderr.isatty():
            with self._bar(description, total) as advance:
                yield advance
        else:
            yield _Lines(self, description, total)

    @contextmanager
    def _bar(self, description: str, total: int | None) -> Iterator[Advance]:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=_console(sys.stderr)) as bar:
            task = bar.add_task(description, total=total, note="")

            def advance(done: int, total: int | None = None, note: str = "") -> None:
                bar.update(task, completed=done, note=_clean(note))
                if total is not None:
                    bar.update(task, total=total)

            yield advance


class _Lines:
    def __init__(self, output: Output, description: str, total: int | None) -> None:
        self._output = output
        self._description = description
        self._total = total
        self._last = time.monotonic()

    def __call__(self, done: int, total: int | None = None, note: str = "") -> None:
        self._total = self._total if total is None else total
        now = time.monotonic()
        if now - self._last >= LINE_EVERY_SECONDS:
            self._last = now
            of = "" if self._total is None else f" of {self._total}"
            self._output.say(f"{self._description}: {done}{of} {note}".rstrip())


def _ignore(done: int, total: int | None = None, note: str = "") -> None:
    del done, total, note


def _clean(text: str) -> str:
    """Nothing in it commands the terminal; bytes of a file's name that are no text show as their code."""
    return strip_controls(storable(text))


def _one_line(text: str) -> str:
    """A cell's text: a line end in a name must not look like another row."""
    return " ".join(_clean(text).splitlines()).replace("\t", " ")


def _is_utf8(stream: Any) -> bool:
    try:
        return codecs.lookup(stream.encoding).name == "utf-8"
    except (LookupError, TypeError, AttributeError):
        return False


def _console(stream: Any) -> Console:
    from rich.console import Console

    # A pipe has no width; 100 columns suit a log and a pager.
    return Console(file=stream, markup=False, highlight=False, emoji=False, width=None if stream.isatty() else 100)
