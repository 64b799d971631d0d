"""The search engine ``sql`` for argilla-server: every answer comes from the SQL database, so there is nothing to index.

Argilla calls the writing methods after its commits; what they would write is in the database already, and full text and
vectors catch up through the log of changes (``database.py``). Importing this module registers the engine.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from argilla_server.database import AsyncSessionLocal
from argilla_server.enums import MetadataPropertyType, QuestionType, SimilarityOrder, SortOrder
from argilla_server.errors.future import UnprocessableEntityError
from argilla_server.models import (
    Dataset,
    Field,
    MetadataProperty,
    Question,
    Record,
    Response,
    Suggestion,
    User,
    VectorSettings,
)
from argilla_server.search_engine import base
from argilla_server.settings import settings
from sqlalchemy import select

from argilla_embedded import conditions as sql
from argilla_embedded.database import database_file, derived_file
from argilla_embedded.derived import TextField
from argilla_embedded.reader import Hits, Reader, Text, Vector

ENGINE_NAME = "sql"
_SEARCHED = ("text", "chat", "custom")
_KINDS = {
    QuestionType.rating: sql.Kind.NUMBER,
    QuestionType.label_selection: sql.Kind.KEYWORD,
    QuestionType.multi_label_selection: sql.Kind.KEYWORD,
    MetadataPropertyType.terms: sql.Kind.KEYWORD,
    MetadataPropertyType.integer: sql.Kind.NUMBER,
    MetadataPropertyType.float: sql.Kind.NUMBER,
}


@base.SearchEngine.register(ENGINE_NAME)
class SqlSearchEngine(base.SearchEngine):  # type: ignore[misc]  # the server's types are not here to check
    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @classmethod
    async def new_instance(cls) -> SqlSearchEngine:
        source = database_file(settings.database_url)
        return cls(Reader(source, derived_file(source)))

    async def close(self) -> None:
        pass

    async def ping(self) -> bool:
        return await asyncio.to_thread(self._reader.ping)

    async def info(self) -> dict[str, Any]:
        return {"name": ENGINE_NAME, "version": {"number": sqlite3.sqlite_version, "distribution": "sqlite"}}

    # Nothing to write: see the module's docstring.

    async def create_index(self, dataset: Dataset) -> None:
        pass

    async def delete_index(self, dataset: Dataset) -> None:
        await asyncio.to_thread(self._reader.forget_dataset, dataset.id.hex)

    async def configure_metadata_property(self, dataset: Dataset, metadata_property: MetadataProperty) -> None:
        pass

    async def configure_index_vectors(self, vector_settings: VectorSettings) -> None:
        pass

    async def index_records(self, dataset: Dataset, records: Iterable[Record]) -> None:
        pass

    async def partial_record_update(self, record: Record, **update: Any) -> None:
        pass

    async def delete_records(self, dataset: Dataset, records: Iterable[Record]) -> None:
        pass

    async def update_record_response(self, response: Response) -> None:
        pass

    async def delete_record_response(self, response: Response) -> None:
        pass

    async def update_record_suggestion(self, suggestion: Suggestion) -> None:
        pass

    async def delete_record_suggestion(self, suggestion: Suggestion) -> None:
        pass

    # Reading.

    async def get_dataset_progress(self, dataset: Dataset) -> dict[str, int]:
        if dataset.is_draft:
            return {}
        return _with_total(await asyncio.to_thread(self._reader.record_states, dataset.id.hex))

    async def get_dataset_user_progress(self, dataset: Dataset, user: User) -> dict[str, int]:
        if dataset.is_draft:
            return {}
        return _with_total(await asyncio.to_thread(self._reader.response_states, dataset.id.hex, user.id.hex))

    async def search(
        self,
        dataset: Dataset,
        query: base.TextQuery | str | None = None,
        filter: base.Filter | None = None,
        sort: list[base.Order] | None = None,
        offset: int = 0,
        limit: int = 100,
        user_id: str | UUID | None = None,
    ) -> base.SearchResponses:
        schema = await _Schema.of(dataset)
        try:
            hits = await asyncio.to_thread(
                self._reader.search,
                dataset.id.hex,
                text=schema.text(query),
                filter=schema.filter(filter),
                sort=[sql.SortKey(schema.scope(one.scope), one.order == SortOrder.desc) for one in sort or ()],
                offset=offset,
                limit=limit,
                user_id=None if user_id is None else str(user_id),
            )
        except sql.InvalidFilterError as exc:
            raise UnprocessableEntityError(str(exc)) from exc
        return _responses(hits)

    async def similarity_search(
        self,
        dataset: Dataset,
        vector_settings: VectorSettings,
        value: list[float] | None = None,
        record: Record | None = None,
        query: base.TextQuery | str | None = None,
        filter: base.Filter | None = None,
        max_results: int = 100,
        order: SimilarityOrder = SimilarityOrder.most_similar,
        threshold: float | None = None,
    ) -> base.SearchResponses:
        if bool(value) == bool(record):
            raise ValueError("Must provide either vector value or record to compute the similarity search")
        wanted = value if record is None else record.vector_value_by_vector_settings(vector_settings)
        if not wanted:
            raise ValueError("Cannot find a vector value to apply with provided info")
        if len(wanted) != vector_settings.dimensions:
            raise UnprocessableEntityError(
                f"Vector `{vector_settings.name}` has {vector_settings.dimensions} numbers, the query {len(wanted)}."
            )
        if not any(wanted):
            raise UnprocessableEntityError("A vector of zeros has no direction to compare with.")
        schema = await _Schema.of(dataset)
        try:
            hits = await asyncio.to_thread(
                self._reader.similar,
                dataset.id.hex,
                Vector(
                    vector_settings.id.hex,
                    tuple(wanted),
                    least=order == SimilarityOrder.least_similar,
                    without_record=record.id.hex if record else None,
                ),
                text=schema.text(query),
                filter=schema.filter(filter),
                max_results=max_results,
                threshold=threshold,
            )
        except sql.InvalidFilterError as exc:
            raise UnprocessableEntityError(str(exc)) from exc
        return _responses(hits)

    async def compute_metrics_for(self, metadata_property: MetadataProperty) -> base.MetadataMetrics:
        dataset_id, name = metadata_property.dataset_id.hex, metadata_property.name
        if metadata_property.type == MetadataPropertyType.terms:
            counts = await asyncio.to_thread(self._reader.metadata_terms, dataset_id, name)
            values = [base.TermsMetrics.TermCount(term=term, count=count) for term, count in counts]
            return base.TermsMetrics(total=sum(count for _, count in counts), values=values)
        low, high = await asyncio.to_thread(self._reader.metadata_bounds, dataset_id, name)
        if metadata_property.type == MetadataPropertyType.integer:
            return base.IntegerMetadataMetrics(min=low, max=high)
        return base.FloatMetadataMetrics(min=low, max=high)


class _Schema:
    """What filters need to know of a dataset, read here because the server does not always load it with the dataset."""

    def __init__(self, dataset: Dataset, fields: Any, questions: Any, properties: Any) -> None:
        self._dataset = dataset
        self._fields = tuple(
            TextField(field.name, field.type.value) for field in fields if field.type.value in _SEARCHED
        )
        self._names = {field.name for field in fields}
        self._questions = {question.name: question for question in questions}
        self._properties = {prop.name: prop for prop in properties}

    @classmethod
    async def of(cls, dataset: Dataset) -> _Schema:
        async with AsyncSessionLocal() as session:

            async def rows(model: Any) -> Any:
                query = select(model).filter_by(dataset_id=dataset.id).order_by(model.inserted_at, model.id)
                return (await session.scalars(query)).all()

            return cls(dataset, await rows(Field), await rows(Question), await rows(MetadataProperty))

    def text(self, query: base.TextQuery | str | None) -> Text | None:
        if query is None:
            return None
        words, name = (query, None) if isinstance(query, str) else (query.q, query.field)
        if name and name not in self._names:
            raise ValueError(f"Field {name} not found in dataset {self._dataset.id}")
        if name and name not in {field.name for field in self._fields}:
            # An image holds no text, so nothing in it can match.
            return Text(words, ())
        return Text(words, self._fields, name or None)

    def filter(self, filter: base.Filter | None) -> sql.Filter | None:
        if filter is None:
            return None
        if isinstance(filter, base.AndFilter):
            return sql.And(tuple(found for one in filter.filters if (found := self.filter(one)) is not None))
        if isinstance(filter, base.TermsFilter):
            return sql.Terms(self.scope(filter.scope), tuple(str(value) for value in filter.values))
        if isinstance(filter, base.RangeFilter):
            return sql.Range(self.scope(filter.scope), filter.ge, filter.le)
        raise ValueError(f"Cannot process request for filter {filter}")

    def scope(self, scope: base.FilterScope) -> sql.Scope:
        if isinstance(scope, base.RecordFilterScope):
            return sql.RecordScope(str(scope.property))
        if isinstance(scope, base.MetadataFilterScope):
            prop = self._properties.get(scope.metadata_property)
            return sql.MetadataScope(scope.metadata_property, _KINDS[prop.type] if prop else sql.Kind.NONE)
        if isinstance(scope, base.SuggestionFilterScope):
            question = self._question(scope.question)
            kind = _KINDS.get(question.type, sql.Kind.NONE)
            # The API turns a missing property into the word "None"; its default is the value.
            prop = "value" if scope.property in {None, "None"} else scope.property
            return sql.SuggestionScope(question.id.hex, prop, kind)
        if isinstance(scope, base.ResponseFilterScope):
            user_id = scope.user.id.hex if scope.user else None
            if scope.question is None:
                return sql.ResponseScope(None, sql.Kind.KEYWORD, user_id)
            kind = _KINDS.get(self._question(scope.question).type, sql.Kind.NONE)
            return sql.ResponseScope(scope.question, kind, user_id)
        raise ValueError(f"Cannot process request for search scope {scope}")

    def _question(self, name: str) -> Question:
        if name not in self._questions:
            raise ValueError(f"Question {name} not found in dataset {self._dataset.id}")
        return self._questions[name]


def _with_total(counts: dict[str, int]) -> dict[str, int]:
    return {"total": sum(counts.values()), **counts}


def _responses(hits: Hits) -> base.SearchResponses:
    items = [base.SearchResponseItem(record_id=UUID(hit.record_id), score=hit.score) for hit in hits.items]
    return base.SearchResponses(items=items, total=hits.total)
