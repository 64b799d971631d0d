"""Tasks to Argilla and rankings back: what ``sync push`` and ``sync pull`` do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pref_argilla.config import Config
from pref_argilla.errors import ConfigError, LabelingDataError
from pref_argilla.labeling.connection import Connection
from pref_argilla.labeling.dataset import DatasetSpec, dataset_page, ensure_dataset
from pref_argilla.labeling.pull import changes, read_annotators, read_mark, scan
from pref_argilla.labeling.push import push_records
from pref_argilla.labeling.records import RecordBody, Unfit, Unreadable, external_id, record_body
from pref_argilla.schema import Completion, Prompt, Task
from pref_argilla.store import DatasetRow, RankingChange, RecordRow, Store
from pref_argilla.tasks import HeldBack, build_task

# Even when Argilla says that nothing happened, everything is read once in this time.
# (Deleting a user in Argilla deletes their answers without a trace in its time of last activity.)
FULL_SCAN_EVERY = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class PushReport:
    """``held`` are prompts without a task, ``unfit`` tasks that must not or could not be sent."""

    dataset_id: str
    page: str
    pushed: int
    unchanged: int
    held: tuple[HeldBack, ...]
    unfit: tuple[Unfit, ...]


@dataclass(frozen=True, slots=True)
class PullReport:
    """``scanned`` is False when Argilla said that nothing happened since the last pull."""

    scanned: bool
    complete: bool
    records: int
    foreign_records: int
    changes: tuple[RankingChange, ...]
    unreadable: tuple[Unreadable, ...]
    requests: int

    def count(self, change: str) -> int:
        return sum(line.change == change for line in self.changes)


def new_tasks(store: Store, config: Config) -> tuple[list[Task], list[HeldBack]]:
    """Tasks for the prompts that have none of this K yet, and what is held back."""
    seed = store.secret if config.argilla.seed is None else str(config.argilla.seed)
    duplicates = {row.id for row in store.duplicates()}
    slots = config.generate.answers
    with_task = {task.prompt_id for task in store.tasks() if len(task.completion_ids) == slots}
    tasks: list[Task] = []
    held: list[HeldBack] = []
    for prompt, completions in store.prompts_with_completions():
        if prompt.id in with_task:
            continue
        built = build_task(
            prompt,
            completions,
            slots=slots,
            duplicates=duplicates,
            seed=seed,
            refusals=config.export.pairs.include_refusals,
        )
        if isinstance(built, Task):
            tasks.append(built)
        else:
            held.append(built)
    return tasks, held


def push(
    store: Store,
    config: Config,
    connection: Connection,
    guidelines: str,
    on_progress: Callable[[int, int], None] | None = None,
) -> PushReport:
    """Create the dataset on first use and send every task that was not sent yet, or reads otherwise than when it was.

    Safe to interrupt: records are known by external id, so sending one again changes nothing. Progress counts the tasks
    that are settled, those that Argilla has already among them.
    """
    dataset = _dataset(store, config, connection, guidelines)
    tasks, held = new_tasks(store, config)
    store.add_tasks(tasks)
    known = store.records(dataset.id)
    everything = _tasks_with_texts(store, dataset.slots)
    secret = store.secret
    unfit: list[Unfit] = []
    pushed = unchanged = 0

    def tell() -> None:
        if on_progress is not None:
            on_progress(pushed + unchanged + len(unfit), len(everything))

    def bodies() -> Iterator[RecordBody]:
        nonlocal unchanged
        for task, prompt, completions in everything:
            body = record_body(task, prompt, completions, secret=secret, chat=config.argilla.prompt_field == "chat")
            if isinstance(body, Unfit):
                unfit.append(body)
            elif task.id in known and known[task.id].body_hash == body.hash and not known[task.id].refused:
                unchanged += 1
            else:
                yield body

    def accepted(batch: Sequence[RecordBody]) -> None:
        nonlocal pushed
        store.save_records(dataset.id, [RecordRow(b.task_id, b.external_id, b.hash) for b in batch])
        pushed += len(batch)
        tell()

    tell()
    refused = push_records(connection, dataset.id, bodies(), accepted)
    store.save_records(
        dataset.id, [RecordRow(r.body.task_id, r.body.external_id, r.body.hash, r.reason) for r in refused]
    )
    unfit += [Unfit(r.body.task_id, r.reason) for r in refused]
    tell()
    return PushReport(
        dataset.id, dataset_page(connection.url, dataset.id), pushed, unchanged, tuple(held), tuple(unfit)
    )


def pull(
    store: Store,
    config: Config,
    connection: Connection,
    now: datetime,
    *,
    full: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> PullReport:
    """Bring every ranking into the ledger; one transaction, so that a pull is there whole or not at all."""
    dataset = find_dataset(store, config)
    if dataset is None:
        raise LabelingDataError("Nothing was pushed yet.", next_step="Run 'pref-argilla sync push' first.")
    mark = read_mark(connection, dataset.id)
    stale = not dataset.scanned_at or now - datetime.fromisoformat(dataset.scanned_at) > FULL_SCAN_EVERY
    if not full and not stale and (mark.last_activity_at, mark.total) == (dataset.last_activity_at, dataset.total):
        return PullReport(False, True, mark.total, 0, (), (), connection.requests)
    secret = store.secret
    task_of = {external_id(secret, task.id): task.id for task in store.tasks()}
    seen = scan(
        connection,
        dataset.id,
        task_of,
        dataset.slots,
        None if on_progress is None else lambda done: on_progress(done, mark.total),
    )
    lines = changes(store.rankings(dataset.id), seen)
    annotators = read_annotators(connection, store.annotators(), {line.ranking.annotator_id for line in lines})
    # After a scan that people kept disturbing the mark stays old, so that the next pull scans again.
    done = (
        replace(dataset, last_activity_at=mark.last_activity_at, total=mark.total, scanned_at=now.isoformat())
        if seen.complete
        else dataset
    )
    store.save_pull(done, annotators, lines)
    return PullReport(
        True, seen.complete, seen.records, seen.foreign_records, tuple(lines), seen.unreadable, connection.requests
    )


def find_dataset(store: Store, config: Config) -> DatasetRow | None:
    """The dataset that the configuration names, if this project has pushed to it."""
    return next(
        (row for row in reversed(store.datasets()) if (row.workspace, row.name) == (config.workspace, config.dataset)),
        None,
    )


def _dataset(store: Store, config: Config, connection: Connection, guidelines: str) -> DatasetRow:
    known = find_dataset(store, config)
    if known is not None and known.slots != config.generate.answers:
        raise ConfigError(
            f"[generate] answers is {config.generate.answers}, but the Argilla dataset {known.name!r} ranks {known.slots}.",
            cause="Argilla fixes the number of answers when a dataset is created.",
            next_step="Restore it, or set another [argilla] dataset.",
        )
    spec = DatasetSpec(
        workspace=config.workspace,
        name=config.dataset,
        guidelines=guidelines,
        slots=config.generate.answers,
        language=config.language,
        min_submitted=config.argilla.min_submitted,
        chat=config.argilla.prompt_field == "chat",
        flags=config.argilla.flags,
        comment=config.argilla.comment,
    )
    dataset_id = ensure_dataset(connection, spec)
    row = DatasetRow(dataset_id, connection.url, spec.workspace, spec.name, spec.slots)
    store.save_dataset(row)
    return row


def _tasks_with_texts(store: Store, slots: int) -> list[tuple[Task, Prompt, list[Completion]]]:
    tasks: dict[str, list[Task]] = {}
    for task in store.tasks():
        if len(task.completion_ids) == slots:
            tasks.setdefault(task.prompt_id, []).append(task)
    result = []
    for prompt, completions in store.prompts_with_completions():
        by_id = {c.id: c for c in completions}
        result += [
            (task, prompt, [by_id[c] for c in task.completion_ids if c in by_id]) for task in tasks.get(prompt.id, [])
        ]
    return result


def read_guidelines(config: Config) -> str:
    """The text of ``guidelines.md``; empty where the project has none."""
    try:
        return config.guidelines_path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(
            f"{config.guidelines_path} cannot be read: {exc}.", next_step="Correct or remove it."
        ) from exc
