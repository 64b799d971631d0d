"""Have the models answer the prompts that lack answers: plan from the store, ask, save each answer as it arrives."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from pref_argilla.config import Config
from pref_argilla.errors import ConfigError
from pref_argilla.generate import (
    Budget,
    ExistingAnswer,
    Generated,
    GenerateReport,
    GenerationRequest,
    Outcome,
    Plan,
    Progress,
    generate,
    plan,
)
from pref_argilla.models import ModelSpec
from pref_argilla.store import GenerationKey, GenerationRow, Store
from pref_argilla.tasks import defect_of
from pref_argilla.text import is_refusal

# The store's key for what may have been billed without an answer.
LOST_COST = "lost_cost_usd"


def plan_answers(store: Store, config: Config, models: Sequence[ModelSpec]) -> Plan:
    """What has to be asked so that every prompt that is no duplicate has K usable completions."""
    if not models:
        raise ConfigError(
            "No model is configured.",
            next_step="Add a [[models]] table to pref-argilla.toml, or run 'pref-argilla completions add FILE'.",
        )
    duplicates = {row.id for row in store.duplicates()}
    slots = config.generate.answers
    settled = {task.prompt_id for task in store.tasks() if len(task.completion_ids) == slots}
    asked: dict[str, list[GenerationKey]] = {}
    for generation in store.generations():
        asked.setdefault(generation.prompt_id, []).append(generation)
    prompts = []
    existing: list[ExistingAnswer] = []
    for prompt, completions in store.prompts_with_completions():
        # What was shown to people stays as it is: a new answer could not join them.
        if prompt.id in duplicates or prompt.id in settled:
            continue
        prompts.append(prompt)
        usable = {c.id for c in completions if defect_of(c, duplicates, config.export.pairs.include_refusals) is None}
        imported = {c.id for c in completions}
        for generation in asked.get(prompt.id, []):
            # Every request stands for itself, also where two gave the same text and so share one completion.
            existing.append(
                ExistingAnswer(
                    prompt.id,
                    generation.fingerprint,
                    generation.sample,
                    usable=generation.completion_id in usable & imported,
                    rejected=generation.outcome == Outcome.REJECTED,
                )
            )
            imported.discard(generation.completion_id or "")
        existing += [ExistingAnswer(prompt.id, "", 0, usable=id_ in usable) for id_ in sorted(imported)]
    return plan(prompts, models, config.generate.answers, existing, max_attempts=config.generate.max_attempts)


def budget_of(store: Store, config: Config) -> Budget | None:
    """The project's hard limit, less what earlier runs spent or may have been billed for answers that were lost."""
    limit = config.generate.max_cost_usd
    return None if limit is None else Budget(limit, store.generation_totals().cost + lost_cost(store))


def lost_cost(store: Store) -> Decimal:
    """US dollars at most for attempts whose answers never arrived, over all runs but those that were killed."""
    return Decimal(store.project_value(LOST_COST) or 0)


def answer(
    store: Store,
    requests: Sequence[GenerationRequest],
    keys: Mapping[str, str],
    *,
    budget: Budget | None = None,
    seed: int = 0,
    on_progress: Callable[[Progress], None] | None = None,
) -> GenerateReport:
    """Ask and save. ``keys`` maps the name of an environment variable to the key that it holds."""
    return generate(
        requests,
        keys,
        lambda batch: store.add_generations([_row(generated) for generated in batch]),
        is_refusal=is_refusal,
        rng=random.Random(seed),
        budget=budget,
        on_progress=on_progress,
        on_lost=lambda lost: store.set_project_value(LOST_COST, str(lost_cost(store) + lost)),
    )


def _row(generated: Generated) -> GenerationRow:
    return GenerationRow(
        key=generated.key,
        prompt_id=generated.prompt_id,
        model=generated.model,
        fingerprint=generated.fingerprint,
        sample=generated.sample,
        outcome=generated.outcome.value,
        reason=generated.error,
        completion=None if generated.outcome is Outcome.REJECTED else generated.completion(),
        prompt_tokens=generated.prompt_tokens,
        completion_tokens=generated.completion_tokens,
        estimated=generated.tokens_estimated,
        cost=generated.cost,
    )
