"""What the ``datasets`` library loads: a folder written by ``save_to_disk``, or a dataset of the Hub by its name."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pref_argilla.errors import InputError
from pref_argilla.sources.parquet import values
from pref_argilla.sources.rows import BadReason, BadRow, RawRow, Table, Where

_BATCH = 256


def is_saved_dataset(folder: Path) -> bool:
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def open_saved(folder: Path, split: str | None) -> Table:
    """A folder written by ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk``; all splits unless one is named."""
    import datasets
    import pyarrow as pa

    with quiet_datasets():
        try:
            loaded = datasets.load_from_disk(str(folder))
        except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:  # IndexError: it is empty
            raise InputError(
                f"{folder} cannot be loaded.",
                cause=f"It looks like a folder of save_to_disk, but `datasets` refuses it ({_first_line(error)}).",
                next_step="Save it again with save_to_disk, or name a JSONL, CSV or Parquet file.",
            ) from error
    return _table(str(folder), loaded, split)


def open_hub(name: str, config: str | None, split: str | None) -> Table:
    """A dataset of the Hub, downloaded into the cache of ``datasets`` or found there. All splits unless one is named."""
    import datasets
    import httpx
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    with quiet_datasets():
        try:
            loaded = datasets.load_dataset(name, config)
        except DatasetNotFoundError as error:
            raise _not_there(name, f"The Hub has no such dataset, or it is private ({_first_line(error)}).") from error
        except (ConnectionError, httpx.HTTPError) as error:
            raise _not_there(name, f"The Hub cannot be reached ({_first_line(error)}).") from error
        except (OSError, ValueError, RuntimeError, DatasetsError, HfHubHTTPError) as error:
            raise _not_there(name, f"`datasets` cannot load it ({_first_line(error)}).") from error
    return _table(name, loaded, split)


def _not_there(name: str, cause: str) -> InputError:
    return InputError(
        f"There is no file or folder {name!r} here, and no dataset of that name could be loaded.",
        cause=cause,
        next_step=f"Check the path with: ls {shlex.quote(name)} - or download the dataset's JSONL or Parquet file and name that.",
    )


def _table(name: str, loaded: Any, split: str | None) -> Table:
    import datasets

    if not isinstance(loaded, datasets.DatasetDict):
        parts = {name: loaded}
    elif split is None:
        parts = {f"{name}[{part}]": rows for part, rows in loaded.items()}
    elif split in loaded:
        parts = {f"{name}[{split}]": loaded[split]}
    else:
        raise InputError(
            f"{name} has no split {split!r}.",
            cause=f"It has: {', '.join(loaded)}.",
            next_step="Name one of these, or none to read them all.",
        )
    columns = tuple(dict.fromkeys(column for rows in parts.values() for column in rows.column_names))
    return Table(name, columns, lambda needed: _rows(parts, needed))


def _rows(parts: dict[str, Any], needed: frozenset[str] | None) -> Iterator[RawRow | BadRow]:
    for name, dataset in parts.items():
        wanted = [column for column in dataset.column_names if needed is None or column in needed]
        # As Arrow: nothing is decoded, so a column of images costs nothing and needs no further package.
        arrow = dataset.select_columns(wanted).with_format("arrow")
        number = 0
        for batch in arrow.iter(batch_size=_BATCH):
            for value in values(batch):
                number += 1
                where = Where(name, number, "row")
                if isinstance(value, str):
                    yield BadRow(where, BadReason.BAD_CHARACTERS, value)
                else:
                    yield RawRow(where, value)


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """Without the progress bars of ``datasets``: the library does not print, the command line does."""
    import datasets

    was_off = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not was_off:
            datasets.enable_progress_bars()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
