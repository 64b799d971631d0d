from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pref_argilla.labeling.records import (
    RecordBody,
    Unfit,
    Unreadable,
    external_id,
    option,
    ranking_of,
    record_body,
)
from pref_argilla.schema import Completion, Message, Prompt, Ranking, ResponseStatus, Role, Task
from pref_argilla.tasks import MAX_CHARACTERS

PROMPT = Prompt.of([Message(Role.SYSTEM, "Be kind."), Message(Role.USER, "Merhaba?")])
ORIGINS = ("gpt-secret", "llama-secret", "human")


def body(texts: list[str], *, chat: bool = True, secret: str = "s", prompt: Prompt = PROMPT) -> RecordBody | Unfit:
    completions = [Completion.of(prompt.id, origin, text) for origin, text in zip(ORIGINS, texts, strict=False)]
    ids = tuple(c.id for c in completions)
    return record_body(Task(Task.id_of(prompt.id, ids), prompt.id, ids), prompt, completions, secret=secret, chat=chat)


def test_no_origin_and_no_content_id_enters_a_record() -> None:
    made = body(["one", "two", "three"])
    assert isinstance(made, RecordBody)
    sent = json.dumps(made.json)
    assert "secret" not in sent and "human" not in sent
    assert made.task_id not in sent and PROMPT.id not in sent
    assert set(made.json) == {"external_id", "fields"}
    assert list(made.json["fields"]) == ["prompt", "answer_a", "answer_b", "answer_c"]


def test_external_ids_are_stable_and_keyed() -> None:
    assert external_id("s", "t1") == external_id("s", "t1")
    assert len({external_id("s", "t1"), external_id("s", "t2"), external_id("other", "t1")}) == 3


def test_prompt_as_chat_or_text() -> None:
    chat = body(["one", "two", "three"])
    text = body(["one", "two", "three"], chat=False)
    assert isinstance(chat, RecordBody) and isinstance(text, RecordBody)
    assert [m["role"] for m in chat.json["fields"]["prompt"]] == ["system", "user"]
    assert "Be kind" in text.json["fields"]["prompt"] and "Merhaba" in text.json["fields"]["prompt"]


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["one", "two", " \n"], "is empty"),
        (["one", "two", "a\x00b"], "NUL"),
        (["one", "two", "x" * (MAX_CHARACTERS + 1)], "400001 characters"),
    ],
)
def test_what_argilla_would_swallow_is_refused_here(texts: list[str], reason: str) -> None:
    made = body(texts)
    assert isinstance(made, Unfit) and reason in made.reason


def test_a_record_has_exactly_k_completions() -> None:
    completions = [Completion.of(PROMPT.id, "o", "one")]
    task = Task("t", PROMPT.id, (completions[0].id, "c-missing"))
    made = record_body(task, PROMPT, completions, secret="s", chat=True)
    assert isinstance(made, Unfit) and "1 of 2" in made.reason


def response(status: str, items: list[dict[str, Any]] | None, **values: Any) -> dict[str, Any]:
    ranking = {} if items is None else {"ranking": {"value": items}}
    return {
        "id": "resp",
        "user_id": "u1",
        "status": status,
        "updated_at": "2026-01-01T00:00:00",
        "values": {**ranking, **{name: {"value": value} for name, value in values.items()}},
    }


@given(st.lists(st.integers(1, 5), min_size=2, max_size=5))
def test_ranks_come_back_dense_with_their_ties(ranks: list[int]) -> None:
    items = [{"value": option(slot), "rank": rank} for slot, rank in enumerate(ranks)]
    ranking = ranking_of(response("submitted", items), "t", len(ranks))
    assert isinstance(ranking, Ranking)
    found = [r for r in ranking.ranks if r is not None]
    assert len(found) == len(ranks)
    assert set(found) == set(range(1, len(set(ranks)) + 1))
    for i in range(len(ranks)):
        for j in range(len(ranks)):
            assert (found[i] < found[j]) == (ranks[i] < ranks[j])


def test_the_order_of_the_items_means_nothing() -> None:
    items = [{"value": "c", "rank": 1}, {"value": "a", "rank": 3}, {"value": "b", "rank": 3}]
    ranking = ranking_of(response("submitted", items), "t", 3)
    assert isinstance(ranking, Ranking) and ranking.ranks == (2, 2, 1)


def test_drafts_and_discards_keep_their_state() -> None:
    draft = ranking_of(response("draft", [{"value": "b", "rank": 2}]), "t", 3)
    assert isinstance(draft, Ranking)
    assert (draft.status, draft.ranks) == (ResponseStatus.DRAFT, (None, 1, None))
    empties: list[dict[str, Any] | None] = [{}, None]
    for values in empties:
        discarded = ranking_of({**response("discarded", None), "values": values}, "t", 3)
        assert isinstance(discarded, Ranking)
        assert (discarded.status, discarded.ranks) == (ResponseStatus.DISCARDED, (None, None, None))


def test_flags_and_comment() -> None:
    items = [{"value": option(slot), "rank": 1} for slot in range(3)]
    ranking = ranking_of(response("submitted", items, flags=["unsafe", "cut_off"], comment="çok kötü"), "t", 3)
    assert isinstance(ranking, Ranking)
    assert (ranking.flags, ranking.comment) == (("unsafe", "cut_off"), "çok kötü")


@pytest.mark.parametrize(
    "items",
    [
        None,
        [],
        [{"value": "a", "rank": 1}, {"value": "b", "rank": 2}],
        [{"value": "a"}, {"value": "b"}, {"value": "c"}],
        [{"value": "a", "rank": "1"}, {"value": "b", "rank": 2}, {"value": "c", "rank": 3}],
        [{"rank": 1}],
        "abc",
    ],
)
def test_a_submitted_response_without_every_rank_is_never_guessed(items: Any) -> None:
    assert isinstance(ranking_of(response("submitted", items), "t", 3), Unreadable)
