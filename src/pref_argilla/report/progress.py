"""Where a project stands, read from the store alone: no network, no heavy package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pref_argilla.config import Config
from pref_argilla.schema import AnnotatorKind, Ranking, ResponseStatus
from pref_argilla.steps.pairing import one_voice, preferences
from pref_argilla.steps.sync import find_dataset, new_tasks
from pref_argilla.store import Store


@dataclass(frozen=True, slots=True)
class AnnotatorProgress:
    """One annotator's answers by state; ``with_ties`` counts submitted rankings that hold a tie."""

    name: str
    kind: str
    submitted: int
    draft: int
    discarded: int
    withdrawn: int
    with_ties: int


@dataclass(frozen=True, slots=True)
class ProjectProgress:
    """``held_back`` counts prompts without a task by reason; ``tasks``, ``sent``, ``ready_to_send`` and
    ``refused_by_argilla`` are of the dataset and the number of answers that are configured now.

    ``complete_tasks have at least ``min_submitted`` submitted rankings. ``pairs`` is what an export would write now.
    Costs are in US dollars.
    """

    name: str
    prompts: int
    duplicate_prompts: int
    completions: dict[str, int]
    duplicate_completions: int
    requests: int
    outcomes: dict[str, int]
    prompt_tokens: int
    completion_tokens: int
    cost: str
    unpriced_requests: int
    tasks: int
    sent: int
    refused_by_argilla: int
    ready_to_send: int
    held_back: dict[str, int]
    held_back_defects: dict[str, int]
    ranked_tasks: int
    complete_tasks: int
    min_submitted: int
    annotators: tuple[AnnotatorProgress, ...]
    rankings: int
    rankings_with_ties: int
    flags: dict[str, int]
    pairs: int
    refused_pairs: dict[str, int]
    last_pull: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def progress(store: Store, config: Config) -> ProjectProgress:
    duplicates = Counter(row.kind for row in store.duplicates())
    totals = store.generation_totals()
    waiting, held = new_tasks(store, config)
    defects: Counter[str] = Counter()
    for item in held:
        defects.update({defect.value: count for defect, count in item.defects})
    datasets = store.datasets()
    dataset = find_dataset(store, config)
    records = [] if dataset is None else list(store.records(dataset.id).values())
    tasks = sum(len(task.completion_ids) == config.generate.answers for task in store.tasks())
    rankings = one_voice(store.rankings())
    submitted = [r for r in rankings if r.status is ResponseStatus.SUBMITTED]
    per_task = Counter(r.task_id for r in submitted)
    found = preferences(store, config.export)
    sent = {record.task_id for record in records if not record.refused}
    return ProjectProgress(
        name=config.name,
        prompts=store.count("prompts"),
        duplicate_prompts=duplicates["prompt"],
        completions=store.completions_by_origin(),
        duplicate_completions=duplicates["completion"],
        requests=totals.requests,
        outcomes=dict(totals.outcomes),
        prompt_tokens=totals.prompt_tokens,
        completion_tokens=totals.completion_tokens,
        cost=f"{totals.cost:.6f}",
        unpriced_requests=totals.unpriced,
        tasks=tasks,
        sent=len(sent),
        refused_by_argilla=sum(bool(record.refused) for record in records),
        ready_to_send=len(waiting) + tasks - len(sent),
        held_back=dict(sorted(Counter(item.reason.value for item in held).items())),
        held_back_defects=dict(sorted(defects.items())),
        ranked_tasks=len(per_task),
        complete_tasks=sum(count >= config.argilla.min_submitted for count in per_task.values()),
        min_submitted=config.argilla.min_submitted,
        annotators=_annotators(store, rankings),
        rankings=len(submitted),
        rankings_with_ties=sum(len(set(r.ranks)) < len(r.ranks) for r in submitted),
        flags=dict(sorted(Counter(flag for r in submitted for flag in r.flags).items())),
        pairs=len(found.pairs.pairs),
        refused_pairs=dict(sorted(Counter(refused.reason.value for refused in found.refused).items())),
        last_pull=max((dataset.scanned_at for dataset in datasets), default=""),
    )


def _annotators(store: Store, rankings: Sequence[Ranking]) -> tuple[AnnotatorProgress, ...]:
    # Read after the rankings: a pull in between may add annotators, it never takes one away.
    known = store.annotators()
    states: dict[str, Counter[ResponseStatus]] = {id_: Counter() for id_ in known}
    ties: Counter[str] = Counter()
    for ranking in rankings:
        states[ranking.annotator_id][ranking.status] += 1
        if ranking.status is ResponseStatus.SUBMITTED and len(set(ranking.ranks)) < len(ranking.ranks):
            ties[ranking.annotator_id] += 1
    return tuple(
        AnnotatorProgress(
            name=known[id_].name if known[id_].kind is AnnotatorKind.PERSON else f"{known[id_].name} (judge)",
            kind=known[id_].kind.value,
            submitted=counts[ResponseStatus.SUBMITTED],
            draft=counts[ResponseStatus.DRAFT],
            discarded=counts[ResponseStatus.DISCARDED],
            withdrawn=counts[ResponseStatus.WITHDRAWN],
            with_ties=ties[id_],
        )
        for id_, counts in sorted(states.items(), key=lambda entry: known[entry[0]].name)
    )
