"""One JSON document that is a list of objects, read element by element."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from pref_argilla.errors import InputError
from pref_argilla.sources.jsonl import json_fault, object_row, open_jsonl
from pref_argilla.sources.rows import BadReason, BadRow, RawRow, Table, Where
from pref_argilla.sources.textfile import check_text, open_text

_CHUNK = 1 << 20
_SPACE = " \t\r\n"


def open_json(path: Path) -> Table:
    """A ``.json`` file: a list, or JSON Lines under that name (many published sets are)."""
    check_text(path)
    with open_text(path) as stream:
        first = ""
        while not first:
            line = stream.readline()
            first = line.strip()
    if first.startswith("["):
        return Table(str(path), None, lambda _needed: _rows(path))
    if _is_object(first):
        return open_jsonl(path)
    raise InputError(
        f"{path} is not a list of objects.",
        cause="A .json file must hold a list such as [{…}, {…}], or one object a line.",
        next_step="Save its list of rows as JSON Lines (.jsonl) and read that.",
    )


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _rows(path: Path) -> Iterator[RawRow | BadRow]:
    with open_text(path) as stream:
        elements = _Elements(stream)
        number = 1
        while True:
            where = Where(str(path), number, "row")
            try:
                found, value = elements.next()
            except json.JSONDecodeError as error:
                # Where one element ends and the next begins is lost with the first syntax error.
                line = elements.lines_dropped + error.lineno
                detail = f"{json_fault(error)} at line {line}, column {error.colno}; the rest of the file was not read"
                yield BadRow(where, BadReason.NOT_JSON, detail)
                return
            except (ValueError, RecursionError) as error:
                yield BadRow(where, BadReason.NOT_JSON, f"{error}; the rest of the file was not read")
                return
            if not found:
                return
            yield object_row(where, value)
            number += 1


class _Elements:
    """The elements of a JSON list from a stream, holding about one chunk or one element in memory."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._ended = False
        self._opened = False
        self.lines_dropped = 0

    def next(self) -> tuple[bool, object]:
        """(True, element), or (False, None) after the last one. Raises JSONDecodeError, ValueError, RecursionError."""
        if not self._opened:
            self._expect("[")
            self._opened = True
            if self._peek() == "]":
                return self._close()
        elif self._peek() == "]":
            return self._close()
        else:
            self._expect(",")
        self._peek()
        return True, self._element()

    def _element(self) -> object:
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                # Cut off by the chunk's end, or wrong: only more text can tell. Doubling keeps the retries linear.
                if not self._fill():
                    raise
                continue
            if end == len(self._text) and self._fill():
                continue
            self._at = end
            return value

    def _close(self) -> tuple[bool, object]:
        self._at += 1
        if self._peek():
            raise json.JSONDecodeError("Text after the list", self._text, self._at)
        return False, None

    def _expect(self, character: str) -> None:
        if self._peek() != character:
            raise json.JSONDecodeError(f"Expecting '{character}'", self._text, self._at)
        self._at += 1

    def _peek(self) -> str:
        """The next character that is not white space, "" at the end; moves up to it."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill():
                return ""

    def _fill(self) -> bool:
        if self._ended:
            return False
        rest = self._text[self._at :]
        chunk = self._stream.read(max(_CHUNK, len(rest)))
        if not chunk:
            self._ended = True
            return False
        self.lines_dropped += self._text.count("\n", 0, self._at)
        self._text = rest + chunk
        self._at = 0
        return True
