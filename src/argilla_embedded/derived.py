"""The derived database: full-text indexes and vectors, made from Argilla's database and kept level with its log of changes.

It is a file of its own, so that catching up never waits for a push that holds the lock of Argilla's database. A dataset's
texts are indexed at the first text query that asks for them, a vector settings' vectors at the first similarity query;
from then on each query first applies the changes logged since. The file may be deleted at any time.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argilla_embedded.database import TIMEOUT_SECONDS
from argilla_embedded.query_text import fold

SCHEMA_VERSION = 1
BATCH = 500
# A character that the index takes for a word: it keeps phrases from running on into the next message or value.
_BREAK = " \ue000 "

_SCHEMA = f"""
CREATE TABLE progress (change_id INTEGER NOT NULL, token INTEGER NOT NULL);
CREATE TABLE documents (doc_id INTEGER PRIMARY KEY, dataset_id TEXT NOT NULL, record_id TEXT NOT NULL UNIQUE);
CREATE INDEX documents_dataset ON documents (dataset_id);
CREATE TABLE text_indexes (dataset_id TEXT PRIMARY KEY, fields TEXT NOT NULL);
CREATE TABLE vector_indexes (settings_id TEXT PRIMARY KEY);
CREATE TABLE vectors (
    settings_id TEXT NOT NULL, record_id TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (settings_id, record_id)
) WITHOUT ROWID;
PRAGMA user_version = {SCHEMA_VERSION};
"""


@dataclass(frozen=True)
class TextField:
    """A field whose text is searched; ``kind`` is Argilla's text, chat or custom."""

    name: str
    kind: str


def field_text(kind: str, value: Any) -> str:
    """What is searched of a field: a text itself, a chat's contents, and a custom field's keys and values."""
    if value is None:
        return ""
    if kind == "chat" and isinstance(value, list):
        return _BREAK.join(str(message.get("content", "")) for message in value if isinstance(message, dict))
    return _BREAK.join(_leaves(value))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None:
        yield str(value)


class DerivedDatabase:
    """An open derived database with Argilla's attached, read-only, as ``argilla``. Not shared between threads."""

    def __init__(self, source: Path, path: Path) -> None:
        self._source = source
        self.connection = _open(source, path)

    def close(self) -> None:
        self.connection.close()

    def prepare_text(self, dataset_id: str, fields: Sequence[TextField]) -> None:
        """Bring the full-text index of one dataset level with its records."""
        wanted = json.dumps([[field.name, field.kind] for field in fields])
        with self._level():
            found = self.connection.execute("SELECT fields FROM text_indexes WHERE dataset_id = ?", (dataset_id,))
            row = found.fetchone()
            if row is not None and row[0] == wanted:
                return
            if row is not None:
                self._drop_text(dataset_id)
            columns = ", ".join(f"c{number}" for number in range(len(fields)))
            self.connection.execute(
                f"CREATE VIRTUAL TABLE {text_table(dataset_id)} USING fts5({columns},"
                """ tokenize = "unicode61 remove_diacritics 0 categories 'L* N* M* Co'")"""
            )
            self.connection.execute("INSERT INTO text_indexes VALUES (?, ?)", (dataset_id, wanted))
            rows = self.connection.execute("SELECT id, fields FROM argilla.records WHERE dataset_id = ?", (dataset_id,))
            while batch := rows.fetchmany(BATCH):
                for record_id, document in batch:
                    self._add_text(dataset_id, fields, record_id, document)

    def prepare_vectors(self, settings_id: str) -> None:
        """Bring the vectors of one vector settings level with Argilla's."""
        with self._level():
            found = self.connection.execute("SELECT 1 FROM vector_indexes WHERE settings_id = ?", (settings_id,))
            if found.fetchone() is not None:
                return
            self.connection.execute("INSERT INTO vector_indexes VALUES (?)", (settings_id,))
            rows = self.connection.execute(
                "SELECT record_id, value FROM argilla.vectors WHERE vector_settings_id = ?", (settings_id,)
            )
            while batch := rows.fetchmany(BATCH):
                self.connection.executemany(
                    "INSERT INTO vectors VALUES (?, ?, ?)",
                    [(settings_id, record_id, _packed(value)) for record_id, value in batch],
                )

    def drop_text(self, dataset_id: str) -> None:
        with self._writing():
            self._drop_text(dataset_id)

    def applied(self) -> int:
        """The id of the last change that the derived database knows."""
        row = self.connection.execute("SELECT change_id FROM progress").fetchone()
        return 0 if row is None else int(row[0])

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    @contextmanager
    def _level(self) -> Iterator[None]:
        """A write transaction in which all logged changes are applied.

        Argilla's database is read in one snapshot, so an index made inside has exactly the changes noted as applied.
        """
        with self._writing():
            last = self._last_change()
            seen = self.connection.execute("SELECT change_id, token FROM progress").fetchone()
            if seen is None or not self._same_history(*seen):
                self._forget_everything()
            elif seen[0] < last[0]:
                self._apply(seen[0])
            if seen != last:
                self.connection.execute("DELETE FROM progress")
                self.connection.execute("INSERT INTO progress VALUES (?, ?)", last)
            yield

    def _last_change(self) -> tuple[int, int]:
        row = self.connection.execute(
            "SELECT change_id, token FROM argilla.embedded_changes ORDER BY change_id DESC LIMIT 1"
        ).fetchone()
        return int(row[0]), int(row[1])

    def _same_history(self, change_id: int, token: int) -> bool:
        row = self.connection.execute(
            "SELECT token FROM argilla.embedded_changes WHERE change_id = ?", (change_id,)
        ).fetchone()
        return row is not None and row[0] == token

    def _forget_everything(self) -> None:
        for (dataset_id,) in self.connection.execute("SELECT dataset_id FROM text_indexes").fetchall():
            self._drop_text(dataset_id)
        for table in ("documents", "vector_indexes", "vectors"):
            self.connection.execute(f"DELETE FROM {table}")

    def _drop_text(self, dataset_id: str) -> None:
        self.connection.execute(f"DROP TABLE IF EXISTS {text_table(dataset_id)}")
        self.connection.execute("DELETE FROM text_indexes WHERE dataset_id = ?", (dataset_id,))
        self.connection.execute("DELETE FROM documents WHERE dataset_id = ?", (dataset_id,))

    def _apply(self, after: int) -> None:
        indexes = {
            dataset_id: [TextField(name, kind) for name, kind in json.loads(fields)]
            for dataset_id, fields in self.connection.execute("SELECT dataset_id, fields FROM text_indexes")
        }
        if indexes:
            changed = self._changed("record_id", "vector_settings_id IS NULL", after)
            for (record_id,) in changed:
                self._replace_text(indexes, record_id)
        settings = {row[0] for row in self.connection.execute("SELECT settings_id FROM vector_indexes")}
        if settings:
            changed = self._changed("record_id, vector_settings_id", "vector_settings_id IS NOT NULL", after)
            for record_id, settings_id in changed:
                if settings_id in settings:
                    self._replace_vector(settings_id, record_id)

    def _changed(self, columns: str, which: str, after: int) -> list[tuple[str, ...]]:
        return self.connection.execute(
            f"SELECT DISTINCT {columns} FROM argilla.embedded_changes WHERE change_id > ? AND {which}", (after,)
        ).fetchall()

    def _replace_text(self, indexes: dict[str, list[TextField]], record_id: str) -> None:
        known = self.connection.execute(
            "SELECT doc_id, dataset_id FROM documents WHERE record_id = ?", (record_id,)
        ).fetchone()
        if known is not None:
            self.connection.execute(f"DELETE FROM {text_table(known[1])} WHERE rowid = ?", (known[0],))
            self.connection.execute("DELETE FROM documents WHERE doc_id = ?", (known[0],))
        row = self.connection.execute(
            "SELECT dataset_id, fields FROM argilla.records WHERE id = ?", (record_id,)
        ).fetchone()
        if row is not None and row[0] in indexes:
            self._add_text(row[0], indexes[row[0]], record_id, row[1])

    def _add_text(self, dataset_id: str, fields: Sequence[TextField], record_id: str, document: str) -> None:
        values = json.loads(document)
        texts = [fold(field_text(field.kind, values.get(field.name))) for field in fields]
        cursor = self.connection.execute(
            "INSERT INTO documents (dataset_id, record_id) VALUES (?, ?)", (dataset_id, record_id)
        )
        columns = ", ".join(f"c{number}" for number in range(len(fields)))
        self.connection.execute(
            f"INSERT INTO {text_table(dataset_id)} (rowid, {columns}) VALUES (?{', ?' * len(fields)})",
            (cursor.lastrowid, *texts),
        )

    def _replace_vector(self, settings_id: str, record_id: str) -> None:
        row = self.connection.execute(
            "SELECT value FROM argilla.vectors WHERE vector_settings_id = ? AND record_id = ?", (settings_id, record_id)
        ).fetchone()
        if row is None:
            self.connection.execute(
                "DELETE FROM vectors WHERE settings_id = ? AND record_id = ?", (settings_id, record_id)
            )
        else:
            self.connection.execute(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", (settings_id, record_id, _packed(row[0]))
            )


def text_table(dataset_id: str) -> str:
    """The name of a dataset's full-text table; ``dataset_id`` is 32 hexadecimal digits."""
    if not dataset_id.isalnum():
        raise ValueError(f"`{dataset_id}` is no dataset's id.")
    return f"fulltext_{dataset_id}"


def _packed(value: str) -> bytes:
    return array("f", json.loads(value)).tobytes()


def _open(source: Path, path: Path) -> sqlite3.Connection:
    try:
        return _connect(source, path)
    except sqlite3.DatabaseError as exc:
        # Busy, full or unreadable is somebody else's to solve; what is no database any more is made again.
        if isinstance(exc, sqlite3.OperationalError):
            raise
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _connect(source, path)


def _connect(source: Path, path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path.as_uri(), timeout=TIMEOUT_SECONDS, isolation_level=None, uri=True)
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] != SCHEMA_VERSION:
            _create(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("ATTACH DATABASE ? AS argilla", (f"{source.as_uri()}?mode=ro",))
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] != SCHEMA_VERSION:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            " AND (sql LIKE 'CREATE VIRTUAL%' OR name NOT LIKE 'fulltext_%')"
        ).fetchall():
            connection.execute(f'DROP TABLE "{name}"')
        for statement in _SCHEMA.split(";"):
            if statement.strip():
                connection.execute(statement)
    connection.execute("COMMIT")
