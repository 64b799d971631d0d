"""The options that every command takes, and what they open."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Annotated

import typer

ProjectOption = Annotated[
    Path, typer.Option("--project", metavar="DIR", help="The project's folder.", show_default="this folder")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Say nothing but results, warnings and errors.")]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="FIELD=NAME",
        help="Where a field stands, e.g. prompt=question; dotted paths reach into objects.",
    ),
]
HERE = Path()


def command(words: str, project: Path) -> str:
    """``pref-argilla WORDS`` as it is to be typed for this project, for the lines that say what comes next."""
    where = "" if project == HERE else f" --project {shlex.quote(str(project))}"
    return f"pref-argilla {words}{where}"


def finite(value: float | None) -> float | None:
    """Typer's bounds let "nan" through."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter("it must be a finite number.")
    return value


def above_zero(value: float | None) -> float | None:
    if value is not None and not value > 0:
        raise typer.BadParameter("it must be above 0.")
    return value


def storable(text: str) -> str:
    """A word of the command line with the bytes that are no UTF-8 (of a file's name) written as ``\\udcff``."""
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")
