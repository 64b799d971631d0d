"""Rows gathered into Arrow batches under a schema that is fixed, not guessed from the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pref_argilla.exports.rows import Column, Row

# A batch is handed on at whichever comes first; long conversations must not add up to gigabytes.
_BATCH_ROWS = 10_000
_BATCH_CHARACTERS = 16 << 20


def arrow_schema(columns: Sequence[Column]) -> Any:
    import pyarrow as pa

    turn = pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())])
    types = {"messages": pa.list_(turn), "string": pa.string(), "int64": pa.int64(), "float64": pa.float64()}
    return pa.schema([pa.field(column.name, types[column.kind]) for column in columns])


class Batches:
    """``add`` answers with a record batch when one is full, else None; ``rest`` with what is left, be it nothing."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._rows: list[Row] = []
        self._characters = 0

    def add(self, row: Row) -> Any | None:
        self._rows.append(row)
        self._characters += _characters(row)
        if len(self._rows) >= _BATCH_ROWS or self._characters >= _BATCH_CHARACTERS:
            return self.rest()
        return None

    def rest(self) -> Any:
        import pyarrow as pa

        batch = pa.RecordBatch.from_pylist(self._rows, schema=self._schema)
        self._rows = []
        self._characters = 0
        return batch


def _characters(row: Row) -> int:
    total = 0
    for value in row.values():
        if isinstance(value, str):
            total += len(value)
        elif isinstance(value, list):
            total += sum(len(turn["content"]) for turn in value)
    return total
