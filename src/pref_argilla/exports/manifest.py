"""``manifest.json``: what an export holds, and the mark by which a folder is known to be one of ours.

It holds no clock and nothing of the machine: the same input makes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

MANIFEST = "manifest.json"
_MADE_BY = "pref-argilla"
_VERSION = 1
_CHUNK = 1 << 20

Options = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """``name`` is relative to the export's folder; ``rows`` is None for a file that holds none."""

    name: str
    bytes: int
    sha256: str
    rows: int | None = None


def describe_files(folder: Path, rows: Mapping[str, int]) -> tuple[ExportedFile, ...]:
    """Every file under ``folder`` by name; ``rows`` has the counts of those that hold rows."""
    return tuple(
        ExportedFile(name, path.stat().st_size, _sha256(path), rows.get(name))
        for name, path in sorted(_files(folder).items())
        if name != MANIFEST
    )


def write_manifest(
    folder: Path,
    *,
    format_name: str,
    options: Options,
    rows: Mapping[str, int],
    files: Sequence[ExportedFile],
    timestamp: str | None,
) -> None:
    content = {
        "made_by": _MADE_BY,
        "manifest": _VERSION,
        "format": format_name,
        **({"timestamp": timestamp} if timestamp is not None else {}),
        "options": dict(sorted(options.items())),
        "rows": dict(rows),
        "files": [asdict(file) for file in files],
    }
    (folder / MANIFEST).write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def foreign_files(folder: Path) -> tuple[str, ...] | None:
    """The files in ``folder`` that no export of ours put there; None where it holds no manifest of ours."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if content["made_by"] != _MADE_BY:
            return None
        ours = {str(file["name"]) for file in content["files"]} | {MANIFEST}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return tuple(sorted(set(_files(folder)) - ours))


def _files(folder: Path) -> dict[str, Path]:
    # Links and sockets too: what is not a folder is something that replacing the export would remove.
    return {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
