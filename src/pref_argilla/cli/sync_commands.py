"""``sync push|pull|run|status``: tasks to Argilla, rankings back."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pref_argilla.cli.options import HERE, JsonOption, ProjectOption, QuietOption
from pref_argilla.cli.output import Output

if TYPE_CHECKING:
    from pref_argilla.config import Config
    from pref_argilla.labeling.connection import Connection
    from pref_argilla.steps.sync import PullReport, PushReport
    from pref_argilla.store import Store

app = typer.Typer(help="Tasks to Argilla, rankings back.", no_args_is_help=True)

FullOption = Annotated[bool, typer.Option("--full", help="Read everything even if Argilla says that nothing happened.")]


@app.command()
def push(project: ProjectOption = HERE, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Send the tasks that are ready; makes workspace and dataset on first use. Sending again changes nothing."""
    from pref_argilla.config import load_config
    from pref_argilla.store import Store

    output = Output(as_json, quiet)
    config = load_config(project)
    with Store(project, writable=True) as store, _connect(config, output) as connection:
        report = push_tasks(store, config, connection, output)
    output.done(_push_dict(report))
    if any("Argilla refused" in item.reason for item in report.unfit):
        raise typer.Exit(3)


@app.command()
def pull(
    full: FullOption = False, project: ProjectOption = HERE, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Bring back every ranking, edit and withdrawal. At most three requests when nothing happened."""
    from pref_argilla.config import load_config
    from pref_argilla.store import Store

    output = Output(as_json, quiet)
    config = load_config(project)
    with Store(project, writable=True) as store, _connect(config, output) as connection:
        report = pull_rankings(store, config, connection, output, full)
    output.done(_pull_dict(report))
    if not report.complete:
        raise typer.Exit(3)


@app.command()
def run(
    every: Annotated[
        float | None,
        typer.Option(min=1, help="Go on, with so many seconds between rounds, until Ctrl+C.", show_default=False),
    ] = None,
    full: FullOption = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Push, then pull; once, or again and again with --every."""
    from pref_argilla.config import load_config
    from pref_argilla.store import Store

    output = Output(as_json, quiet)
    config = load_config(project)
    while True:
        # Opened anew each round, so that other commands may write between rounds.
        with Store(project, writable=True) as store, _connect(config, output) as connection:
            pushed = push_tasks(store, config, connection, output)
            pulled = pull_rankings(store, config, connection, output, full)
        if every is None:
            output.done({"push": _push_dict(pushed), "pull": _pull_dict(pulled)})
            return
        time.sleep(every)


@app.command()
def status(project: ProjectOption = HERE, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Ask Argilla whether anything happened since the last pull; changes nothing."""
    from pref_argilla.config import load_config
    from pref_argilla.errors import LabelingDataError
    from pref_argilla.labeling.pull import read_mark
    from pref_argilla.steps.sync import find_dataset
    from pref_argilla.store import Store

    output = Output(as_json, quiet)
    config = load_config(project)
    with Store(project, writable=False) as store:
        dataset = find_dataset(store, config)
        if dataset is None:
            raise LabelingDataError("Nothing was pushed yet.", next_step="Run 'pref-argilla sync push' first.")
        with _connect(config, output) as connection:
            mark = read_mark(connection, dataset.id)
    new = (mark.last_activity_at, mark.total) != (dataset.last_activity_at, dataset.total)
    output.line(
        f"{mark.total} records in Argilla; last activity {mark.last_activity_at}; last pull {dataset.scanned_at or 'never'}"
    )
    output.line("There is something to pull." if new else "Nothing to pull.")
    output.done(
        {
            "records": mark.total,
            "last_activity_at": mark.last_activity_at,
            "last_pull": dataset.scanned_at,
            "something_to_pull": new,
        }
    )


def _connect(config: Config, output: Output) -> Connection:
    from pref_argilla.cli.environment import argilla_address
    from pref_argilla.labeling.connection import Connection

    address = argilla_address(config)
    output.say(f"Connecting to Argilla at {address.url}")
    return Connection(address)


def push_tasks(store: Store, config: Config, connection: Connection, output: Output) -> PushReport:
    from pref_argilla.steps.sync import push, read_guidelines

    with output.progress("Pushing tasks") as advance:
        report = push(store, config, connection, read_guidelines(config), advance)
    output.line(f"{report.pushed} tasks pushed, {report.unchanged} there already, {len(report.held)} prompts held back")
    for reason, count in _by_reason(report).items():
        output.line(f"  {count} {reason}")
    for item in report.unfit:
        output.warn(f"Task {item.task_id} was not sent: {item.reason}")
    output.say(f"Annotators work at {report.page}")
    return report


def pull_rankings(store: Store, config: Config, connection: Connection, output: Output, full: bool) -> PullReport:
    from pref_argilla.steps.sync import pull

    with output.progress("Pulling rankings") as advance:
        report = pull(
            store,
            config,
            connection,
            datetime.now(UTC),
            full=full,
            on_progress=advance,
        )
    if report.scanned:
        output.line(
            f"{report.count('new')} new, {report.count('edited')} edited, {report.count('withdrawn')} withdrawn"
        )
    else:
        output.line("Nothing new.")
    for item in report.unreadable:
        output.warn(f"Response {item.response_id} was left out: {item.reason}")
    if report.foreign_records:
        output.warn(f"{report.foreign_records} records in the dataset are not this project's; they were left alone.")
    if not report.complete:
        output.warn("Records kept being deleted while they were read; run 'pref-argilla sync pull' again.")
    return report


def _by_reason(report: PushReport) -> dict[str, int]:
    reasons: dict[str, int] = {}
    for item in report.held:
        reasons[item.reason.value] = reasons.get(item.reason.value, 0) + 1
    return dict(sorted(reasons.items()))


def _push_dict(report: PushReport) -> dict[str, Any]:
    return {
        "dataset_id": report.dataset_id,
        "page": report.page,
        "pushed": report.pushed,
        "unchanged": report.unchanged,
        "held_back": _by_reason(report),
        "not_sent": [{"task": item.task_id, "reason": item.reason} for item in report.unfit],
    }


def _pull_dict(report: PullReport) -> dict[str, Any]:
    return {
        "scanned": report.scanned,
        "complete": report.complete,
        "records": report.records,
        "new": report.count("new"),
        "edited": report.count("edited"),
        "withdrawn": report.count("withdrawn"),
        "unreadable": [{"response": item.response_id, "reason": item.reason} for item in report.unreadable],
        "foreign_records": report.foreign_records,
        "requests": report.requests,
    }
