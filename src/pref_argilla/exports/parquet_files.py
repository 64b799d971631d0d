"""``train.parquet`` and ``test.parquet``, both always there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pref_argilla.exports.arrow_rows import Batches, arrow_schema
from pref_argilla.exports.rows import SPLITS, Column, Row


class ParquetFiles:
    def __init__(self, folder: Path, columns: Sequence[Column]) -> None:
        import pyarrow.parquet as pq

        schema = arrow_schema(columns)
        self._batches = {split: Batches(schema) for split in SPLITS}
        self._open = ExitStack()
        self._writers: dict[str, Any] = {}
        for split in SPLITS:
            writer = pq.ParquetWriter(folder / f"{split}.parquet", schema, compression="zstd")
            self._writers[split] = self._open.enter_context(writer)

    def write(self, split: str, row: Row) -> None:
        batch = self._batches[split].add(row)
        if batch is not None:
            self._writers[split].write_batch(batch)

    def finish(self) -> Mapping[str, str]:
        for split, writer in self._writers.items():
            batch = self._batches[split].rest()
            # datasets cannot read a row group that has no rows; a file without a row group it can.
            if batch.num_rows:
                writer.write_batch(batch)
        self.close()
        return {split: f"{split}.parquet" for split in SPLITS}

    def close(self) -> None:
        self._open.close()
