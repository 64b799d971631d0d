"""From a prompt and its completions to a task: K usable completions in a blinded, recorded order, or held back with a reason."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pref_argilla.schema import Completion, FinishReason, Prompt, Task
from pref_argilla.text import is_empty, unstorable

# Argilla accepts 5 MB without complaint and its page then hangs; nobody reads a longer answer than this.
MAX_CHARACTERS = 400_000
# The server refuses a chat of more messages.
MAX_MESSAGES = 500


class Defect(StrEnum):
    """Why a completion is not shown to people."""

    EMPTY = "empty"
    CUT_OFF = "cut off"
    FILTERED = "stopped by a content filter"
    REFUSAL = "refusal"
    UNFIT = "too long or not storable"
    DUPLICATE = "duplicate"


class HeldReason(StrEnum):
    """Why a prompt has no task."""

    DUPLICATE_PROMPT = "duplicate prompt"
    NO_COMPLETIONS = "no completions yet"
    TOO_FEW = "too few usable completions"
    UNFIT = "prompt too long or not storable"


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A prompt without a task; ``defects`` counts what is wrong with its completions, ``detail`` says more for a person."""

    prompt_id: str
    reason: HeldReason
    usable: int = 0
    defects: tuple[tuple[Defect, int], ...] = ()
    detail: str = ""


def fits(text: str) -> bool:
    """Whether a text can be stored by Argilla and shown by its page."""
    return len(text) <= MAX_CHARACTERS and unstorable(text) is None


def defect_of(completion: Completion, duplicates: Collection[str], refusals: bool = False) -> Defect | None:
    """None for a usable completion; ``refusals`` True lets refusals count as usable."""
    if is_empty(completion.text):
        return Defect.EMPTY
    if completion.finish_reason is FinishReason.LENGTH:
        return Defect.CUT_OFF
    if completion.finish_reason is FinishReason.CONTENT_FILTER:
        return Defect.FILTERED
    if completion.refusal and not refusals:
        return Defect.REFUSAL
    if not fits(completion.text):
        return Defect.UNFIT
    if completion.id in duplicates:
        return Defect.DUPLICATE
    return None


def build_task(
    prompt: Prompt,
    completions: Sequence[Completion],
    *,
    slots: int,
    duplicates: Collection[str],
    seed: str,
    refusals: bool = False,
) -> Task | HeldBack:
    """A task of exactly ``slots`` completions, never padded.

    With more usable completions than slots, every origin gets a slot before any gets a second one, in the order they were
    added. ``duplicates`` holds ids of prompts and completions. The order shown is drawn from ``seed`` and the task's id.
    """
    if prompt.id in duplicates:
        return HeldBack(prompt.id, HeldReason.DUPLICATE_PROMPT)
    if len(prompt.messages) > MAX_MESSAGES or not all(fits(message.content) for message in prompt.messages):
        return HeldBack(prompt.id, HeldReason.UNFIT)
    if not completions:
        return HeldBack(prompt.id, HeldReason.NO_COMPLETIONS)
    usable: list[Completion] = []
    defects: dict[Defect, int] = {}
    for completion in completions:
        defect = defect_of(completion, duplicates, refusals)
        if defect is None:
            usable.append(completion)
        else:
            defects[defect] = defects.get(defect, 0) + 1
    if len(usable) < slots:
        return HeldBack(prompt.id, HeldReason.TOO_FEW, len(usable), tuple(sorted(defects.items())))
    chosen = [completion.id for completion in _spread(usable)[:slots]]
    task_id = Task.id_of(prompt.id, chosen)
    return Task(task_id, prompt.id, shuffled(sorted(chosen), seed, task_id))


def shuffled(completion_ids: Sequence[str], seed: str, task_id: str) -> tuple[str, ...]:
    """The order of slots A, B, C…: the same for the same seed and task on every machine."""
    digest = hashlib.sha256(f"{seed}\x00{task_id}".encode()).digest()
    order = list(completion_ids)
    random.Random(digest).shuffle(order)
    return tuple(order)


def _spread(completions: Sequence[Completion]) -> list[Completion]:
    seen: dict[str, int] = {}
    keyed = []
    for position, completion in enumerate(completions):
        turn = seen.get(completion.origin, 0)
        seen[completion.origin] = turn + 1
        keyed.append((turn, position, completion))
    return [completion for _, _, completion in sorted(keyed, key=lambda entry: entry[:2])]
