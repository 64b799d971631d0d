"""The project's memory: one SQLite file with what was paid for, what was shown, and every ranking with its history.

Natural keys and content ids make every write repeatable. Each public method is one transaction: after ``kill -9`` the file
holds all of it or none of it. A writer holds an advisory lock (``store.lock``), which the operating system releases when the
process dies; readers need no lock. ``synchronous=FULL`` because answers cost money: a power cut loses nothing committed.
"""

from __future__ import annotations

import fcntl
import json
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pref_argilla.errors import StoreBusyError, StoreError, StoreFullError, StoreVersionError
from pref_argilla.schema import (
    Annotator,
    AnnotatorKind,
    Completion,
    FinishReason,
    Message,
    Prompt,
    Ranking,
    ResponseStatus,
    Role,
    Task,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STORE_FILE = "store.db"
# Costs are kept as whole picodollars: exact for prices of up to six decimals a million tokens, and summed by SQLite.
PICO = 10**12

# Each entry brings the file from version i to i + 1; never edit one that has been released, append.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE project (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE prompts (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, messages TEXT NOT NULL, source TEXT NOT NULL
    ) STRICT;
    CREATE TABLE completions (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, prompt_id TEXT NOT NULL REFERENCES prompts (id),
        origin TEXT NOT NULL, text TEXT NOT NULL, finish_reason TEXT NOT NULL, refusal INTEGER NOT NULL,
        sample INTEGER NOT NULL, source TEXT NOT NULL
    ) STRICT;
    CREATE INDEX completions_of_prompt ON completions (prompt_id, seq);
    CREATE TABLE generations (
        key TEXT PRIMARY KEY, prompt_id TEXT NOT NULL REFERENCES prompts (id), model TEXT NOT NULL,
        fingerprint TEXT NOT NULL, sample INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL,
        completion_id TEXT REFERENCES completions (id), prompt_tokens INTEGER NOT NULL,
        completion_tokens INTEGER NOT NULL, estimated INTEGER NOT NULL, cost_picodollars INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX generations_of_prompt ON generations (prompt_id, fingerprint, sample);
    CREATE TABLE duplicates (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, duplicate_of TEXT NOT NULL, score REAL NOT NULL, method TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE embeddings (
        encoder TEXT NOT NULL, text_hash TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (encoder, text_hash)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE tasks (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, prompt_id TEXT NOT NULL REFERENCES prompts (id)
    ) STRICT;
    CREATE INDEX tasks_of_prompt ON tasks (prompt_id);
    CREATE TABLE slots (
        task_id TEXT NOT NULL REFERENCES tasks (id), slot INTEGER NOT NULL,
        completion_id TEXT NOT NULL REFERENCES completions (id), PRIMARY KEY (task_id, slot)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE datasets (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, url TEXT NOT NULL, workspace TEXT NOT NULL,
        name TEXT NOT NULL, slots INTEGER NOT NULL, last_activity_at TEXT NOT NULL DEFAULT '',
        total INTEGER NOT NULL DEFAULT -1, scanned_at TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE TABLE records (
        dataset_id TEXT NOT NULL REFERENCES datasets (id), task_id TEXT NOT NULL REFERENCES tasks (id),
        external_id TEXT NOT NULL, body_hash TEXT NOT NULL, refused TEXT NOT NULL, PRIMARY KEY (dataset_id, task_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE annotators (id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE rankings (
        task_id TEXT NOT NULL REFERENCES tasks (id), annotator_id TEXT NOT NULL REFERENCES annotators (id),
        dataset_id TEXT NOT NULL, status TEXT NOT NULL, ranks TEXT NOT NULL, response_id TEXT NOT NULL,
        updated_at TEXT NOT NULL, flags TEXT NOT NULL, comment TEXT NOT NULL,
        PRIMARY KEY (task_id, annotator_id, dataset_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE ranking_history (
        seq INTEGER PRIMARY KEY, change TEXT NOT NULL, task_id TEXT NOT NULL, annotator_id TEXT NOT NULL,
        status TEXT NOT NULL, ranks TEXT NOT NULL, response_id TEXT NOT NULL, updated_at TEXT NOT NULL,
        flags TEXT NOT NULL, comment TEXT NOT NULL
    ) STRICT;
    """,
)


@dataclass(frozen=True, slots=True)
class GenerationRow:
    """What became of one request to a model; ``key`` names the request, ``outcome`` is "usable" or why not."""

    key: str
    prompt_id: str
    model: str
    fingerprint: str
    sample: int
    outcome: str
    reason: str
    completion: Completion | None
    prompt_tokens: int
    completion_tokens: int
    estimated: bool
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class GenerationKey:
    """A request that was answered: which settings, which sample. ``completion_id`` is None for a rejected one."""

    prompt_id: str
    fingerprint: str
    sample: int
    outcome: str
    completion_id: str | None


@dataclass(frozen=True, slots=True)
class GenerationTotals:
    """Summed over every request ever answered. ``cost`` is in US dollars; ``unpriced`` answers are not in it."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal
    unpriced: int
    estimated: int
    outcomes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DuplicateRow:
    """``kind`` is "prompt" or "completion"; ``method`` "exact" or "near"; ``score`` the cosine similarity."""

    id: str
    kind: str
    duplicate_of: str
    score: float
    method: str


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """An Argilla dataset that this project pushes to; ``slots`` is K, fixed when the dataset was created.

    ``last_activity_at``, ``total`` and ``scanned_at`` are the mark of the last complete pull ("" and -1 before the first).
    """

    id: str
    url: str
    workspace: str
    name: str
    slots: int
    last_activity_at: str = ""
    total: int = -1
    scanned_at: str = ""


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A task as it was accepted by Argilla, or ``refused`` with the reason."""

    task_id: str
    external_id: str
    body_hash: str
    refused: str = ""


@dataclass(frozen=True, slots=True)
class RankingChange:
    """One line of a pull's ledger: ``change`` is "new", "edited" or "withdrawn"."""

    change: str
    ranking: Ranking


class Store:
    """An open project store. Use as a context manager; safe to call from several threads of one process.

    Raises StoreBusyError when ``writable`` and another process writes, StoreVersionError for a file from a newer version,
    StoreFullError when the disk is full, StoreError for a file that is no store.
    """

    def __init__(self, folder: Path, *, writable: bool) -> None:
        self.path = folder / STORE_FILE
        self._writable = writable
        self._mutex = threading.RLock()
        self._lock_handle: Any = None
        if not writable and not self.path.exists():
            raise StoreError(
                f"No store in {folder}.",
                cause="The folder is not a pref-argilla project, or the project is still empty.",
                next_step="Run 'pref-argilla init DIR' and 'pref-argilla prompts add FILE', or pass --project DIR.",
            )
        if writable:
            self._take_lock()
        try:
            with self._translated():
                self._db = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
                self._prepare()
        except BaseException:
            self._release_lock()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._mutex:
            self._db.close()
            self._release_lock()

    # -- opening ---------------------------------------------------------------------------------------------------

    def _take_lock(self) -> None:
        lock = self.path.with_name("store.lock")
        try:
            handle = lock.open("a")
        except FileNotFoundError as exc:
            raise StoreError(
                f"The project folder {lock.parent} does not exist.",
                next_step="Run 'pref-argilla init DIR', or pass --project DIR.",
            ) from exc
        except OSError as exc:
            raise StoreError(
                f"The project folder {lock.parent} cannot be written: {exc.strerror}.",
                next_step="Check its owner and rights and the space left on the disk.",
            ) from exc
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            handle.close()
            raise StoreBusyError(
                f"Another pref-argilla command is writing to {self.path}.",
                cause="One command writes at a time; 'status' and 'export' may run beside it.",
                next_step="Wait for it to end, then run this command again.",
            ) from exc
        self._lock_handle = handle

    def _release_lock(self) -> None:
        if self._lock_handle is not None:
            self._lock_handle.close()
            self._lock_handle = None

    def _prepare(self) -> None:
        self._db.execute("PRAGMA busy_timeout = 10000")
        self._db.execute("PRAGMA foreign_keys = ON")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StoreVersionError(
                f"{self.path} was written by a newer pref-argilla "
                f"(store version {version}, this one knows {len(MIGRATIONS)}).",
                next_step="Upgrade pref-argilla; nothing was changed.",
            )
        if not self._writable:
            if version < len(MIGRATIONS):
                raise StoreError(
                    f"{self.path} has store version {version}; this pref-argilla reads {len(MIGRATIONS)}.",
                    cause="It was written by an older version, or creating it was interrupted.",
                    next_step="Run any writing command, for example 'pref-argilla dedupe', to bring it up to date.",
                )
            self._db.execute("PRAGMA query_only = ON")
            return
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        for number in range(version, len(MIGRATIONS)):
            # executescript commits by itself, so the transaction and its record are written as one script.
            self._db.executescript(f"BEGIN IMMEDIATE;{MIGRATIONS[number]};PRAGMA user_version = {number + 1};COMMIT;")
        if self.project_value("secret") is None:
            # Keys the external ids and the shuffling: who sees a record cannot test guesses about its origins.
            self.set_project_value("secret", secrets.token_hex(16))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as exc:
            raise _translate(exc, self.path) from exc

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._mutex, self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back already after some errors, a full disk among them.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._mutex, self._translated():
            return self._db.execute(sql, parameters).fetchall()

    # -- project ---------------------------------------------------------------------------------------------------

    def project_value(self, key: str) -> str | None:
        rows = self._rows("SELECT value FROM project WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else None

    def set_project_value(self, key: str, value: str) -> None:
        with self._transaction() as db:
            db.execute(
                "INSERT INTO project VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (key, value)
            )

    @property
    def secret(self) -> str:
        """Made at random with the store; never exported, never sent."""
        value = self.project_value("secret")
        if value is None:
            raise StoreError(f"{self.path} has no project secret.", next_step="Restore the store from a backup.")
        return value

    # -- prompts and completions -----------------------------------------------------------------------------------

    def add_prompts(self, prompts: Iterable[Prompt]) -> int:
        """Returns how many were new. Pass reasonable batches: each call is one transaction."""
        rows = [(p.id, _messages_json(p.messages), p.source) for p in prompts]
        with self._transaction() as db:
            before = db.total_changes
            db.executemany("INSERT INTO prompts (id, messages, source) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows)
            return db.total_changes - before

    def add_completions(self, completions: Iterable[Completion]) -> int:
        """Returns how many were new. The prompts must be there."""
        with self._transaction() as db:
            before = db.total_changes
            _insert_completions(db, completions)
            return db.total_changes - before

    def add_generations(self, rows: Sequence[GenerationRow]) -> None:
        """Save answers and what they cost, in one transaction."""
        with self._transaction() as db:
            _insert_completions(db, [row.completion for row in rows if row.completion is not None])
            db.executemany(
                "INSERT INTO generations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [
                    (
                        row.key,
                        row.prompt_id,
                        row.model,
                        row.fingerprint,
                        row.sample,
                        row.outcome,
                        row.reason,
                        row.completion.id if row.completion is not None else None,
                        row.prompt_tokens,
                        row.completion_tokens,
                        int(row.estimated),
                        None if row.cost is None else int(row.cost * PICO),
                    )
                    for row in rows
                ],
            )

    def prompts(self) -> Iterator[Prompt]:
        """Every prompt in the order it was added."""
        for rows in self._pages("SELECT seq, id, messages, source FROM prompts WHERE seq > ? ORDER BY seq LIMIT 1000"):
            for _, id_, messages, source in rows:
                yield Prompt(id_, _messages_of(messages), source)

    def prompt(self, prompt_id: str) -> Prompt | None:
        rows = self._rows("SELECT messages, source FROM prompts WHERE id = ?", (prompt_id,))
        return Prompt(prompt_id, _messages_of(rows[0][0]), rows[0][1]) if rows else None

    def completions(self) -> Iterator[Completion]:
        """Every completion in the order it was added."""
        for rows in self._pages(
            "SELECT seq, id, prompt_id, origin, text, finish_reason, refusal, sample, source FROM completions"
            " WHERE seq > ? ORDER BY seq LIMIT 1000"
        ):
            for row in rows:
                yield _completion(row[1:])

    def prompts_with_completions(self) -> Iterator[tuple[Prompt, list[Completion]]]:
        """Every prompt with its completions, both in the order they were added; 500 prompts at a time in memory."""
        for rows in self._pages("SELECT seq, id, messages, source FROM prompts WHERE seq > ? ORDER BY seq LIMIT 500"):
            answers = self.completions_of([row[1] for row in rows])
            for _, id_, messages, source in rows:
                yield Prompt(id_, _messages_of(messages), source), answers.get(id_, [])

    def completions_of(self, prompt_ids: Sequence[str]) -> dict[str, list[Completion]]:
        result: dict[str, list[Completion]] = {}
        rows = self._rows(
            "SELECT id, prompt_id, origin, text, finish_reason, refusal, sample, source FROM completions"
            " WHERE prompt_id IN (SELECT value FROM json_each(?)) ORDER BY seq",
            (json.dumps(list(prompt_ids)),),
        )
        for row in rows:
            result.setdefault(row[1], []).append(_completion(row))
        return result

    def _pages(self, sql: str) -> Iterator[list[tuple[Any, ...]]]:
        # Keyset paging: a page is read whole, so that no cursor stays open across a caller's writes.
        last = -1
        while rows := self._rows(sql, (last,)):
            yield rows
            last = rows[-1][0]

    def generations(self) -> list[GenerationKey]:
        """Every answered request, by prompt and sample."""
        return [
            GenerationKey(*row)
            for row in self._rows(
                "SELECT prompt_id, fingerprint, sample, outcome, completion_id FROM generations"
                " ORDER BY prompt_id, sample, fingerprint"
            )
        ]

    def generation_totals(self) -> GenerationTotals:
        requests, prompt_tokens, completion_tokens, cost, priced, estimated = self._rows(
            "SELECT count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0),"
            " coalesce(sum(cost_picodollars), 0), count(cost_picodollars), coalesce(sum(estimated), 0) FROM generations"
        )[0]
        outcomes = dict(self._rows("SELECT outcome, count(*) FROM generations GROUP BY outcome ORDER BY outcome"))
        return GenerationTotals(
            requests, prompt_tokens, completion_tokens, Decimal(cost) / PICO, requests - priced, estimated, outcomes
        )

    # -- duplicates ------------------------------------------------------------------------------------------------

    def replace_duplicates(self, rows: Iterable[DuplicateRow]) -> None:
        """Marks are a whole: what a run no longer calls a duplicate is none any more."""
        with self._transaction() as db:
            db.execute("DELETE FROM duplicates")
            db.executemany(
                "INSERT INTO duplicates VALUES (?, ?, ?, ?, ?)",
                [(r.id, r.kind, r.duplicate_of, r.score, r.method) for r in rows],
            )

    def duplicates(self, kind: str | None = None) -> list[DuplicateRow]:
        return [
            DuplicateRow(*row)
            for row in self._rows(
                "SELECT id, kind, duplicate_of, score, method FROM duplicates WHERE ?1 IS NULL OR kind = ?1 ORDER BY id",
                (kind,),
            )
        ]

    def embeddings(self, encoder: str, text_hashes: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors known for these texts, by hash; float32, as the encoder returned them."""
        import numpy as np

        known: dict[str, NDArray[np.float32]] = {}
        for start in range(0, len(text_hashes), 5000):
            chunk = json.dumps(list(text_hashes[start : start + 5000]))
            for text_hash, blob in self._rows(
                "SELECT text_hash, vector FROM embeddings WHERE encoder = ? AND text_hash IN (SELECT value FROM json_each(?))",
                (encoder, chunk),
            ):
                known[text_hash] = np.frombuffer(blob, dtype="<f4")
        return known

    def add_embeddings(self, encoder: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO embeddings VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                [(encoder, text_hash, vector.astype("<f4").tobytes()) for text_hash, vector in vectors.items()],
            )

    # -- tasks and records -----------------------------------------------------------------------------------------

    def add_tasks(self, tasks: Iterable[Task]) -> None:
        with self._transaction() as db:
            for task in tasks:
                cursor = db.execute(
                    "INSERT INTO tasks (id, prompt_id) VALUES (?, ?) ON CONFLICT DO NOTHING", (task.id, task.prompt_id)
                )
                if cursor.rowcount:
                    # The order once shown stays: slots are written with the task and never again.
                    db.executemany(
                        "INSERT INTO slots VALUES (?, ?, ?)",
                        [(task.id, i, c) for i, c in enumerate(task.completion_ids)],
                    )

    def tasks(self) -> Iterator[Task]:
        for rows in self._pages(
            "SELECT seq, id, prompt_id, (SELECT json_group_array(completion_id) FROM"
            " (SELECT completion_id FROM slots WHERE task_id = tasks.id ORDER BY slot))"
            " FROM tasks WHERE seq > ? ORDER BY seq LIMIT 1000"
        ):
            for _, id_, prompt_id, completion_ids in rows:
                yield Task(id_, prompt_id, tuple(json.loads(completion_ids)))

    def datasets(self) -> list[DatasetRow]:
        """In the order of their last use by a push."""
        return [
            DatasetRow(*row)
            for row in self._rows(
                "SELECT id, url, workspace, name, slots, last_activity_at, total, scanned_at FROM datasets ORDER BY seq"
            )
        ]

    def save_dataset(self, row: DatasetRow) -> None:
        with self._transaction() as db:
            db.execute(
                "INSERT INTO datasets (id, url, workspace, name, slots, last_activity_at, total, scanned_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " url = excluded.url, workspace = excluded.workspace, name = excluded.name,"
                " seq = (SELECT max(seq) + 1 FROM datasets)",
                (row.id, row.url, row.workspace, row.name, row.slots, row.last_activity_at, row.total, row.scanned_at),
            )

    def records(self, dataset_id: str) -> dict[str, RecordRow]:
        """By task id."""
        rows = self._rows(
            "SELECT task_id, external_id, body_hash, refused FROM records WHERE dataset_id = ?", (dataset_id,)
        )
        return {row[0]: RecordRow(*row) for row in rows}

    def save_records(self, dataset_id: str, rows: Iterable[RecordRow]) -> None:
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO records VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " external_id = excluded.external_id, body_hash = excluded.body_hash, refused = excluded.refused",
                [(dataset_id, r.task_id, r.external_id, r.body_hash, r.refused) for r in rows],
            )

    # -- rankings --------------------------------------------------------------------------------------------------

    def annotators(self) -> dict[str, Annotator]:
        return {
            id_: Annotator(id_, name, AnnotatorKind(kind)) for id_, name, kind in self._rows("SELECT * FROM annotators")
        }

    def rankings(self, dataset_id: str | None = None) -> list[Ranking]:
        """The ledger as it stands, withdrawn ones included, ordered by task and annotator.

        An annotator who saw a task in two datasets has an entry for each.
        """
        return [
            _ranking(row)
            for row in self._rows(
                "SELECT task_id, annotator_id, status, ranks, response_id, updated_at, flags, comment FROM rankings"
                " WHERE ?1 IS NULL OR dataset_id = ?1 ORDER BY task_id, annotator_id",
                (dataset_id,),
            )
        ]

    def ranking_history(self) -> list[RankingChange]:
        return [
            RankingChange(row[0], _ranking(row[1:]))
            for row in self._rows(
                "SELECT change, task_id, annotator_id, status, ranks, response_id, updated_at, flags, comment"
                " FROM ranking_history ORDER BY seq"
            )
        ]

    def save_pull(self, dataset: DatasetRow, annotators: Iterable[Annotator], changes: Sequence[RankingChange]) -> None:
        """The ledger, its history and the mark of the pull, in one transaction."""
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO annotators VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET name = excluded.name",
                [(a.id, a.name, a.kind.value) for a in annotators],
            )
            for change in changes:
                r = change.ranking
                columns = (
                    r.status.value,
                    json.dumps(r.ranks),
                    r.response_id,
                    r.updated_at,
                    json.dumps(r.flags),
                    r.comment,
                )
                db.execute(
                    "INSERT INTO rankings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                    " status = excluded.status, ranks = excluded.ranks,"
                    " response_id = excluded.response_id, updated_at = excluded.updated_at, flags = excluded.flags,"
                    " comment = excluded.comment",
                    (r.task_id, r.annotator_id, dataset.id, *columns),
                )
                db.execute(
                    "INSERT INTO ranking_history (change, task_id, annotator_id, status, ranks, response_id, updated_at, flags,"
                    " comment) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (change.change, r.task_id, r.annotator_id, *columns),
                )
            db.execute(
                "UPDATE datasets SET last_activity_at = ?, total = ?, scanned_at = ? WHERE id = ?",
                (dataset.last_activity_at, dataset.total, dataset.scanned_at, dataset.id),
            )

    # -- counts for status -----------------------------------------------------------------------------------------

    def count(self, table: str) -> int:
        """Rows of one of this store's tables."""
        if table not in (
            "prompts",
            "completions",
            "tasks",
            "records",
            "rankings",
            "generations",
            "embeddings",
            "duplicates",
        ):
            raise ValueError(f"no table {table!r}")
        return int(self._rows(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608 - one of the names above

    def completions_by_origin(self) -> dict[str, int]:
        return dict(self._rows("SELECT origin, count(*) FROM completions GROUP BY origin ORDER BY origin"))


def _translate(exc: sqlite3.DatabaseError, path: Path) -> StoreError:
    name = getattr(exc, "sqlite_errorname", "")
    if name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR_WRITE"):
        return StoreFullError(
            f"{path} could not grow: the disk is full.",
            cause="What was saved before is safe; what this step held was not saved.",
            next_step="Free some space and run the command again; it goes on where it stopped.",
        )
    if name.startswith("SQLITE_BUSY") or name == "SQLITE_LOCKED":
        return StoreBusyError(f"{path} is in use by another program.", next_step="Close it and run the command again.")
    if name in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
        return StoreError(
            f"{path} is not a pref-argilla store, or it is damaged.",
            next_step="Restore it from a backup, or pass --project with another folder.",
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_IOERR")):
        return StoreError(
            f"{path} cannot be read or written ({exc}).", next_step="Check its owner, its rights and the disk."
        )
    # Anything else is a mistake in this module and must be seen as one.
    raise exc


def _messages_json(messages: Sequence[Message]) -> str:
    return json.dumps([[m.role.value, m.content] for m in messages], ensure_ascii=False, separators=(",", ":"))


def _messages_of(text: str) -> tuple[Message, ...]:
    return tuple(Message(Role(role), content) for role, content in json.loads(text))


def _insert_completions(db: sqlite3.Connection, completions: Iterable[Completion]) -> None:
    db.executemany(
        "INSERT INTO completions (id, prompt_id, origin, text, finish_reason, refusal, sample, source)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [
            (c.id, c.prompt_id, c.origin, c.text, c.finish_reason.value, int(c.refusal), c.sample, c.source)
            for c in completions
        ],
    )


def _completion(row: Sequence[Any]) -> Completion:
    id_, prompt_id, origin, text, finish_reason, refusal, sample, source = row
    return Completion(id_, prompt_id, origin, text, FinishReason(finish_reason), bool(refusal), sample, source)


def _ranking(row: Sequence[Any]) -> Ranking:
    task_id, annotator_id, status, ranks, response_id, updated_at, flags, comment = row
    return Ranking(
        task_id,
        annotator_id,
        ResponseStatus(status),
        tuple(json.loads(ranks)),
        response_id,
        updated_at,
        tuple(json.loads(flags)),
        comment,
    )
