"""From what the user named to the reader of its format. A new format is one module and one line here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from pref_argilla.errors import InputError
from pref_argilla.sources.delimited import open_delimited
from pref_argilla.sources.hub import is_saved_dataset, open_hub, open_saved
from pref_argilla.sources.json_list import open_json
from pref_argilla.sources.jsonl import open_jsonl
from pref_argilla.sources.parquet import open_parquet
from pref_argilla.sources.rows import BadRow, RawRow, Table

_TEXT_FORMATS: dict[str, Callable[[Path], Table]] = {
    ".jsonl": open_jsonl,
    ".ndjson": open_jsonl,
    ".json": open_json,
    ".csv": lambda path: open_delimited(path, ","),
    ".tsv": lambda path: open_delimited(path, "\t"),
}
_READABLE = ".jsonl, .json, .csv, .tsv (each also as .gz) and .parquet"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# Files that tools leave beside the data and that hold no rows.
_NOT_DATA = frozenset({"dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json", "manifest.json"})


def open_table(path_or_name: str | Path, config: str | None = None, split: str | None = None) -> Table:
    """A file, a folder of files of one format, a folder written by ``save_to_disk``, or ``owner/name`` on the Hub.

    Raises InputError when there is nothing that can be read. ``config`` and ``split`` serve datasets only.
    """
    path = Path(path_or_name)
    name = str(path_or_name)
    if path.is_dir():
        return open_saved(path, split) if is_saved_dataset(path) else _open_folder(path)
    if path.is_file():
        return _open_file(path)
    if path.exists():
        raise InputError(
            f"{path} is no regular file.",
            cause="It is a pipe or a device, and rows are read more than once.",
            next_step="Save the rows in a file first, then name that file.",
        )
    if _HUB_NAME.fullmatch(name) and _format_of(path) is None:
        return open_hub(name, config, split)
    raise InputError(
        f"{path} does not exist.",
        cause=f"There is no such file or folder (looked in {Path.cwd()})." if not path.is_absolute() else "",
        next_step=f"Check the path with: ls {shlex.quote(str(path.parent))}",
    )


def _format_of(path: Path) -> Callable[[Path], Table] | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".parquet"]:
        return open_parquet
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    return _TEXT_FORMATS.get(suffixes[-1]) if suffixes else None


def _open_file(path: Path) -> Table:
    opener = _format_of(path)
    if opener is None:
        raise InputError(
            f"{path} has no known format.",
            cause=f"Formats go by the file's ending; known ones are {_READABLE}.",
            next_step="Rename the file if it is one of these, or save its rows as JSON Lines (.jsonl).",
        )
    return opener(path)


def _open_folder(folder: Path) -> Table:
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name not in _NOT_DATA
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and _format_of(path) is not None
    ]
    if not found:
        raise InputError(
            f"{folder} holds no data.",
            cause=f"No file in it ends in {_READABLE}, and it was not written by save_to_disk.",
            next_step="Name the file or folder that holds the rows.",
        )
    formats = {_format_of(path) for path in found}
    if len(formats) > 1:
        raise InputError(
            f"{folder} holds files of different formats.",
            cause=f"{_names(found, folder)}: they may be the same rows twice.",
            next_step="Name one of these files.",
        )
    tables = [_open_file(path) for path in found]
    known = [table.columns for table in tables if table.columns is not None]
    columns = tuple(dict.fromkeys(name for names in known for name in names)) if known else None
    return Table(str(folder), columns, lambda needed: _chained(tables, needed), tables[0].text_cells)


def _chained(tables: list[Table], needed: frozenset[str] | None) -> Iterator[RawRow | BadRow]:
    for table in tables:
        yield from table.rows(needed)


def _names(paths: list[Path], folder: Path) -> str:
    names = [str(path.relative_to(folder)) for path in paths[:5]]
    return ", ".join(names) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
