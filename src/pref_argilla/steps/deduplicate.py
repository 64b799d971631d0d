"""Mark duplicates among prompts, and among the completions of each prompt. Nothing is deleted; vectors are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pref_argilla.dedupe import (
    DEFAULT_COMPLETION_THRESHOLD,
    DEFAULT_PROMPT_THRESHOLD,
    Duplicate,
    Encoder,
    Item,
    RememberingEncoder,
    dedupe,
    dedupe_within_groups,
)
from pref_argilla.store import DuplicateRow, Store
from pref_argilla.tasks import defect_of


@dataclass(frozen=True, slots=True)
class DedupeReport:
    """``completions`` counts the usable ones, which alone are compared; ``encoded`` the texts new to the encoder."""

    prompts: int
    completions: int
    prompt_duplicates: tuple[Duplicate, ...]
    completion_duplicates: tuple[Duplicate, ...]
    encoded: int


def deduplicate(
    store: Store,
    encoder: Encoder | None,
    *,
    prompt_threshold: float | None = None,
    completion_threshold: float | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> DedupeReport:
    """Exact duplicates after normalisation, then near ones by cosine similarity at or above the threshold.

    Earlier items win. ``encoder`` None marks exact duplicates only. ``on_progress`` gets ("prompts" or "completions",
    texts encoded, of how many).
    """
    prompts = [Item(prompt.id, prompt.text) for prompt in store.prompts()]
    # A good answer must not be called the duplicate of one that was cut off or refused.
    completions = [Item(c.id, c.text, c.prompt_id) for c in store.completions() if defect_of(c, ()) is None]
    before = store.count("embeddings")
    remembering = None if encoder is None else RememberingEncoder(encoder, store.embeddings, store.add_embeddings)
    of_prompts = dedupe(
        prompts,
        remembering,
        DEFAULT_PROMPT_THRESHOLD if prompt_threshold is None else prompt_threshold,
        None if on_progress is None else lambda done, total: on_progress("prompts", done, total),
    )
    of_completions = dedupe_within_groups(
        completions,
        remembering,
        DEFAULT_COMPLETION_THRESHOLD if completion_threshold is None else completion_threshold,
        None if on_progress is None else lambda done, total: on_progress("completions", done, total),
    )
    store.replace_duplicates(
        DuplicateRow(duplicate.id, kind, duplicate.duplicate_of, duplicate.score, duplicate.method.value)
        for kind, found in (("prompt", of_prompts), ("completion", of_completions))
        for duplicate in found
    )
    return DedupeReport(
        len(prompts), len(completions), tuple(of_prompts), tuple(of_completions), store.count("embeddings") - before
    )
