"""The project's nouns, as frozen values with ids made from their content.

An id is a letter and 20 hexadecimal digits (80 bits of SHA-256 over canonical JSON): the same input twice gives the same
id on every machine, so adding it again changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

HUMAN_ORIGIN = "human"
SLOTS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MAX_SLOTS = len(SLOTS)


def content_id(letter: str, *parts: Any) -> str:
    """``letter`` and 20 hexadecimal digits of the SHA-256 of ``parts`` as canonical JSON."""
    canonical = json.dumps(parts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return letter + hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:20]


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class FinishReason(StrEnum):
    """Why a model stopped. ``UNKNOWN`` is what imported completions have."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    UNKNOWN = "unknown"


class ResponseStatus(StrEnum):
    """Argilla's states of an answer, and ``WITHDRAWN`` for one that was there and is gone."""

    SUBMITTED = "submitted"
    DRAFT = "draft"
    DISCARDED = "discarded"
    WITHDRAWN = "withdrawn"


class AnnotatorKind(StrEnum):
    PERSON = "person"
    JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation to continue: optional system message, then turns that end with the user."""

    id: str
    messages: tuple[Message, ...]
    source: str = ""

    @staticmethod
    def of(messages: Sequence[Message], source: str = "") -> Prompt:
        return Prompt(content_id("p", [[m.role, m.content] for m in messages]), tuple(messages), source)

    @property
    def text(self) -> str:
        """The whole conversation as plain text; what is compared when prompts are deduplicated."""
        if len(self.messages) == 1:
            return self.messages[0].content
        return "\n\n".join(f"{message.role}: {message.content}" for message in self.messages)


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer to a prompt. ``sample`` numbers a model's answers to one prompt from 0; imported ones have 0.

    ``refusal`` is True where the endpoint said so or the text reads like one (``text.is_refusal``).
    """

    id: str
    prompt_id: str
    origin: str
    text: str
    finish_reason: FinishReason = FinishReason.UNKNOWN
    refusal: bool = False
    sample: int = 0
    source: str = ""

    @staticmethod
    def of(
        prompt_id: str,
        origin: str,
        text: str,
        *,
        finish_reason: FinishReason = FinishReason.UNKNOWN,
        refusal: bool = False,
        sample: int = 0,
        source: str = "",
    ) -> Completion:
        return Completion(
            content_id("c", prompt_id, origin, sample, text),
            prompt_id,
            origin,
            text,
            finish_reason,
            refusal,
            sample,
            source,
        )


@dataclass(frozen=True, slots=True)
class Task:
    """A prompt with K completions in slots A, B, C…; ``completion_ids`` is in slot order (the blinded order shown)."""

    id: str
    prompt_id: str
    completion_ids: tuple[str, ...]

    @staticmethod
    def id_of(prompt_id: str, completion_ids: Sequence[str]) -> str:
        """Independent of slot order: the same completions of the same prompt are the same task."""
        return content_id("t", prompt_id, sorted(completion_ids))


@dataclass(frozen=True, slots=True)
class Annotator:
    """Who ranked. ``id`` is Argilla's user id or the judge's name; ``name`` is shown in ``status`` and never exported."""

    id: str
    name: str
    kind: AnnotatorKind = AnnotatorKind.PERSON


@dataclass(frozen=True, slots=True)
class Ranking:
    """One annotator's weak order of a task, in slot order: dense ranks 1..m, 1 best, equal numbers are ties.

    ``ranks`` holds None for an option that a draft left unplaced; a submitted ranking has no None. A discarded one may be
    all None. ``response_id`` and ``updated_at`` (ISO 8601, UTC) are the labeling tool's.
    """

    task_id: str
    annotator_id: str
    status: ResponseStatus
    ranks: tuple[int | None, ...]
    response_id: str = ""
    updated_at: str = ""
    flags: tuple[str, ...] = ()
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """A preference: ``chosen`` over ``rejected`` for one prompt, with how it came about.

    ``rank_gap`` is the difference of consensus ranks; ``margin`` is (votes_for - votes_against) / annotators, from -1 to 1;
    ``agreement`` the share of annotators for whom chosen is above rejected; ``soft_label`` is
    (for + tie/2 + 1/2) / (n + 1); ``weight`` is 1 / pairs of the prompt; ``length_difference`` is in characters, chosen
    minus rejected; ``evaluated_by`` is "people", "judges" or "both": whose votes count. With reliability weights the
    margin is of weights, the other figures stay head counts. ``judge_label`` is what most judges say of chosen against
    rejected, 1, 0 or -1, None without a judge or a majority of judges; ``source`` is how the pair came about.
    """

    prompt_id: str
    task_id: str
    chosen_id: str
    rejected_id: str
    chosen_origin: str
    rejected_origin: str
    strategy: str
    rank_gap: int
    margin: float
    annotators: int
    votes_for: int
    votes_against: int
    votes_tie: int
    agreement: float
    soft_label: float
    weight: float
    length_difference: int
    evaluated_by: str
    judge_label: int | None = None
    source: str = "ranking"


@dataclass(frozen=True, slots=True)
class Feedback:
    """A thumb (True is up) or a score in 0..1 on one completion, from an application's user."""

    completion_id: str
    user: str
    thumb: bool | None = None
    score: float | None = None
    comment: str = ""
    time: str = ""
