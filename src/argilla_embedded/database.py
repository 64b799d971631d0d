"""What the search engine adds to Argilla's database: write-ahead logging, one covering index, and a log of changes.

The log names each record and vector written or deleted, in the same transaction as the write itself: triggers see to
that, whoever writes. The derived search database (``derived.py``) reads it to catch up, so it can never miss a change.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

TIMEOUT_SECONDS = 60.0

# ``token`` is random: with it the derived database notices that a change id belongs to another history (a restored
# backup) than the one it has read. The first row exists so that there always is a token.
_LOG = """
CREATE TABLE IF NOT EXISTS embedded_changes (
    change_id INTEGER PRIMARY KEY AUTOINCREMENT,
    record_id TEXT NOT NULL,
    vector_settings_id TEXT,
    token INTEGER NOT NULL DEFAULT (random())
);
INSERT INTO embedded_changes (record_id) SELECT '' WHERE NOT EXISTS (SELECT 1 FROM embedded_changes);
"""

# (trigger, event and table, row the ids come from, the vector's settings)
_TRIGGERS = (
    ("embedded_record_insert", "INSERT ON records", "NEW.id", "NULL"),
    ("embedded_record_update", "UPDATE OF fields ON records", "NEW.id", "NULL"),
    ("embedded_record_delete", "DELETE ON records", "OLD.id", "NULL"),
    ("embedded_vector_insert", "INSERT ON vectors", "NEW.record_id", "NEW.vector_settings_id"),
    ("embedded_vector_update", "UPDATE OF value ON vectors", "NEW.record_id", "NEW.vector_settings_id"),
    ("embedded_vector_delete", "DELETE ON vectors", "OLD.record_id", "OLD.vector_settings_id"),
)

# Lists and counts a dataset's records without touching the records themselves, whose long texts come first in the row.
_INDEX = """
CREATE INDEX IF NOT EXISTS embedded_records_order ON records (dataset_id, inserted_at, id, status)
"""


def database_file(database_url: str) -> Path:
    """The file behind Argilla's database URL. Raises ``ValueError`` for anything but SQLite in a file."""
    scheme, separator, rest = database_url.partition("://")
    path = rest.split("?", 1)[0].removeprefix("/")
    if not separator or not scheme.startswith("sqlite") or not path:
        raise ValueError("The search engine `sql` answers from a SQLite file; use Elasticsearch with other databases.")
    return Path(path)


def derived_file(source: Path) -> Path:
    """Where the database derived from ``source`` is kept."""
    return source.with_name("search.db")


def install(path: Path) -> None:
    """Add to the migrated database at ``path`` what the search engine needs; doing it again changes nothing."""
    with closing(sqlite3.connect(path, timeout=TIMEOUT_SECONDS, isolation_level=None)) as connection:
        # Readers and the one writer do not wait for each other, and a crash of any process loses nothing committed.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript("BEGIN IMMEDIATE;" + _LOG)
        for name, event, record_id, settings_id in _TRIGGERS:
            connection.execute(
                f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {event} BEGIN"
                f" INSERT INTO embedded_changes (record_id, vector_settings_id) VALUES ({record_id}, {settings_id});"
                " END"
            )
        connection.execute(_INDEX)
        connection.execute("COMMIT")


def forget_changes(path: Path, before: int) -> None:
    """Drop the log's rows below ``before``, all of which the derived database has read."""
    with closing(sqlite3.connect(path, timeout=TIMEOUT_SECONDS)) as connection, connection:
        connection.execute("DELETE FROM embedded_changes WHERE change_id < ?", (before,))
