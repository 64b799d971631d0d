"""The formats by name. A format is a row function, its columns, and the kind of files that take the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pref_argilla.exports.dataset_files import DatasetFiles
from pref_argilla.exports.files import OpenFiles
from pref_argilla.exports.jsonl_files import JsonlFiles
from pref_argilla.exports.parquet_files import ParquetFiles
from pref_argilla.exports.rows import FLAT_COLUMNS, TRL_DPO_COLUMNS, Column, RowFunction, flat_row, trl_dpo_row


@dataclass(frozen=True, slots=True)
class Format:
    """``usage`` makes the Python lines that read the files from where each split is.

    ``provenance``: the rows have no columns for it, so it goes beside them into ``provenance.jsonl``.
    """

    name: str
    columns: tuple[Column, ...]
    row: RowFunction
    open_files: OpenFiles
    usage: Callable[[Mapping[str, str]], str]
    provenance: bool = False


def _load_dataset(builder: str) -> Callable[[Mapping[str, str]], str]:
    def usage(places: Mapping[str, str]) -> str:
        files = ", ".join(f'"{split}": "{place}"' for split, place in places.items())
        return f'from datasets import load_dataset\n\nsplits = load_dataset("{builder}", data_files={{{files}}})'

    return usage


def _load_from_disk(_places: Mapping[str, str]) -> str:
    return 'from datasets import load_from_disk\n\nsplits = load_from_disk(".")'


_ALL = (
    Format("trl-dpo", TRL_DPO_COLUMNS, trl_dpo_row, JsonlFiles, _load_dataset("json"), provenance=True),
    Format("jsonl", FLAT_COLUMNS, flat_row, JsonlFiles, _load_dataset("json")),
    Format("parquet", FLAT_COLUMNS, flat_row, ParquetFiles, _load_dataset("parquet")),
    Format("dataset", FLAT_COLUMNS, flat_row, DatasetFiles, _load_from_disk),
)
FORMATS: Mapping[str, Format] = MappingProxyType({format_.name: format_ for format_ in _ALL})
