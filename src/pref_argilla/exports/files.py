"""The protocol that every kind of training file follows; ``jsonl_files``, ``parquet_files``, ``dataset_files`` do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pref_argilla.exports.rows import Column, Row


class RowFiles(Protocol):
    """Files being written. ``write`` for each row, ``finish`` once after the last, ``close`` in any case.

    ``finish`` answers where each split is, as a path or pattern relative to the folder (what the dataset card says), for
    the splits that have files. ``datasets`` cannot read an empty JSON file, so a kind may leave an empty split out.
    """

    def write(self, split: str, row: Row) -> None: ...

    def finish(self) -> Mapping[str, str]: ...

    def close(self) -> None: ...


OpenFiles = Callable[[Path, Sequence[Column]], RowFiles]
