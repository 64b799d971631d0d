"""From the store's rankings to preference pairs, and from pairs to files that a trainer reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pref_argilla.agreement import Statistic, bootstrap, krippendorff_alpha, leave_one_out, pair_labels
from pref_argilla.config import Config, ExportConfig
from pref_argilla.dedupe import Duplicate, Method, duplicate_groups
from pref_argilla.errors import ExportError
from pref_argilla.exports import (
    AgreementFigure,
    ExportResult,
    ExportSummary,
    PairRow,
    SourceFigure,
    row_order,
    write_export,
)
from pref_argilla.pairs import PairSet, Refused, make_pairs
from pref_argilla.schema import AnnotatorKind, Completion, Pair, Prompt, Ranking, ResponseStatus, Task
from pref_argilla.splits import split_prompts
from pref_argilla.store import Store

# A bootstrap of this many samples settles the second decimal of an interval and takes a second on 10,000 labels.
BOOTSTRAP_SAMPLES = 500


@dataclass(frozen=True, slots=True)
class Preferences:
    """Everything that rankings say: the pairs, what was refused and why, and the texts behind them."""

    pairs: PairSet
    tasks: tuple[Task, ...]
    rankings: tuple[Ranking, ...]
    prompts: Mapping[str, Prompt]
    completions: Mapping[str, Completion]

    @property
    def refused(self) -> tuple[Refused, ...]:
        return self.pairs.refused


def preferences(store: Store, export: ExportConfig) -> Preferences:
    """Consensus and pairs of every task with a submitted ranking; drafts, discards and withdrawn rankings never count."""
    rankings = tuple(r for r in one_voice(store.rankings()) if r.status is ResponseStatus.SUBMITTED)
    ranked = {ranking.task_id for ranking in rankings}
    tasks = tuple(task for task in store.tasks())
    prompt_ids = sorted({task.prompt_id for task in tasks if task.id in ranked})
    prompts = {p.id: p for p in (store.prompt(prompt_id) for prompt_id in prompt_ids) if p is not None}
    completions: dict[str, Completion] = {}
    for start in range(0, len(prompt_ids), 500):
        for found in store.completions_of(prompt_ids[start : start + 500]).values():
            completions.update((completion.id, completion) for completion in found)
    pairs = make_pairs(
        tasks,
        completions,
        rankings,
        export.pairs,
        duplicates={row.id: row.duplicate_of for row in store.duplicates("completion")},
        annotators={id_: annotator.kind for id_, annotator in store.annotators().items()},
    )
    return Preferences(pairs, tasks, rankings, prompts, completions)


def one_voice(rankings: Iterable[Ranking]) -> list[Ranking]:
    """One entry for each task and annotator, also where a task was shown in two datasets.

    The newest submitted one; where none is submitted, the newest.
    """
    voices: dict[tuple[str, str], Ranking] = {}
    for ranking in rankings:
        key = (ranking.task_id, ranking.annotator_id)
        if key not in voices or _weight(ranking) > _weight(voices[key]):
            voices[key] = ranking
    return list(voices.values())


def _weight(ranking: Ranking) -> tuple[bool, bool, str]:
    return (
        ranking.status is ResponseStatus.SUBMITTED,
        ranking.status is not ResponseStatus.WITHDRAWN,
        ranking.updated_at,
    )


def export_pairs(
    store: Store,
    config: Config,
    out: Path,
    format_name: str,
    *,
    on_row: Callable[[int], None] | None = None,
) -> tuple[ExportResult, Preferences]:
    """Write the pairs to ``out``, which is replaced in one step at the end. Raises ExportError when there is no pair."""
    found = preferences(store, config.export)
    if not found.pairs.pairs:
        raise ExportError(
            "There is no pair to export.",
            cause=_why_none(found),
            next_step="Run 'pref-argilla status' and 'pref-argilla sync pull'.",
        )
    groups = duplicate_groups(
        [prompt.id for prompt in store.prompts()],
        [Duplicate(row.id, row.duplicate_of, row.score, Method(row.method)) for row in store.duplicates("prompt")],
    )
    splits = split_prompts(found.prompts, groups, test_share=config.export.test_share, seed=config.export.seed)
    ordered = sorted(found.pairs.pairs, key=lambda pair: row_order(config.export.seed, pair))

    def rows() -> Iterator[PairRow]:
        for pair in ordered:
            yield PairRow(
                pair=pair,
                prompt=found.prompts[pair.prompt_id],
                chosen=found.completions[pair.chosen_id],
                rejected=found.completions[pair.rejected_id],
                split=splits[pair.prompt_id].value,
            )

    options = config.export.pairs
    result = write_export(
        rows(),
        out,
        format_name,
        lambda: _summary(store, config, found),
        options={
            "strategy": options.strategy.value,
            "min_margin": options.min_margin,
            "min_annotators": options.min_annotators,
            "min_agreement": options.min_agreement,
            "max_pairs_per_prompt": options.max_pairs_per_prompt,
            "include_refusals": options.include_refusals,
            "consensus": options.consensus_method.value,
            "test_share": config.export.test_share,
            "seed": config.export.seed,
        },
        on_row=on_row,
    )
    return result, found


def _why_none(found: Preferences) -> str:
    if not found.rankings:
        return "No submitted ranking has been pulled."
    reasons = Counter(refused.reason.value for refused in found.refused)
    listed = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
    return f"{len(found.rankings)} rankings made none ({listed or 'only ties'})."


def agreement_figures(found: Preferences, seed: int) -> tuple[AgreementFigure, ...]:
    """Krippendorff's alpha over pair labels with a bootstrap interval over prompts, and leave-one-out agreement."""
    labels = pair_labels(found.tasks, found.rankings)
    alpha = krippendorff_alpha(labels.labels, "nominal")
    low = high = None
    if alpha.value is not None:
        interval = bootstrap(
            labels.labels,
            labels.prompts,
            lambda table: krippendorff_alpha(table, "nominal"),
            seed=seed,
            samples=BOOTSTRAP_SAMPLES,
        )
        low, high = interval.low, interval.high
    pooled = leave_one_out(labels.labels).pooled
    return (
        AgreementFigure("Krippendorff's alpha over pairs (nominal)", alpha.value, low, high, _note(alpha)),
        AgreementFigure("Agreement with the others' majority", pooled.value, note=_note(pooled)),
    )


def _note(statistic: Statistic) -> str:
    return statistic.reason if statistic.value is None else f"{statistic.n} units"


def _summary(store: Store, config: Config, found: Preferences) -> ExportSummary:
    annotators = store.annotators()
    behind = {ranking.annotator_id for ranking in found.rankings}
    judges = sum(annotators[a].kind is AnnotatorKind.JUDGE for a in behind)
    used_prompts = {pair.prompt_id for pair in found.pairs.pairs}
    used = {c for pair in found.pairs.pairs for c in (pair.chosen_id, pair.rejected_id)}
    sources = Counter(found.prompts[prompt_id].source or "unknown" for prompt_id in used_prompts)
    refused = Counter(refused.reason.value for refused in found.refused)
    return ExportSummary(
        title=config.name,
        prompts=len(used_prompts),
        completions=len(used),
        annotators=len(behind) - judges,
        judges=judges,
        rankings=len(found.rankings),
        strategy=config.export.pairs.strategy.value,
        consensus=config.export.pairs.consensus_method.value,
        evaluated_by=_evaluated_by(found.pairs.pairs),
        agreement=agreement_figures(found, config.export.seed),
        sources=tuple(SourceFigure(name, count) for name, count in sorted(sources.items())),
        origins=tuple(sorted(Counter(found.completions[c].origin for c in used).items())),
        refused=tuple(sorted(refused.items())),
    )


def _evaluated_by(pairs: tuple[Pair, ...]) -> str:
    kinds = {pair.evaluated_by for pair in pairs}
    return kinds.pop() if len(kinds) == 1 else "both"
