"""Parquet files, a small batch of rows and only the needed columns at a time."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pref_argilla.errors import InputError
from pref_argilla.sources.rows import BadReason, BadRow, RawRow, Table, Where
from pref_argilla.sources.textfile import empty_file, reading

_BATCH = 256


def open_parquet(path: Path) -> Table:
    with reading(path):
        if not path.stat().st_size:
            raise empty_file(path)
        with _open(path) as file:
            columns = tuple(file.schema_arrow.names)
    return Table(str(path), columns, lambda needed: _rows(path, needed))


def _open(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise _damaged(path, error) from error


def _rows(path: Path, needed: frozenset[str] | None) -> Iterator[RawRow | BadRow]:
    import pyarrow as pa

    number = 0
    with reading(path), _open(path) as file:
        columns = None if needed is None else [name for name in file.schema_arrow.names if name in needed]
        batches = file.iter_batches(batch_size=_BATCH, columns=columns)
        while True:
            try:
                batch = next(batches, None)
            except pa.ArrowException as error:
                raise _damaged(path, error) from error
            if batch is None:
                return
            for value in values(batch):
                number += 1
                where = Where(str(path), number, "row")
                if isinstance(value, str):
                    yield BadRow(where, BadReason.BAD_CHARACTERS, value)
                else:
                    yield RawRow(where, value)


def values(batch: Any) -> Iterator[dict[str, object] | str]:
    """The rows of an Arrow batch as dicts; a row with text that is not UTF-8 as what is wrong with it."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for index in range(batch.num_rows):
            try:
                (row,) = batch.slice(index, 1).to_pylist()
            except UnicodeDecodeError as error:
                yield f"not UTF-8 ({error.reason})"
            else:
                yield row


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} is no readable Parquet file.",
        cause=f"It may be damaged, cut off, or something else under that name ({str(error).splitlines()[0]}).",
        next_step=f"Look at it with: file {shlex.quote(str(path))}",
    )
