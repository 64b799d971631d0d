"""JSON Lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pref_argilla.sources.rows import BadReason, BadRow, RawRow, Table, Where, shown
from pref_argilla.sources.textfile import check_text, open_binary


def open_jsonl(path: Path) -> Table:
    check_text(path)
    return Table(str(path), None, lambda _needed: _rows(path))


def _rows(path: Path) -> Iterator[RawRow | BadRow]:
    # Lines of bytes end at a line feed only; lines of text would also end at U+2028, which JSON allows inside a string.
    with open_binary(path) as stream:
        for number, line in enumerate(stream, start=1):
            if line.isspace():
                continue
            where = Where(str(path), number, "line")
            try:
                value = json.loads(line.rstrip())
            except json.JSONDecodeError as error:
                yield BadRow(where, BadReason.NOT_JSON, f"{json_fault(error)} at column {error.colno}")
            except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets 100,000 deep
                yield BadRow(where, BadReason.NOT_JSON, str(error))
            else:
                yield object_row(where, value)


def json_fault(error: json.JSONDecodeError) -> str:
    """The parser's message without the "at" that some of them end with."""
    return error.msg.removesuffix(" at").removesuffix(" starting")


def object_row(where: Where, value: object) -> RawRow | BadRow:
    if isinstance(value, dict):
        return RawRow(where, value)
    return BadRow(where, BadReason.NOT_AN_OBJECT, shown(value))
