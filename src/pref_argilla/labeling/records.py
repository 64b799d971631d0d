"""A task as an Argilla record, and an Argilla response as a ranking: pure functions on plain data.

No origin, no model name and no id made from one enters a record: ``external_id`` is keyed with the project's secret, so
that nobody who reads records can test a guess about who wrote what.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pref_argilla.consensus import dense_ranks
from pref_argilla.labeling.markdown import to_markdown
from pref_argilla.schema import Completion, Prompt, Ranking, ResponseStatus, Role, Task
from pref_argilla.tasks import MAX_CHARACTERS, MAX_MESSAGES
from pref_argilla.text import unstorable

PROMPT_FIELD = "prompt"
RANKING_QUESTION = "ranking"
FLAGS_QUESTION = "flags"
COMMENT_QUESTION = "comment"


def option(slot: int) -> str:
    """The ranking question's value for a slot, also the suffix of its field: "a", "b", …"""
    return chr(ord("a") + slot)


def completion_field(slot: int) -> str:
    return f"answer_{option(slot)}"


def external_id(secret: str, task_id: str) -> str:
    return "r" + hmac.new(secret.encode(), task_id.encode(), hashlib.sha256).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class RecordBody:
    """``json`` is one item of a bulk request, ``hash`` of it tells whether a pushed record is still the same."""

    task_id: str
    external_id: str
    json: Mapping[str, Any]
    hash: str
    characters: int


@dataclass(frozen=True, slots=True)
class Unfit:
    """A task that must not be sent, and why."""

    task_id: str
    reason: str


def record_body(
    task: Task, prompt: Prompt, completions: Sequence[Completion], *, secret: str, chat: bool
) -> RecordBody | Unfit:
    """``completions`` are the task's, in slot order."""
    if len(completions) != len(task.completion_ids):
        return Unfit(task.id, f"has {len(completions)} of {len(task.completion_ids)} completions")
    for name, text in [("prompt", prompt.text), *((f"completion {c.id}", c.text) for c in completions)]:
        if (bad := unstorable(text)) is not None:
            return Unfit(task.id, f"{name} holds {bad}")
        if len(text) > MAX_CHARACTERS:
            return Unfit(task.id, f"{name} has {len(text)} characters; the limit is {MAX_CHARACTERS}")
        if not text.strip():
            return Unfit(task.id, f"{name} is empty")
    if len(prompt.messages) > MAX_MESSAGES:
        return Unfit(task.id, f"the prompt has {len(prompt.messages)} messages; the limit is {MAX_MESSAGES}")
    fields: dict[str, Any] = {PROMPT_FIELD: _prompt_value(prompt, chat)}
    for slot, completion in enumerate(completions):
        fields[completion_field(slot)] = to_markdown(completion.text)
    identifier = external_id(secret, task.id)
    body = {"external_id": identifier, "fields": fields}
    canonical = json.dumps(body, ensure_ascii=False, sort_keys=True)
    return RecordBody(task.id, identifier, body, hashlib.sha256(canonical.encode()).hexdigest()[:20], len(canonical))


def _prompt_value(prompt: Prompt, chat: bool) -> Any:
    if chat:
        return [{"role": m.role.value, "content": to_markdown(m.content)} for m in prompt.messages]
    if len(prompt.messages) == 1 and prompt.messages[0].role is Role.USER:
        return to_markdown(prompt.messages[0].content)
    return "\n\n".join(f"**{m.role.value}**\n\n{to_markdown(m.content)}" for m in prompt.messages)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A response that says less than its status claims, and why; counted, never guessed at."""

    response_id: str
    reason: str


def ranking_of(response: Mapping[str, Any], task_id: str, slots: int) -> Ranking | Unreadable:
    """A response of ``GET …/records?include=responses`` as a ranking with dense ranks.

    Argilla lists the options in definition order, each with its rank; equal ranks are ties, gaps are allowed, a draft may
    lack options. A submitted response without a rank for every option is Unreadable (only a program can post one).
    """
    response_id = str(response["id"])
    try:
        status = ResponseStatus(response["status"])
        values = response.get("values") or {}
        items = (values.get(RANKING_QUESTION) or {}).get("value") or []
        given = {str(item["value"]): item.get("rank") for item in items}
        raw = [given.get(option(slot)) for slot in range(slots)]
        flags = tuple(str(f) for f in (values.get(FLAGS_QUESTION) or {}).get("value") or ())
        comment = str((values.get(COMMENT_QUESTION) or {}).get("value") or "")
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        return Unreadable(response_id, f"not of the expected form ({exc!r})")
    if status is ResponseStatus.SUBMITTED and any(rank is None for rank in raw):
        return Unreadable(response_id, "submitted without a rank for every answer")
    if any(rank is not None and type(rank) is not int for rank in raw):
        return Unreadable(response_id, "a rank is not a whole number")
    return Ranking(
        task_id=task_id,
        annotator_id=str(response["user_id"]),
        status=status,
        ranks=dense_ranks(raw),
        response_id=response_id,
        updated_at=str(response["updated_at"]),
        flags=flags,
        comment=comment,
    )
