"""Answers searches, similarity searches, metrics and progress from Argilla's SQLite database. Plain values in and out.

Ids are 32 hexadecimal digits, as the database holds them. Each call opens its own connection and reads one snapshot, so a
page and its total agree; it may run in any thread.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from argilla_embedded.conditions import (
    AS_KEYWORD,
    EVERYTHING,
    Filter,
    Kind,
    MetadataScope,
    SortKey,
    Sql,
    condition,
    json_values,
    sort_expression,
)
from argilla_embedded.database import TIMEOUT_SECONDS, forget_changes
from argilla_embedded.derived import DerivedDatabase, TextField, text_table
from argilla_embedded.query_text import All, Any, Node, Not, Phrase, Words, parse


@dataclass(frozen=True)
class Text:
    """A text query over ``fields``, all of the dataset's searched fields in a fixed order, or only ``field`` of them."""

    query: str
    fields: tuple[TextField, ...]
    field: str | None = None


@dataclass(frozen=True)
class Vector:
    """A similarity query: records by the cosine with ``value``, nearest first, or farthest first with ``least``."""

    settings_id: str
    value: tuple[float, ...]
    least: bool = False
    without_record: str | None = None


@dataclass(frozen=True)
class Hit:
    record_id: str
    score: float | None


@dataclass(frozen=True)
class Hits:
    items: tuple[Hit, ...]
    total: int


class Reader:
    def __init__(self, source: Path, derived: Path) -> None:
        self._source = source
        self._derived = derived

    def ping(self) -> bool:
        """Whether the database is there, prepared, and this SQLite has full text."""
        with self._plain() as connection:
            connection.execute("SELECT 1 FROM argilla.embedded_changes LIMIT 1").fetchone()
            connection.execute("CREATE VIRTUAL TABLE temp.probe USING fts5(word)")
        return True

    def search(
        self,
        dataset_id: str,
        *,
        text: Text | None = None,
        filter: Filter | None = None,
        sort: Sequence[SortKey] = (),
        offset: int = 0,
        limit: int = 100,
        user_id: str | None = None,
    ) -> Hits:
        """A page of the records that match, and how many match in all.

        Order: the sort keys (a record without the value comes last either way); without any, the best score first. The
        score is BM25 for a text query, else 1. With ``user_id`` it is multiplied by a number between 0 and 1 that
        depends on user and record alone, so that each annotator meets the records in an order of their own. Ties are in
        order of insertion. With sort keys there is no score, as in Elasticsearch.
        """
        with self._snapshot(dataset_id, text) as connection:
            where = self._where(dataset_id, text, filter)
            total = connection.execute(f"SELECT count(*) FROM argilla.records r WHERE {where.text}", where.values)
            count = int(total.fetchone()[0])
            score = "(SELECT h.score FROM temp.hits h WHERE h.record_id = r.id)" if text else "1.0"
            values: list[object] = []
            if sort:
                score = "NULL"
            elif user_id is not None:
                score = f"{score} * embedded_share(?, r.id)"
                values.append(user_id)
            order = []
            ordered: list[object] = []
            for key in sort:
                expression = sort_expression(key)
                order.append(f"{expression.text} {'DESC' if key.descending else 'ASC'} NULLS LAST")
                ordered += expression.values
            if not sort and (text or user_id is not None):
                order.append("score DESC")
            rows = connection.execute(
                f"SELECT r.id, {score} AS score FROM argilla.records r WHERE {where.text}"
                f" ORDER BY {', '.join([*order, 'r.inserted_at', 'r.id'])} LIMIT ? OFFSET ?",
                (*values, *where.values, *ordered, limit, offset),
            ).fetchall()
        return Hits(tuple(Hit(record_id, score) for record_id, score in rows), count)

    def similar(
        self,
        dataset_id: str,
        vector: Vector,
        *,
        text: Text | None = None,
        filter: Filter | None = None,
        max_results: int = 100,
        threshold: float | None = None,
    ) -> Hits:
        """The ``max_results`` nearest of the matching records; ``total`` is how many these are, as in Elasticsearch.

        The score is (1 + cosine) / 2, or (1 - cosine) / 2 when the least similar are asked for; items below
        ``threshold`` are left out and still counted. Vectors of length 0 have no direction and are never found.
        """
        with self._snapshot(dataset_id, text, vector.settings_id) as connection:
            where = self._where(dataset_id, text, filter)
            rows = connection.execute(
                "SELECT r.id, v.value FROM main.vectors v JOIN argilla.records r ON r.id = v.record_id"
                f" WHERE v.settings_id = ? AND r.id IS NOT ? AND {where.text} ORDER BY r.inserted_at, r.id",
                (vector.settings_id, vector.without_record, *where.values),
            ).fetchall()
        scores, kept = _cosine_scores(vector, [row[1] for row in rows])
        order = np.argsort(-scores, kind="stable")[:max_results]
        items = tuple(Hit(rows[kept[place]][0], float(scores[place])) for place in order)
        shown = items if threshold is None else tuple(hit for hit in items if (hit.score or 0.0) >= threshold)
        return Hits(shown, len(items))

    def metadata_terms(self, dataset_id: str, name: str) -> list[tuple[str, int]]:
        """How many records have each term, most frequent first, then by term."""
        found, _ = json_values(MetadataScope(name, Kind.KEYWORD))
        with self._plain() as connection:
            return connection.execute(
                f"SELECT {AS_KEYWORD} AS term, count(DISTINCT r.id) AS records {_joined(found)}"
                " AND v.type <> 'null' GROUP BY term ORDER BY records DESC, term",
                (*found.values, dataset_id),
            ).fetchall()

    def metadata_bounds(self, dataset_id: str, name: str) -> tuple[float | None, float | None]:
        """The smallest and the largest value, None where no record has one."""
        found, _ = json_values(MetadataScope(name, Kind.NUMBER))
        with self._plain() as connection:
            low, high = connection.execute(
                f"SELECT min(v.value), max(v.value) {_joined(found)} AND v.type IN ('integer', 'real')",
                (*found.values, dataset_id),
            ).fetchone()
        return low, high

    def record_states(self, dataset_id: str) -> dict[str, int]:
        """How many records are pending and completed."""
        with self._plain() as connection:
            return dict(
                connection.execute(
                    "SELECT status, count(*) FROM argilla.records WHERE dataset_id = ? GROUP BY status", (dataset_id,)
                ).fetchall()
            )

    def response_states(self, dataset_id: str, user_id: str) -> dict[str, int]:
        """How many responses of one user are draft, submitted and discarded."""
        with self._plain() as connection:
            return dict(
                connection.execute(
                    "SELECT p.status, count(*) FROM argilla.responses p JOIN argilla.records r ON r.id = p.record_id"
                    " WHERE r.dataset_id = ? AND p.user_id = ? GROUP BY p.status",
                    (dataset_id, user_id),
                ).fetchall()
            )

    def forget_dataset(self, dataset_id: str) -> None:
        """Drop the full-text index of a deleted dataset."""
        with closing(DerivedDatabase(self._source, self._derived)) as derived:
            derived.drop_text(dataset_id)

    def forget_applied_changes(self) -> None:
        """Shorten the log of changes by what the derived database knows already."""
        if self._derived.exists():
            with closing(DerivedDatabase(self._source, self._derived)) as derived:
                applied = derived.applied()
            forget_changes(self._source, applied)

    @contextmanager
    def _plain(self) -> Iterator[sqlite3.Connection]:
        with closing(
            sqlite3.connect(":memory:", timeout=TIMEOUT_SECONDS, isolation_level=None, uri=True)
        ) as connection:
            connection.execute("ATTACH DATABASE ? AS argilla", (f"{self._source.as_uri()}?mode=ro",))
            yield connection

    @contextmanager
    def _snapshot(
        self, dataset_id: str, text: Text | None, settings_id: str | None = None
    ) -> Iterator[sqlite3.Connection]:
        """A read transaction; the derived database is opened, brought level and asked only when it is needed."""
        if text is None and settings_id is None:
            with self._plain() as connection:
                connection.create_function("embedded_share", 2, _share, deterministic=True)
                connection.execute("BEGIN")
                yield connection
            return
        with closing(DerivedDatabase(self._source, self._derived)) as derived:
            if text is not None:
                derived.prepare_text(dataset_id, text.fields)
            if settings_id is not None:
                derived.prepare_vectors(settings_id)
            connection = derived.connection
            connection.create_function("embedded_share", 2, _share, deterministic=True)
            connection.execute("CREATE TEMP TABLE hits (record_id TEXT PRIMARY KEY, score REAL) WITHOUT ROWID")
            connection.execute("BEGIN")
            if text is not None:
                _find(connection, dataset_id, text)
            yield connection

    def _where(self, dataset_id: str, text: Text | None, filter: Filter | None) -> Sql:
        wanted = condition(filter) if filter is not None else EVERYTHING
        found = " AND r.id IN (SELECT record_id FROM temp.hits)" if text is not None else ""
        return Sql(f"r.dataset_id = ? AND {wanted.text}{found}", (dataset_id, *wanted.values))


def _joined(values: Sql) -> str:
    """``FROM … WHERE …`` of a record's values, for all records of a dataset, whose id is to be bound last."""
    return values.text.replace("FROM ", "FROM argilla.records r, ", 1) + " AND r.dataset_id = ?"


def _share(user_id: str, record_id: str) -> float:
    digest = hashlib.blake2b(f"{user_id}{record_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 1) / (2**64 + 1)


def _find(connection: sqlite3.Connection, dataset_id: str, text: Text) -> None:
    """Fill ``temp.hits`` with the records that match the text query and their BM25 scores."""
    node = parse(text.query)
    if node is None or not text.fields:
        return
    names = [field.name for field in text.fields]
    columns = [f"c{names.index(text.field)}"] if text.field else [f"c{number}" for number in range(len(names))]
    table = text_table(dataset_id)
    found = _documents(connection, table, columns, node)
    scores: dict[int, float] = {}
    positive = list(_positive(node))
    if positive:
        # One phrase after the other, since a very long query would be too deep an expression for FTS5.
        for leaf in dict.fromkeys(positive):
            for doc_id, score in connection.execute(
                f"SELECT rowid, -bm25({table}) FROM {table} WHERE {table} MATCH ?", (_expression(leaf, columns),)
            ):
                scores[doc_id] = scores.get(doc_id, 0.0) + score
    known = dict(connection.execute("SELECT doc_id, record_id FROM documents WHERE dataset_id = ?", (dataset_id,)))
    connection.executemany(
        "INSERT INTO temp.hits VALUES (?, ?)", ((known[doc_id], scores.get(doc_id, 1.0)) for doc_id in found)
    )


def _documents(connection: sqlite3.Connection, table: str, columns: Sequence[str], node: Node) -> set[int]:
    if isinstance(node, Words | Phrase):
        rows = connection.execute(
            f"SELECT rowid FROM {table} WHERE {table} MATCH ?", (_expression(node, columns),)
        ).fetchall()
        return {row[0] for row in rows}
    if isinstance(node, All):
        return set.intersection(*(_documents(connection, table, columns, part) for part in node.parts))
    if isinstance(node, Any):
        return set.union(*(_documents(connection, table, columns, part) for part in node.parts))
    everything = {row[0] for row in connection.execute(f"SELECT rowid FROM {table}")}
    return everything - _documents(connection, table, columns, node.part) if isinstance(node, Not) else everything


def _positive(node: Node) -> Iterator[Words | Phrase]:
    if isinstance(node, Words | Phrase):
        yield node
    elif isinstance(node, All | Any):
        for part in node.parts:
            yield from _positive(part)


def _expression(leaf: Words | Phrase, columns: Sequence[str]) -> str:
    """``leaf`` in FTS5's own language. Words hold letters, marks and digits only, so quoting them is enough."""
    scope = "{" + " ".join(columns) + "} : "
    if isinstance(leaf, Phrase):
        return f'{scope}"{" ".join(leaf.words)}"'
    quoted = [f'"{word}"' for word in leaf.words]
    if leaf.prefix:
        quoted[-1] += " *"
    if len(quoted) == 1:
        return scope + quoted[0]
    return " OR ".join(f"({column} : ({' AND '.join(quoted)}))" for column in columns)


def _cosine_scores(vector: Vector, blobs: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """(1 ± cosine) / 2 with each row, and the numbers of the rows kept: those of the right size and a length above 0."""
    query = np.asarray(vector.value, dtype=np.float32)
    length = float(np.linalg.norm(query))
    if not blobs or length == 0.0:
        return np.empty(0, np.float32), np.empty(0, np.int64)
    matrix = np.frombuffer(b"".join(blobs), dtype=np.float32).reshape(len(blobs), -1)
    lengths = np.linalg.norm(matrix, axis=1)
    kept = np.flatnonzero(lengths > 0.0)
    cosine = np.clip(matrix[kept] @ query / (lengths[kept] * length), -1.0, 1.0)
    return (1.0 + (-cosine if vector.least else cosine)) / 2.0, kept
