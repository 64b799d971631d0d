"""The search engine, through the server's HTTP API, on 1,000 records: each case of ``search_cases.json`` and the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from running_argilla import Annotator, Api, ArgillaServer
from server.search_world import (
    DIMENSIONS,
    FIELDS,
    METADATA,
    QUESTIONS,
    Record,
    World,
    bm25,
    cosine,
    make_world,
    matches,
    ordered,
    passes,
    scope_values,
)

pytestmark = [pytest.mark.slow, pytest.mark.server]

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("search_cases.json").read_text(encoding="utf-8"))


@dataclass
class Loaded:
    """The world as it was pushed, and the API as its owner and as each annotator."""

    world: World
    dataset_id: str
    owner: Api
    annotators: list[Annotator]
    apis: dict[str, Api]

    def api(self, name: str) -> Api:
        return self.apis[name]

    def user(self, name: str) -> str | None:
        return None if name == "owner" else self.annotators[int(name.removeprefix("annotator"))].id


@pytest.fixture(scope="module")
def loaded(argilla_server: ArgillaServer) -> Iterator[Loaded]:
    with ExitStack() as stack:
        yield _load(argilla_server, stack)


def _load(argilla_server: ArgillaServer, stack: ExitStack) -> Loaded:
    owner = stack.enter_context(Api(argilla_server.url, argilla_server.api_key))
    workspace = owner.new_workspace()
    annotators = [owner.new_annotator(workspace) for _ in range(3)]
    dataset = owner.new_dataset(workspace, fields=FIELDS, questions=QUESTIONS, min_submitted=2)
    for name, kind in METADATA.items():
        settings = {"name": name, "title": name, "settings": {"type": kind}, "visible_for_annotators": True}
        owner.call("POST", f"/datasets/{dataset}/metadata-properties", json=settings)
    vectors = {"name": "meaning", "title": "meaning", "dimensions": DIMENSIONS}
    owner.call("POST", f"/datasets/{dataset}/vectors-settings", json=vectors)
    world = make_world([annotator.id for annotator in annotators], owner.question_ids(dataset))
    made = owner.add_records(dataset, [record.payload for record in world.records])
    for record, answer in zip(world.records, made, strict=True):
        record.id = answer["id"]
    # Times and states are read afresh: the answer to the push has those from before its responses were counted.
    seen = {}
    for offset in range(0, len(world.records), 500):
        page = owner.call("GET", f"/datasets/{dataset}/records", params={"offset": offset, "limit": 500})
        seen.update({item["id"]: item for item in page["items"]})
    for record in world.records:
        item = seen[record.id]
        record.inserted_at, record.updated_at = item["inserted_at"], item["updated_at"]
        record.status = item["status"]
    apis = {"owner": owner}
    for number, annotator in enumerate(annotators):
        apis[f"annotator{number}"] = stack.enter_context(Api(argilla_server.url, annotator.api_key))
    return Loaded(world, dataset, owner, annotators, apis)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(loaded: Loaded, case: dict[str, Any]) -> None:
    case = _filled_in(case, loaded.world)
    who = case.get("as", "owner")
    user = loaded.user(who)
    limit = case.get("limit", 1000)
    expected = _expected(loaded.world, case, user)

    answer = loaded.api(who).search(loaded.dataset_id, _body(case), mine=who != "owner", limit=limit)

    ids = [item["record"]["id"] for item in answer["items"]]
    scores = [item.get("query_score") for item in answer["items"]]
    if "similar" in case:
        _check_similar(loaded.world, expected, case["similar"], ids, scores, limit)
        assert answer["total"] == len(ids)
        return
    assert set(ids) == {record.id for record in expected}
    assert answer["total"] == len(ids) == len(expected)
    if "sort" in case:
        assert ids == [record.id for record in expected]
        assert scores == [None] * len(ids)
    elif user is not None:
        # Each annotator has an order of their own: best share of the score first.
        assert scores == sorted(scores, reverse=True)
        assert "text" in case or all(0 < score <= 1 for score in scores)
    elif "text" not in case:
        assert ids == [record.id for record in expected]
        assert scores == [1.0] * len(ids)
    else:
        assert scores == sorted(scores, reverse=True)
        names = [case["text"]["field"]] if "field" in case["text"] else list(FIELDS)
        oracle = bm25(loaded.world.records, case["means"], names)
        if "together" not in case["means"]:
            assert dict(zip(ids, scores, strict=True)) == pytest.approx(
                {record.id: oracle.get(record.id, 1.0) for record in expected}, rel=1e-6
            )


def test_the_cases_find_something(loaded: Loaded) -> None:
    """A case that matches nothing, or everything, would test little: most must split the records."""
    splitting = 0
    for case in CASES:
        case = _filled_in(case, loaded.world)
        found = len(_expected(loaded.world, case, loaded.user(case.get("as", "owner"))))
        splitting += 0 < found < len(loaded.world.records)
    assert splitting >= 90


@pytest.mark.parametrize(
    "case",
    [
        {"name": "no query"},
        {"name": "annotator's order", "as": "annotator1"},
        {"name": "text", "text": {"q": "apple"}, "means": {"word": "apple"}},
        {"name": "annotator's text", "as": "annotator2", "text": {"q": "apple"}, "means": {"word": "apple"}},
        {
            "name": "sort with many ties",
            "sort": [{"scope": {"entity": "record", "property": "status"}, "order": "desc"}],
        },
    ],
    ids=lambda case: case["name"],
)
def test_pages_add_up_to_the_whole(loaded: Loaded, case: dict[str, Any]) -> None:
    who = case.get("as", "owner")
    mine = who != "owner"
    api, body = loaded.api(who), _body(case)
    whole = api.search(loaded.dataset_id, body, mine=mine, limit=1000)
    pages: list[str] = []
    for offset in range(0, whole["total"] + 130, 130):
        page = api.search(loaded.dataset_id, body, mine=mine, limit=130, offset=offset)
        assert page["total"] == whole["total"]
        pages += [item["record"]["id"] for item in page["items"]]
    assert pages == [item["record"]["id"] for item in whole["items"]]
    assert len(set(pages)) == whole["total"] == len(_expected(loaded.world, case, loaded.user(who)))


def test_annotators_meet_the_records_in_different_orders_that_last(loaded: Loaded) -> None:
    orders = []
    for name in ("annotator0", "annotator1", "annotator0"):
        found = loaded.api(name).search(loaded.dataset_id, mine=True, limit=1000)
        orders.append([item["record"]["id"] for item in found["items"]])
    assert orders[0] == orders[2] != orders[1]


def test_similar_pages(loaded: Loaded) -> None:
    body = {"query": {"vector": {"name": "meaning", "value": [1, 0, 0, 0, 0, 0, 0, 1]}}}
    first = loaded.owner.search(loaded.dataset_id, body, limit=30)
    second = loaded.owner.search(loaded.dataset_id, body, limit=30, offset=30)
    both = loaded.owner.search(loaded.dataset_id, body, limit=60)
    assert first["items"] + second["items"] == both["items"]


@pytest.mark.parametrize(
    ("vector", "says"),
    [([0.0] * DIMENSIONS, "no direction"), ([1.0, 2.0], "8 numbers, the query 2")],
)
def test_a_vector_that_cannot_be_compared_is_refused(loaded: Loaded, vector: list[float], says: str) -> None:
    body = {"query": {"vector": {"name": "meaning", "value": vector}}}
    assert says in json.dumps(loaded.owner.search(loaded.dataset_id, body, expect=422))


@pytest.mark.parametrize(
    ("filter", "says"),
    [
        ({"type": "terms", "scope": {"entity": "metadata", "metadata_property": "length"}, "values": ["x"]}, "number"),
        ({"type": "range", "scope": {"entity": "record", "property": "inserted_at"}, "ge": "soon"}, "time"),
        ({"type": "range", "scope": {"entity": "response", "property": "status"}, "ge": "a"}, "order"),
    ],
    ids=["number", "time", "status"],
)
def test_a_filter_that_makes_no_sense_is_refused(loaded: Loaded, filter: dict[str, Any], says: str) -> None:
    answer = loaded.owner.search(loaded.dataset_id, {"filters": {"and": [filter]}}, expect=422)
    assert says in json.dumps(answer)


def test_dates_alone_and_milliseconds(loaded: Loaded) -> None:
    scope = {"entity": "record", "property": "inserted_at"}
    day = loaded.world.records[0].inserted_at[:10]
    last = loaded.world.records[-1].inserted_at[:10]

    def count(**bounds: Any) -> int:
        filters = {"and": [{"type": "range", "scope": scope, **bounds}]}
        total: int = loaded.owner.search(loaded.dataset_id, {"filters": filters})["total"]
        return total

    assert count(ge=day) == count(le=last) == 1000
    assert count(le=1.0e12) == 0
    assert count(ge=1.0e12) == 1000


def test_metrics_of_terms(loaded: Loaded) -> None:
    counts: dict[str, int] = {}
    for record in loaded.world.records:
        for term in scope_values(record, {"entity": "metadata", "metadata_property": "konu-ı"}, None):
            counts[term] = counts.get(term, 0) + 1
    metrics = _metrics(loaded, "konu-ı")
    assert {one["term"]: one["count"] for one in metrics["values"]} == counts
    assert metrics["total"] == sum(counts.values())
    assert metrics["values"] == sorted(metrics["values"], key=lambda one: (-one["count"], one["term"].encode()))


def test_metrics_of_numbers(loaded: Loaded) -> None:
    for name in ("length", "quality"):
        values = [record.metadata[name] for record in loaded.world.records if name in record.metadata]
        metrics = _metrics(loaded, name)
        assert (metrics["min"], metrics["max"]) == (min(values), max(values))


def test_progress_of_the_dataset(loaded: Loaded) -> None:
    completed = sum(
        sum(response["status"] == "submitted" for response in record.responses.values()) >= 2
        for record in loaded.world.records
    )
    progress = loaded.owner.call("GET", f"/datasets/{loaded.dataset_id}/progress")
    assert progress["total"] == 1000
    assert (progress["completed"], progress["pending"]) == (completed, 1000 - completed)
    assert 0 < completed < 1000


def test_progress_of_a_user(loaded: Loaded) -> None:
    for number, annotator in enumerate(loaded.annotators):
        given = [
            record.responses[annotator.id]["status"]
            for record in loaded.world.records
            if annotator.id in record.responses
        ]
        progress = loaded.apis[f"annotator{number}"].call("GET", f"/me/datasets/{loaded.dataset_id}/metrics")
        expected = {status: given.count(status) for status in ("submitted", "draft", "discarded")}
        assert progress["responses"] == {"total": 1000, "pending": 1000 - len(given), **expected}


def _metrics(loaded: Loaded, name: str) -> Any:
    properties = loaded.owner.call("GET", f"/me/datasets/{loaded.dataset_id}/metadata-properties")["items"]
    [property_id] = [one["id"] for one in properties if one["name"] == name]
    return loaded.owner.call("GET", f"/metadata-properties/{property_id}/metrics")


def _body(case: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    query: dict[str, Any] = {}
    if "text" in case:
        query["text"] = case["text"]
    if "similar" in case:
        similar = dict(case["similar"])
        if "record" in similar:
            similar["record_id"] = similar.pop("record")
        query["vector"] = {"name": "meaning", **similar}
    if query:
        body["query"] = query
    if "filters" in case:
        body["filters"] = {"and": case["filters"]}
    if "sort" in case:
        body["sort"] = case["sort"]
    return body


def _filled_in(value: Any, world: World) -> Any:
    """Replace ``$property:number`` by that property of that record."""
    if isinstance(value, dict):
        return {key: _filled_in(one, world) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled_in(one, world) for one in value]
    if not isinstance(value, str) or not value.startswith("$"):
        return value
    name, _, number = value.removeprefix("$").partition(":")
    if name == "with_vector":
        return [record for record in world.records if record.vector][int(number)].id
    return getattr(world.records[int(number)], name)


def _expected(world: World, case: dict[str, Any], user: str | None) -> list[Record]:
    records = world.records
    if "text" in case:
        names = [case["text"]["field"]] if "field" in case["text"] else list(FIELDS)
        records = [record for record in records if matches(record, case["means"], names)]
    for filter in case.get("filters", []):
        records = [record for record in records if passes(record, filter, user)]
    if "similar" in case:
        itself = case["similar"].get("record")
        return [record for record in records if record.vector and record.id != itself]
    return ordered(records, case.get("sort", []), user)


def _check_similar(
    world: World, expected: list[Record], similar: dict[str, Any], ids: list[str], scores: list[float], limit: int
) -> None:
    sign = -1 if similar.get("order") == "least_similar" else 1
    vectors = {record.id: record.vector for record in world.records if record.vector}
    query = vectors[similar["record"]] if "record" in similar else similar["value"]
    oracle = {record.id: (1 + sign * cosine(vectors[record.id], query)) / 2 for record in expected}
    best = sorted(oracle.values(), reverse=True)[:limit]
    assert scores == pytest.approx(best, abs=1e-5)
    assert [oracle[one] for one in ids] == pytest.approx(scores, abs=1e-5)
    assert len(set(ids)) == len(ids)
