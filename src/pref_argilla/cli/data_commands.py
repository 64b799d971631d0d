"""``init``, ``prompts add``, ``completions add``: what goes into a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pref_argilla.cli.options import HERE, ColumnOption, JsonOption, ProjectOption, QuietOption, command, storable
from pref_argilla.cli.output import Output

if TYPE_CHECKING:
    from pref_argilla.sources import ColumnUse
    from pref_argilla.steps.add import AddReport

prompts_app = typer.Typer(help="Prompts from files.", no_args_is_help=True)
completions_app = typer.Typer(help="Answers from files.", no_args_is_help=True)


def init(
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="The new project's folder.", show_default=False)
    ] = None,
    language: Annotated[str, typer.Option(help="Of the guidelines and questions: en or tr.")] = "en",
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a project: a folder with a commented pref-argilla.toml and guidelines for annotators."""
    from pref_argilla.steps.project import init_project

    output = Output(as_json, quiet)
    made = init_project(directory or project, language=language)
    for path in made.written:
        output.line(f"wrote {path}")
    output.say(f"Next: {command('prompts add FILE', made.folder)}")
    output.done({"project": str(made.folder), "name": made.name, "written": [str(path) for path in made.written]})


@prompts_app.callback()
def _prompts() -> None:
    """Prompts from files."""


@prompts_app.command("add")
def add_prompts(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSONL, CSV, Parquet, a folder, or a name that 'datasets' loads.")
    ],
    column: ColumnOption = None,
    source: Annotated[str, typer.Option(help="Where these prompts come from; default: the file's name.")] = "",
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Add prompts: strings, or lists of messages that end with the user. Adding a file again changes nothing."""
    from pref_argilla.config import load_config
    from pref_argilla.sources import parse_columns, read_prompts
    from pref_argilla.steps import add
    from pref_argilla.store import Store

    output = Output(as_json, quiet)
    load_config(project)
    rows = read_prompts(
        file,
        parse_columns(column or []),
        source=storable(source or Path(file).name),
        on_columns=lambda used: output.say(f"Reading {_columns(used)}."),
    )
    with Store(project, writable=True) as store, output.progress("Adding prompts") as advance:
        report = add.add_prompts(store, rows, advance)
    _report(
        output,
        report,
        "prompts",
        f"Next: {command('generate', project)}, or {command('completions add FILE', project)}",
    )


@completions_app.callback()
def _completions() -> None:
    """Answers from files."""


@completions_app.command("add")
def add_completions(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSONL, CSV, Parquet, a folder, or a name that 'datasets' loads.")
    ],
    column: ColumnOption = None,
    origin: Annotated[
        str | None, typer.Option(help="Who wrote all of them: a model's name, or human.", show_default=False)
    ] = None,
    source: Annotated[str, typer.Option(help="Where they come from; default: the file's name.")] = "",
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Add existing answers, with their prompts where these are missing. Adding a file again changes nothing."""
    from pref_argilla.config import load_config
    from pref_argilla.sources import parse_columns, read_completions
    from pref_argilla.steps import add
    from pref_argilla.store import Store

    output = Output(as_json, quiet)
    load_config(project)
    rows = read_completions(
        file,
        parse_columns(column or []),
        origin and storable(origin),
        source=storable(source or Path(file).name),
        on_columns=lambda used: output.say(f"Reading {_columns(used)}."),
    )
    with Store(project, writable=True) as store, output.progress("Adding answers") as advance:
        report = add.add_completions(store, rows, advance)
    _report(output, report, "completions", f"Next: {command('dedupe', project)}, then {command('sync push', project)}")


def _columns(used: ColumnUse) -> str:
    parts = [f"the prompt from {' + '.join(used.prompt)}"]
    named = (
        ("the answer", used.completion),
        ("the origin", used.origin),
        ("the id", used.id),
        ("the source", used.source),
    )
    parts += [f"{what} from {column}" for what, column in named if column]
    return ", ".join(parts) + (f"; not used: {', '.join(used.unused)}" if used.unused else "")


def _report(output: Output, report: AddReport, noun: str, next_step: str) -> None:
    new = report.new_prompts if noun == "prompts" else report.new_completions
    good = report.rows - report.refused_rows
    extra = f", {report.new_prompts} new prompts" if noun == "completions" and report.new_prompts else ""
    output.line(
        f"{new} new {noun} from {report.rows} rows ({good - new} known already{extra}, {report.refused_rows} refused)"
    )
    for sentence in report.examples:
        output.warn(sentence)
    hidden = report.refused_rows - len(report.examples)
    if hidden > 0:
        output.warn(f"{hidden} more rows were refused.")
    output.say(next_step)
    output.done(
        {
            "rows": report.rows,
            "new_prompts": report.new_prompts,
            "new_completions": report.new_completions,
            "refused": report.refused,
            "refused_examples": report.examples,
        }
    )
    if report.refused_rows:
        raise typer.Exit(3)
