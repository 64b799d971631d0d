"""``sync push|pull|run|status``: tasks to Argilla, rankings back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pref_argilla.cli.options import HERE, JsonOption, ProjectOption, QuietOption, command, finite
from pref_argilla.cli.output import Output

if TYPE_CHECKING:
    from pref_argilla.config import Config
    from pref_argilla.labeling.connection import Connection
    from pref_argilla.steps.sync import PullReport, PushReport
    from pref_argilla.store import Store

# A day, in seconds.
LONGEST_PAUSE = 86_400

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
    if report.unfit:
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
        typer.Option(
            min=1,
            max=LONGEST_PAUSE,
            callback=finite,
            help="Go on, with so many seconds between rounds, until Ctrl+C.",
            show_default=False,
        ),
    ] = None,
    full: FullOption = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Push, then pull; once, or again and again with --every."""
    from pref_argilla.config import load_config
    from pref_argilla.errors import LabelingUnreachableError, StoreBusyError, StoreFullError

    output = Output(as_json, quiet)
    config = load_config(project)
    rounds = _Rounds()
    if every is None:
        rounds.one(config, output, full)
        output.done(rounds.as_dict())
        if not rounds.whole:
            raise typer.Exit(3)
        return
    try:
        while True:
            try:
                rounds.one(config, output, full)
            except (LabelingUnreachableError, StoreBusyError, StoreFullError) as exc:
                # What passes by itself or by somebody's hand elsewhere: the next round may find it gone.
                rounds.failed += 1
                output.warn(
                    f"{' '.join(part for part in (exc.what, exc.cause) if part)} Next try in {every:g} seconds."
                )
            time.sleep(every)
    except KeyboardInterrupt:
        output.done({"interrupted": True, **rounds.as_dict()})
        raise


@dataclass(slots=True)
class _Rounds:
    """What ``sync run`` did: how many rounds, how many of them failed, and the last reports."""

    count: int = 0
    failed: int = 0
    pushed: PushReport | None = None
    pulled: PullReport | None = None

    def one(self, config: Config, output: Output, full: bool) -> None:
        from pref_argilla.store import Store

        self.count += 1
        # Opened anew each round, so that other commands may write between rounds.
        with Store(config.folder, writable=True) as store, _connect(config, output) as connection:
            self.pushed = push_tasks(store, config, connection, output)
            self.pulled = pull_rankings(store, config, connection, output, full)

    @property
    def whole(self) -> bool:
        return bool(self.pushed and not self.pushed.unfit and self.pulled and self.pulled.complete)

    def as_dict(self) -> dict[str, Any]:
        return {
            "rounds": self.count,
            "failed_rounds": self.failed,
            "push": _push_dict(self.pushed) if self.pushed else None,
            "pull": _pull_dict(self.pulled) if self.pulled else None,
        }


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
        output.warn(
            f"Records kept being deleted while they were read; run '{command('sync pull', config.folder)}' again."
        )
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
