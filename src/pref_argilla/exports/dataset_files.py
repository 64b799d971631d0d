"""A ``datasets.DatasetDict`` as ``save_to_disk`` writes it; both splits always there."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pref_argilla.exports.arrow_rows import Batches, arrow_schema
from pref_argilla.exports.jsonl_files import json_line
from pref_argilla.exports.rows import SPLITS, Column, Row
from pref_argilla.sources.hub import quiet_datasets

_SHARD_BYTES = 500 << 20


class DatasetFiles:
    """Rows go to an Arrow file each split first, which ``datasets`` then maps into memory and saves in its own layout:
    a million rows take no more memory than a batch.
    """

    def __init__(self, folder: Path, columns: Sequence[Column]) -> None:
        import pyarrow as pa

        self._folder = folder
        self._columns = columns
        self._work = folder / ".arrow"
        self._work.mkdir()
        schema = arrow_schema(columns)
        self._batches = {split: Batches(schema) for split in SPLITS}
        self._hashes = {split: hashlib.sha256(split.encode()) for split in SPLITS}
        self._open = ExitStack()
        self._writers: dict[str, Any] = {}
        for split in SPLITS:
            sink = self._open.enter_context(pa.OSFile(str(self._arrow_file(split)), "wb"))
            self._writers[split] = self._open.enter_context(pa.ipc.new_stream(sink, schema))

    def write(self, split: str, row: Row) -> None:
        self._hashes[split].update(json_line(row))
        batch = self._batches[split].add(row)
        if batch is not None:
            self._writers[split].write_batch(batch)

    def finish(self) -> Mapping[str, str]:
        for split, writer in self._writers.items():
            writer.write_batch(self._batches[split].rest())
        self.close()
        self._save()
        shutil.rmtree(self._work)
        return {split: f"{split}/data-*.arrow" for split in SPLITS}

    def close(self) -> None:
        self._open.close()

    def _arrow_file(self, split: str) -> Path:
        return self._work / f"{split}.arrow"

    def _save(self) -> None:
        import datasets
        from datasets.table import MemoryMappedTable

        message = {"role": datasets.Value("string"), "content": datasets.Value("string")}
        features = datasets.Features(
            {
                column.name: [message] if column.kind == "messages" else datasets.Value(column.kind)
                for column in self._columns
            }
        )
        splits = datasets.DatasetDict(
            {
                split: datasets.Dataset(
                    MemoryMappedTable.from_file(str(self._arrow_file(split))),
                    info=datasets.DatasetInfo(features=features),
                    split=datasets.NamedSplit(split),
                    # By content: the one that datasets makes up is different every time.
                    fingerprint=self._hashes[split].hexdigest()[:16],
                )
                for split in SPLITS
            }
        )
        # Said outright: left to itself, datasets saves an empty split as no file, which it then cannot load.
        shards = {split: self._arrow_file(split).stat().st_size // _SHARD_BYTES + 1 for split in SPLITS}
        with quiet_datasets():
            splits.save_to_disk(str(self._folder), num_shards=shards)
