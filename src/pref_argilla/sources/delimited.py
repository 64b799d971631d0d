"""CSV and TSV: a header line, then rows of text."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pref_argilla.errors import InputError
from pref_argilla.sources.rows import BadReason, BadRow, RawRow, Table, Where
from pref_argilla.sources.textfile import check_text, open_text

if TYPE_CHECKING:
    import _csv

# Python's own limit of 131,072 characters a field is below what a long conversation has.
_FIELD_LIMIT = 1 << 30


def open_delimited(path: Path, delimiter: str) -> Table:
    """``delimiter`` is what the file's name promises; a .csv whose header has only semicolons or tabs is read by those
    (spreadsheets write semicolons where the comma is the decimal mark, as in Turkey).
    """
    check_text(path)
    header, used = _header(path, delimiter)
    return Table(str(path), header, lambda _needed: _rows(path, used), text_cells=True)


def _header(path: Path, delimiter: str) -> tuple[tuple[str, ...], str]:
    candidates = (delimiter, ";", "\t") if delimiter == "," else (delimiter,)
    for candidate in candidates:
        header = _first_record(path, candidate)
        if len(header) > 1:
            break
    else:
        candidate = delimiter
        header = _first_record(path, delimiter)
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise InputError(
            f"{path} has two columns called {twice[0]!r}.",
            cause="Which of them is meant cannot be told.",
            next_step="Rename one of them in the file's first line.",
        )
    return header, candidate


def _first_record(path: Path, delimiter: str) -> tuple[str, ...]:
    with open_text(path) as stream:
        try:
            for fields in _reader(stream, delimiter):
                if fields:
                    return tuple(name.strip() for name in fields)
        except csv.Error as error:
            raise InputError(
                f"{path} has no readable header.",
                cause=f"Its first line is not CSV ({error}).",
                next_step=f"Look at it with: head -n 2 {shlex.quote(str(path))}",
            ) from error
    return ()


def _rows(path: Path, delimiter: str) -> Iterator[RawRow | BadRow]:
    with open_text(path) as stream:
        reader = _reader(stream, delimiter)
        header: list[str] = []
        while True:
            where = Where(str(path), reader.line_num + 1, "line")
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                detail = f"{error}; a quotation mark is not closed or not doubled"
                yield BadRow(where, BadReason.WRONG_FIELD_COUNT, detail)
                continue
            if not fields:
                continue
            if not header:
                header = [name.strip() for name in fields]
            elif len(fields) != len(header):
                detail = f"{len(fields)} where the header has {len(header)}"
                yield BadRow(where, BadReason.WRONG_FIELD_COUNT, detail)
            else:
                yield RawRow(where, dict(zip(header, fields, strict=True)))


def _reader(stream: TextIO, delimiter: str) -> _csv.Reader:
    # The limit is the csv module's, for the whole process; it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), _FIELD_LIMIT))
    # strict: without it, a quotation mark that is never closed swallows the rest of the file without a word.
    return csv.reader(stream, delimiter=delimiter, strict=True)
