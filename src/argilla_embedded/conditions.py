"""Filters and sort keys as SQL over Argilla's tables, with the meaning Elasticsearch gives them in argilla-server.

Every expression speaks of one record as ``r``. Names and values are always bound, never spliced in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from uuid import UUID


class Kind(Enum):
    """How a value is compared: as Elasticsearch's keyword, as a number, or not at all (it is not indexed)."""

    KEYWORD = "keyword"
    NUMBER = "number"
    NONE = "none"


class InvalidFilterError(ValueError):
    """A filter whose value cannot be compared with its property, such as the term ``abc`` for a number."""


@dataclass(frozen=True)
class RecordScope:
    """A column of the record: id, external_id, status, inserted_at or updated_at."""

    column: str


@dataclass(frozen=True)
class MetadataScope:
    name: str
    kind: Kind


@dataclass(frozen=True)
class SuggestionScope:
    """``kind`` is that of the question's values; it matters for the property ``value`` only."""

    question_id: str
    prop: str
    kind: Kind


@dataclass(frozen=True)
class ResponseScope:
    """Responses' status if ``question`` is None, else the values given to that question; of one user or of all."""

    question: str | None
    kind: Kind
    user_id: str | None


Scope = RecordScope | MetadataScope | SuggestionScope | ResponseScope


@dataclass(frozen=True)
class Terms:
    scope: Scope
    values: tuple[str, ...]


@dataclass(frozen=True)
class Range:
    scope: Scope
    ge: float | str | None
    le: float | str | None


@dataclass(frozen=True)
class And:
    filters: tuple[Filter, ...]


Filter = Terms | Range | And


@dataclass(frozen=True)
class SortKey:
    scope: Scope
    descending: bool


@dataclass(frozen=True)
class Sql:
    """An SQL text and the values of its question marks, in order."""

    text: str
    values: tuple[object, ...] = ()


EVERYTHING, NOTHING = Sql("1"), Sql("0")
_PENDING = "pending"
# A JSON value as Elasticsearch's keyword: booleans are words, numbers are their digits.
AS_KEYWORD = "CASE v.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(v.value AS TEXT) END"
_NOT_NULL = "v.type <> 'null'"


def condition(filter: Filter) -> Sql:
    """``filter`` as an SQL condition. Raises ``InvalidFilterError``."""
    if isinstance(filter, And):
        parts = [condition(one) for one in filter.filters]
        return _join(" AND ", parts) if parts else EVERYTHING
    scope = filter.scope
    if isinstance(scope, ResponseScope) and scope.question is None:
        if isinstance(filter, Range):
            raise InvalidFilterError("A response's status has no order.")
        return _response_status(filter, scope)
    if isinstance(scope, RecordScope):
        return _record_condition(filter, scope)
    source, kind = json_values(scope)
    if kind is Kind.NONE:
        return NOTHING
    test = _terms_test(filter.values, kind) if isinstance(filter, Terms) else _range_test(filter, kind)
    return Sql(f"EXISTS (SELECT 1 {source.text} AND {test.text})", (*source.values, *test.values))


def sort_expression(key: SortKey) -> Sql:
    """The value to sort by: of several, the smallest when ascending and the largest when descending, as Elasticsearch does.

    Numbers in responses are averaged, since argilla-server asks for that. NULL where the record has no value.
    """
    scope = key.scope
    if isinstance(scope, RecordScope):
        return Sql(f"r.{_column(scope)}")
    pick = "max" if key.descending else "min"
    if isinstance(scope, ResponseScope) and scope.question is None:
        user = _user(scope)
        return Sql(
            f"(SELECT {pick}(p.status) FROM argilla.responses p WHERE p.record_id = r.id{user.text})", user.values
        )
    source, kind = json_values(scope)
    if kind is Kind.NONE:
        return Sql("NULL")
    if isinstance(scope, ResponseScope) and kind is Kind.NUMBER:
        pick = "avg"
    value = AS_KEYWORD if kind is Kind.KEYWORD else "v.value"
    return Sql(f"(SELECT {pick}({value}) {source.text} AND {_NOT_NULL})", source.values)


def _response_status(filter: Terms, scope: ResponseScope) -> Sql:
    user = _user(scope)
    given = f"SELECT 1 FROM argilla.responses p WHERE p.record_id = r.id{user.text}"
    others = tuple(value for value in filter.values if value != _PENDING)
    parts = []
    if _PENDING in filter.values:
        parts.append(Sql(f"NOT EXISTS ({given})", user.values))
    if others:
        marks = ", ".join("?" * len(others))
        parts.append(Sql(f"EXISTS ({given} AND p.status IN ({marks}))", (*user.values, *others)))
    if parts:
        return _join(" OR ", parts)
    return Sql(f"EXISTS ({given})", user.values) if scope.user_id else EVERYTHING


def _record_condition(filter: Terms | Range, scope: RecordScope) -> Sql:
    column = _column(scope)
    dated = column in {"inserted_at", "updated_at"}
    if isinstance(filter, Terms):
        values = [_stored(value, column) for value in filter.values]
        return Sql(f"r.{column} IN ({', '.join('?' * len(values))})", tuple(values))
    bounds = []
    for operator, bound in ((">=", filter.ge), ("<=", filter.le)):
        if bound is not None:
            value = _timestamp(bound, end=operator == "<=") if dated else _stored(str(bound), column)
            bounds.append(Sql(f"r.{column} {operator} ?", (value,)))
    return _join(" AND ", bounds) if bounds else EVERYTHING


def _column(scope: RecordScope) -> str:
    if scope.column not in {"id", "external_id", "status", "inserted_at", "updated_at"}:
        raise InvalidFilterError(f"A record has no property `{scope.column}`.")
    return scope.column


def _stored(value: str, column: str) -> str:
    """``value`` as the column holds it: ids are 32 hexadecimal digits without dashes, times are text."""
    if column == "id":
        try:
            return UUID(value).hex
        except ValueError:
            return value
    if column in {"inserted_at", "updated_at"}:
        return _timestamp(value, end=False)
    return value


def _timestamp(bound: float | str, *, end: bool) -> str:
    """A time as SQLAlchemy stores it (UTC). Numbers are milliseconds since the epoch, as in Elasticsearch.

    A date alone means its first instant, or its last with ``end``.
    """
    try:
        if isinstance(bound, float | int):
            moment = datetime.fromtimestamp(bound / 1000, UTC)
        else:
            moment = datetime.fromisoformat(bound)
            if end and len(bound) == len("2025-01-31"):
                moment += timedelta(days=1, microseconds=-1)
    except (ValueError, OverflowError, OSError) as exc:
        raise InvalidFilterError(f"`{bound}` is not a time; write it like 2025-01-31T12:00:00.") from exc
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def json_values(scope: Scope) -> tuple[Sql, Kind]:
    """``FROM … WHERE …`` that yields each JSON value of the scope as ``v``: one for a scalar, several for a list.

    Names are compared as keys and not put into a JSON path: SQLite's paths know no escapes, and the stored JSON spells
    every non-ASCII letter of a name as one.
    """
    if isinstance(scope, MetadataScope):
        if scope.kind is Kind.KEYWORD:
            return Sql(
                f"FROM json_each(r.metadata) m, json_each({_listed('m')}) v WHERE m.key = ?", (scope.name,)
            ), scope.kind
        return Sql("FROM json_each(r.metadata) v WHERE v.key = ?", (scope.name,)), scope.kind
    if isinstance(scope, SuggestionScope):
        kinds = {"value": scope.kind, "score": Kind.NUMBER, "agent": Kind.KEYWORD, "type": Kind.KEYWORD}
        if scope.prop not in kinds:
            raise InvalidFilterError(f"A suggestion has no property `{scope.prop}`.")
        # agent and type are plain text columns; the others hold JSON.
        column = f's."{scope.prop}"'
        document = column if scope.prop in {"value", "score"} else f"json_quote({column})"
        return (
            Sql(
                f"FROM argilla.suggestions s, json_each({document}) v WHERE s.record_id = r.id AND s.question_id = ?",
                (scope.question_id,),
            ),
            kinds[scope.prop],
        )
    if isinstance(scope, ResponseScope) and scope.question is not None:
        user = _user(scope)
        answers = 'FROM argilla.responses p, json_each(p."values") q, json_each(q.value)'
        where = f"p.record_id = r.id{user.text} AND q.key = ?"
        values = (*user.values, scope.question)
        if scope.kind is Kind.KEYWORD:
            return (
                Sql(f"{answers} a, json_each({_listed('a')}) v WHERE {where} AND a.key = 'value'", values),
                scope.kind,
            )
        return Sql(f"{answers} v WHERE {where} AND v.key = 'value'", values), scope.kind
    raise InvalidFilterError(f"Nothing to compare in {scope}.")


def _listed(alias: str) -> str:
    """The value of a row of ``json_each`` as a JSON list, whatever it was."""
    return (
        f"CASE WHEN {alias}.type = 'array' THEN {alias}.value"
        f" WHEN {alias}.type IN ('true', 'false') THEN json_array({alias}.type) ELSE json_array({alias}.value) END"
    )


def _user(scope: ResponseScope) -> Sql:
    return Sql(" AND p.user_id = ?", (scope.user_id,)) if scope.user_id else Sql("")


def _terms_test(terms: Sequence[str], kind: Kind) -> Sql:
    values: Sequence[object] = terms if kind is Kind.KEYWORD else [_number(term) for term in terms]
    value = f"({AS_KEYWORD})" if kind is Kind.KEYWORD else "v.value"
    return Sql(f"{_NOT_NULL} AND {value} IN ({', '.join('?' * len(values))})", tuple(values))


def _range_test(filter: Range, kind: Kind) -> Sql:
    value = f"({AS_KEYWORD})" if kind is Kind.KEYWORD else "v.value"
    bounds = []
    for operator, bound in ((">=", filter.ge), ("<=", filter.le)):
        if bound is not None:
            bounds.append(Sql(f"{value} {operator} ?", (str(bound) if kind is Kind.KEYWORD else _number(bound),)))
    return _join(" AND ", [Sql(_NOT_NULL), *bounds])


def _number(value: float | str) -> float:
    try:
        return float(value)
    except ValueError as exc:
        raise InvalidFilterError(f"`{value}` is not a number.") from exc


def _join(operator: str, parts: Sequence[Sql]) -> Sql:
    return Sql(
        "(" + operator.join(part.text for part in parts) + ")", tuple(value for part in parts for value in part.values)
    )
