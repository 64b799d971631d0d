"""The derived database never drifts from Argilla's: whatever is written, deleted, restored or lost. Without a server."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from argilla_embedded.database import database_file, derived_file, install
from argilla_embedded.derived import TextField
from argilla_embedded.reader import Reader, Text, Vector

# The part of Argilla's schema that matters here; the tests with a server use the whole.
SCHEMA = """
CREATE TABLE datasets (id CHAR(32) PRIMARY KEY);
CREATE TABLE records (
    id CHAR(32) PRIMARY KEY, fields JSON NOT NULL, metadata JSON, status TEXT NOT NULL DEFAULT 'pending',
    external_id TEXT, dataset_id CHAR(32) NOT NULL REFERENCES datasets (id) ON DELETE CASCADE, inserted_at TEXT NOT NULL
);
CREATE TABLE vectors (
    id CHAR(32) PRIMARY KEY, value JSON NOT NULL, record_id CHAR(32) NOT NULL REFERENCES records (id) ON DELETE CASCADE,
    vector_settings_id CHAR(32) NOT NULL, UNIQUE (record_id, vector_settings_id)
);
"""
DATASET, OTHER_DATASET, SETTINGS = "d" * 32, "e" * 32, "f" * 32
FIELDS = (TextField("text", "text"), TextField("talk", "chat"))


class Database:
    """Argilla's database as the server writes it, and the reader that is tested."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.connection.executescript(SCHEMA)
        install(path)
        for dataset in (DATASET, OTHER_DATASET):
            self.write("INSERT INTO datasets VALUES (?)", dataset)
        self.reader = Reader(path, derived_file(path))

    def write(self, sql: str, *values: Any) -> None:
        self.connection.execute(sql, values)

    def add(self, name: str, text: str, dataset: str = DATASET) -> None:
        self.write(
            "INSERT INTO records (id, fields, dataset_id, inserted_at) VALUES (?, ?, ?, ?)",
            record_id(name), json.dumps({"text": text}), dataset, name,
        )  # fmt: skip

    def change(self, name: str, text: str) -> None:
        self.write("UPDATE records SET fields = ? WHERE id = ?", json.dumps({"text": text}), record_id(name))

    def remove(self, name: str) -> None:
        self.write("DELETE FROM records WHERE id = ?", record_id(name))

    def set_vector(self, name: str, value: list[float]) -> None:
        self.write(
            "INSERT INTO vectors VALUES (?, ?, ?, ?)"
            " ON CONFLICT (record_id, vector_settings_id) DO UPDATE SET value = excluded.value",
            uuid4().hex, json.dumps(value), record_id(name), SETTINGS,
        )  # fmt: skip

    def find(self, query: str, dataset: str = DATASET) -> set[str]:
        hits = self.reader.search(dataset, text=Text(query, FIELDS), limit=10_000)
        assert hits.total == len(hits.items)
        return {hit.record_id.lstrip("0") for hit in hits.items}

    def nearest(self, value: list[float]) -> list[str]:
        hits = self.reader.similar(DATASET, Vector(SETTINGS, tuple(value)), max_results=1000)
        return [hit.record_id.lstrip("0") for hit in hits.items]


def record_id(name: str) -> str:
    return name.rjust(32, "0")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "argilla.db")
    with closing(made.connection):
        yield made


def test_a_write_is_found_at_once(database: Database) -> None:
    database.add("a", "elma armut")
    assert database.find("elma") == {"a"}
    database.add("b", "ELMA")
    assert database.find("elma") == {"a", "b"}
    database.change("a", "kiraz")
    assert database.find("elma") == {"b"}
    assert database.find("kiraz") == {"a"}
    database.remove("b")
    assert database.find("elma") == set()


def test_what_is_rolled_back_is_not_found(database: Database) -> None:
    database.add("a", "elma")
    assert database.find("elma") == {"a"}
    database.connection.execute("BEGIN")
    database.add("b", "elma")
    database.connection.execute("ROLLBACK")
    assert database.find("elma") == {"a"}


def test_records_that_were_there_before(tmp_path: Path) -> None:
    path = tmp_path / "argilla.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(SCHEMA)
        connection.execute("INSERT INTO datasets VALUES (?)", (DATASET,))
        row = (record_id("a"), json.dumps({"text": "elma"}), DATASET, "1")
        connection.execute("INSERT INTO records (id, fields, dataset_id, inserted_at) VALUES (?, ?, ?, ?)", row)
    install(path)
    hits = Reader(path, derived_file(path)).search(DATASET, text=Text("elma", FIELDS))
    assert [hit.record_id for hit in hits.items] == [record_id("a")]


def test_datasets_are_kept_apart(database: Database) -> None:
    database.add("a", "elma")
    database.add("b", "elma", OTHER_DATASET)
    assert database.find("elma") == {"a"}
    assert database.find("elma", OTHER_DATASET) == {"b"}
    database.write("DELETE FROM datasets WHERE id = ?", OTHER_DATASET)
    assert database.find("elma", OTHER_DATASET) == set()
    database.reader.forget_dataset(OTHER_DATASET)
    assert database.find("elma", OTHER_DATASET) == set()
    assert database.find("elma") == {"a"}


def test_other_fields_than_before(database: Database) -> None:
    database.add("a", "elma")
    assert database.find("elma") == {"a"}
    hits = database.reader.search(DATASET, text=Text("elma", (TextField("other", "text"),)))
    assert hits.total == 0
    assert database.find("elma") == {"a"}


@pytest.mark.parametrize("damage", ["lost", "garbage", "older"])
def test_a_damaged_derived_database_is_made_again(database: Database, damage: str) -> None:
    database.add("a", "elma")
    database.set_vector("a", [1.0, 0.0])
    assert database.find("elma") == {"a"}
    derived = derived_file(database.path)
    if damage == "older":
        with closing(sqlite3.connect(derived)) as connection, connection:
            connection.execute("UPDATE text_indexes SET fields = 'x'")
            connection.execute("PRAGMA user_version = 0")
    else:
        for file in derived.parent.glob("search.db*"):
            file.unlink()
        if damage == "garbage":
            derived.write_bytes(b"not a database at all" * 500)
    assert database.find("elma") == {"a"}
    assert database.nearest([1.0, 0.0]) == ["a"]


def test_a_restored_backup_is_noticed(database: Database, tmp_path: Path) -> None:
    """The backup's later changes bear the same numbers as those that the derived database has read."""
    database.add("a", "elma")
    database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    backup = tmp_path / "backup.db"
    shutil.copy(database.path, backup)
    database.add("b", "elma")
    database.add("c", "elma")
    assert database.find("elma") == {"a", "b", "c"}
    database.connection.close()
    for file in database.path.parent.glob("argilla.db*"):
        file.unlink()
    shutil.copy(backup, database.path)
    database.connection = sqlite3.connect(database.path, isolation_level=None)
    for name in ("x", "y", "z"):
        database.add(name, "elma")
    assert database.find("elma") == {"a", "x", "y", "z"}


def test_a_search_does_not_wait_for_a_push(database: Database) -> None:
    database.add("a", "elma")
    database.connection.execute("BEGIN IMMEDIATE")
    database.add("b", "elma")
    found: list[set[str]] = []
    thread = threading.Thread(target=lambda: found.append(database.find("elma")))
    thread.start()
    thread.join(5)
    assert found == [{"a"}]
    database.connection.execute("COMMIT")
    assert database.find("elma") == {"a", "b"}


def test_many_searches_at_once(database: Database) -> None:
    wrong: list[object] = []

    def ask() -> None:
        try:
            for _ in range(15):
                found = database.find("elma")
                if found != {f"n{number}" for number in range(len(found))}:
                    wrong.append(found)
        except sqlite3.Error as exc:
            wrong.append(exc)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for number in range(60):
        database.add(f"n{number}", "elma")
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(database.find("elma")) == 60


def test_vectors_follow(database: Database) -> None:
    for name, value in (("a", [1.0, 0.0]), ("b", [0.0, 1.0]), ("c", [0.7, 0.7])):
        database.add(name, "elma")
        database.set_vector(name, value)
    assert database.nearest([1.0, 0.1]) == ["a", "c", "b"]
    database.set_vector("b", [1.0, 0.1])
    assert database.nearest([1.0, 0.1]) == ["b", "a", "c"]
    database.write("DELETE FROM vectors WHERE record_id = ?", record_id("a"))
    assert database.nearest([1.0, 0.1]) == ["b", "c"]
    database.remove("b")
    database.set_vector("c", [0.0, 0.0])
    assert database.nearest([1.0, 0.1]) == []


def test_installing_again_and_forgetting_change_nothing(database: Database) -> None:
    for number in range(20):
        database.add(f"n{number}", "elma")
    assert len(database.find("elma")) == 20
    install(database.path)
    database.reader.forget_applied_changes()
    [(left,)] = database.connection.execute("SELECT count(*) FROM embedded_changes").fetchall()
    assert left == 1
    database.remove("n3")
    assert len(database.find("elma")) == 19


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "change", "remove", "find", "lose"]),
        st.sampled_from("abcd"),
        st.lists(st.sampled_from(["elma", "armut", "Istanbul", "ılık"]), max_size=3).map(" ".join),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_whatever_happens_the_answer_is_that_of_brute_force(tmp_path: Path, steps: list[tuple[str, str, str]]) -> None:
    made = Database(tmp_path / f"{uuid4().hex}.db")
    made.reader = Reader(made.path, made.path.with_suffix(".search"))
    truth: dict[str, str] = {}
    with closing(made.connection):
        for step, name, text in steps:
            if step == "add" and name not in truth:
                made.add(name, text)
                truth[name] = text
            elif step == "change" and name in truth:
                made.change(name, text)
                truth[name] = text
            elif step == "remove" and name in truth:
                made.remove(name)
                del truth[name]
            elif step == "find":
                assert made.find("armut") == {key for key, value in truth.items() if "armut" in value.split()}
            elif step == "lose":
                for file in tmp_path.glob(f"{made.path.stem}.search*"):
                    file.unlink()
        for word, query in (("elma", "elma"), ("Istanbul", "İSTANBUL"), ("ılık", "ILIK")):
            assert made.find(query) == {key for key, value in truth.items() if word in value.split()}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.one_of(st.sampled_from('ab"()+-|*~\\:{}^ '), st.characters()), max_size=30))
def test_any_query_is_answered(tmp_path: Path, query: str) -> None:
    path = tmp_path / "argilla.db"
    if not path.exists():
        made = Database(path)
        made.add("a", "a b")
        made.connection.close()
    assert Reader(path, derived_file(path)).search(DATASET, text=Text(query, FIELDS)).total in (0, 1)


def test_very_long_queries(database: Database) -> None:
    database.add("a", "elma")
    assert database.find(" | ".join(["armut"] * 2000 + ["elma"])) == {"a"}
    assert database.find(" ".join(f"w{number}" for number in range(2000))) == set()
    assert database.find("-".join(f"w{number}" for number in range(500))) == set()


def test_only_sqlite_in_a_file() -> None:
    assert database_file("sqlite+aiosqlite:////x/argilla.db?check_same_thread=False") == Path("/x/argilla.db")
    for url in ("postgresql+asyncpg://u:p@h/db", "sqlite+aiosqlite://", "nonsense"):
        with pytest.raises(ValueError, match="SQLite"):
            database_file(url)
