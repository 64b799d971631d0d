"""``train.jsonl`` and ``test.jsonl``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from pref_argilla.errors import ExportError
from pref_argilla.exports.rows import Column, Row

# JSON allows these inside strings, but readers that split text into lines would take them for line ends.
_LINE_ENDS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ANY_LINE_END = re.compile("[\x85\u2028\u2029]")
# What Arrow's JSON reader takes for a point in time (ISO 8601), and a little more.
_LIKE_A_DATE = re.compile(r"\s*\d{4}-\d\d-\d\d([ T].*)?", re.DOTALL)


def json_line(row: Mapping[str, object]) -> bytes:
    """One row as UTF-8, ended by the only line end in it."""
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if not text.isascii():
        text = _ANY_LINE_END.sub(lambda match: _LINE_ENDS[match[0]], text)
    return text.encode("utf-8") + b"\n"


class JsonlFiles:
    """A file is made with its split's first row."""

    def __init__(self, folder: Path, columns: Sequence[Column]) -> None:
        self._folder = folder
        self._columns = columns
        self._files: dict[str, BinaryIO] = {}
        self._open = ExitStack()
        self._dates: dict[str, set[str]] = {}

    def write(self, split: str, row: Row) -> None:
        file = self._files.get(split)
        if file is None:
            file = self._open.enter_context((self._folder / f"{split}.jsonl").open("wb"))
            self._files[split] = file
            self._dates[split] = {column.name for column in self._columns}
        file.write(json_line(row))
        if self._dates[split]:
            self._dates[split] = {name for name in self._dates[split] if _all_dates(row[name])}

    def finish(self) -> Mapping[str, str]:
        for split, names in self._dates.items():
            if names:
                column = min(names)
                raise ExportError(
                    f"Every {column!r} of the {split} split is a date.",
                    cause="`datasets` reads such a column of a JSON file as points in time and changes the texts.",
                    next_step="Export with --format parquet: it has the same columns and says that they are text.",
                )
        self.close()
        return {split: f"{split}.jsonl" for split in sorted(self._files, reverse=True)}

    def close(self) -> None:
        self._open.close()


def _all_dates(value: object) -> bool:
    if isinstance(value, list):
        return all(_LIKE_A_DATE.fullmatch(turn["content"]) for turn in value)
    return isinstance(value, str) and _LIKE_A_DATE.fullmatch(value) is not None
