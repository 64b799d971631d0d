"""``export``: pairs into a folder of training files, replaced as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pref_argilla.errors import ExportError, UsageError
from pref_argilla.exports.atomic import replaced_folder, writing
from pref_argilla.exports.card import ExportSummary, dataset_card
from pref_argilla.exports.formats import FORMATS, Format
from pref_argilla.exports.jsonl_files import json_line
from pref_argilla.exports.lengths import LengthCounter, Lengths
from pref_argilla.exports.manifest import ExportedFile, Options, describe_files, foreign_files, write_manifest
from pref_argilla.exports.rows import SPLITS, PairRow, provenance_row

CARD = "README.md"
PROVENANCE = "provenance.jsonl"
_NO_OPTIONS: Options = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ExportResult:
    """``rows`` counts every split, empty ones too; ``replaced`` is True where an older export was there."""

    out: Path
    format: str
    rows: Mapping[str, int]
    files: tuple[ExportedFile, ...]
    lengths: Lengths
    replaced: bool


def write_export(
    rows: Iterable[PairRow],
    out: Path,
    format_name: str,
    summarise: Callable[[], ExportSummary],
    *,
    options: Options = _NO_OPTIONS,
    timestamp: str | None = None,
    on_row: Callable[[int], None] | None = None,
) -> ExportResult:
    """Write ``rows``, in the order they come, into the folder ``out``; one batch of rows in memory at a time.

    ``summarise`` is asked once, after the last row, so that what makes the rows may count while it does. ``options`` and
    ``timestamp`` are only recorded in ``manifest.json``; without a timestamp the same rows make the same bytes.
    ``on_row`` hears the number of rows written so far.

    Raises UsageError for an unknown format, ExportError when there is no row, when ``out`` holds files of someone else,
    and when the disk or its permissions refuse. Whatever is raised, ``out`` is as it was.
    """
    format_ = _format(format_name)
    replaced = (Path(out) / "manifest.json").is_file()
    with replaced_folder(Path(out), _may_replace) as folder:
        written, places, lengths = _write_rows(rows, folder, out, format_, on_row)
        summary = summarise()
        # An empty split may have a file with the right columns, but datasets cannot load a split without rows.
        filled = {split: place for split, place in places.items() if written[split]}
        with writing(out):
            card = dataset_card(
                summary,
                format_name=format_name,
                usage=format_.usage(filled),
                columns=format_.columns,
                places=filled,
                rows=written,
                lengths=lengths,
            )
            (folder / CARD).write_text(card, encoding="utf-8")
            row_counts = {place: written[split] for split, place in places.items()}
            if format_.provenance:
                row_counts[PROVENANCE] = sum(written.values())
            files = describe_files(folder, row_counts)
            write_manifest(
                folder, format_name=format_name, options=options, rows=written, files=files, timestamp=timestamp
            )
    return ExportResult(Path(out), format_name, written, files, lengths, replaced)


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise UsageError(
            f"There is no export format {name!r}.",
            cause=f"The formats are {', '.join(FORMATS)}.",
            next_step="Name one of them with --format.",
        )
    return FORMATS[name]


def _may_replace(out: Path) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir():
        raise ExportError(
            f"{out} is a file.", cause="An export is a folder.", next_step="Name another folder with --out."
        )
    if not any(out.iterdir()):
        return
    foreign = foreign_files(out)
    if foreign is None:
        raise ExportError(
            f"{out} is not empty and no export of pref-argilla.",
            cause="Exporting there would remove what it holds.",
            next_step="Name a new or empty folder with --out.",
        )
    if foreign:
        raise ExportError(
            f"{out} holds an export and other files: {', '.join(foreign[:5])}{' and more' if len(foreign) > 5 else ''}.",
            cause="Exporting there would remove them.",
            next_step="Move these files away, or name a new folder with --out.",
        )


def _write_rows(
    rows: Iterable[PairRow], folder: Path, out: Path, format_: Format, on_row: Callable[[int], None] | None
) -> tuple[dict[str, int], Mapping[str, str], Lengths]:
    written = dict.fromkeys(SPLITS, 0)
    counter = LengthCounter()
    with ExitStack() as stack:
        with writing(out):
            files = format_.open_files(folder, format_.columns)
            stack.callback(_abandon, files.close)
            provenance = (folder / PROVENANCE).open("wb") if format_.provenance else None
            if provenance:
                stack.callback(_abandon, provenance.close)
        for number, row in enumerate(rows, start=1):
            _check_characters(row)
            with writing(out):
                files.write(row.split, format_.row(row))
                if provenance:
                    place = {"split": row.split, "row": written[row.split]}
                    provenance.write(json_line({**place, **provenance_row(row)}))
            written[row.split] += 1
            counter.add(row)
            if on_row:
                on_row(number)
        if not any(written.values()):
            raise ExportError(
                f"The export {out} would be empty.",
                cause="Not one pair is left: nothing is ranked yet, all are ties, or every pair was refused.",
                next_step="See what is there and why it is held back with: pref-argilla status",
            )
        with writing(out):
            places = files.finish()
            if provenance:
                provenance.close()
    return written, places, counter.lengths()


def _abandon(close: Callable[[], None]) -> None:
    """Close a file that an error left open: what it still holds may not fit on the disk, and nobody will read it."""
    with suppress(OSError):
        close()


def _check_characters(row: PairRow) -> None:
    """No file can hold half a surrogate pair; the readers and the model client keep such text out of the store."""
    texts = [message.content for message in row.prompt.messages]
    texts += [row.chosen.text, row.rejected.text, row.pair.chosen_origin, row.pair.rejected_origin]
    texts += [row.prompt.source, row.chosen.source, row.rejected.source]
    try:
        for text in texts:
            text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ExportError(
            f"A text of the pair {row.pair.chosen_id} over {row.pair.rejected_id} cannot be written.",
            cause=f"It holds half a surrogate pair (character {error.start}).",
            next_step=f"Leave out prompt {row.pair.prompt_id}, or add its completions again without it.",
        ) from error
