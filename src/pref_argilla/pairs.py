"""From rankings to preference pairs: consensus, strategy, guards. Every pair that is not made says why.

Only submitted rankings count. Completions are named by id throughout, and where several are equally good or bad, all
their pairs are made: neither slots nor the order of annotators matters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from pref_argilla.consensus import ConsensusMethod, Ranks, consensus
from pref_argilla.schema import AnnotatorKind, Completion, FinishReason, Pair, Ranking, ResponseStatus, Task
from pref_argilla.text import is_empty, normalise


class Strategy(StrEnum):
    """Which completions of a task are paired, by consensus rank: the best with the worst, the best with every other, each
    rank with the next, or all."""

    BEST_WORST = "best_worst"
    BEST_REST = "best_rest"
    ADJACENT = "adjacent"
    ALL = "all"


class Voters(StrEnum):
    """Whose rankings make the consensus. ``PEOPLE_FIRST``: people's where a task has any, else judges'."""

    PEOPLE_FIRST = "people_first"
    PEOPLE = "people"
    JUDGES = "judges"
    BOTH = "both"


class Reason(StrEnum):
    """Why a pair that the strategy asks for is not made. The first that holds, in this order, is given."""

    TIE = "tie"
    NOT_TEXT = "not text"
    EMPTY = "empty"
    CUT_OFF = "cut off"
    REFUSAL = "refusal"
    EQUAL_TEXT = "equal text"
    NEAR_DUPLICATE = "near-duplicate"
    TOO_FEW_ANNOTATORS = "too few annotators"
    LOSES_DIRECTLY = "loses the direct comparison"
    LOW_MARGIN = "margin too small"
    LOW_AGREEMENT = "agreement too low"
    REPEATED = "same pair in another task"
    CONTRADICTED = "opposite pair in another task"
    PAIR_CAP = "enough pairs of the prompt"


@dataclass(frozen=True, slots=True)
class PairOptions:
    """``min_margin`` and ``min_agreement`` are compared with ``Pair.margin`` and ``Pair.agreement``: a pair that reaches
    them passes. A chosen completion that loses the direct comparison never passes, whatever ``min_margin`` is."""

    strategy: Strategy = Strategy.BEST_WORST
    min_margin: float = 0.0
    min_annotators: int = 1
    min_agreement: float = 0.0
    max_pairs_per_prompt: int | None = None
    include_refusals: bool = False
    consensus_method: ConsensusMethod = ConsensusMethod.COPELAND
    voters: Voters = Voters.PEOPLE_FIRST


@dataclass(frozen=True, slots=True)
class Refused:
    """A pair that was not made. For a tie, ``chosen_id`` is the smaller id and means nothing."""

    task_id: str
    chosen_id: str
    rejected_id: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class PairSet:
    """``pairs`` in the order of tasks. Of ``tasks``, ``no_ranking`` have no submitted ranking that counts, ``no_pair``
    have one and made no pair."""

    pairs: tuple[Pair, ...]
    refused: tuple[Refused, ...]
    tasks: int
    no_ranking: int
    no_pair: int

    @property
    def counts(self) -> dict[Reason, int]:
        """How many pairs were refused for each reason that occurred."""
        found = Counter(refused.reason for refused in self.refused)
        return {reason: found[reason] for reason in Reason if found[reason]}


_DEFAULT = PairOptions()

# A threshold written as 0.333333333 is reached by one third; and sums of weights round.
_TOLERANCE = 1e-9


def make_pairs(
    tasks: Iterable[Task],
    completions: Mapping[str, Completion],
    rankings: Iterable[Ranking],
    options: PairOptions = _DEFAULT,
    *,
    duplicates: Mapping[str, str] | None = None,
    annotators: Mapping[str, AnnotatorKind] | None = None,
    weights: Mapping[str, float] | None = None,
) -> PairSet:
    """The preference pairs of all tasks that have a submitted ranking.

    ``completions`` holds those of every ranked task, by id. ``duplicates`` says which completion duplicates which (a
    completion id and the kept one's), ``annotators`` who is a judge (a person if absent), ``weights`` how much an
    annotator counts (1 if absent; none negative).

    - An unusable completion (no text, empty, cut off, a refusal unless asked for) makes no pair. Its pairs are refused,
      and the strategy is applied once more to the usable ones, so that a worst answer that is cut off does not cost the
      task its pair.
    - ``margin`` is the weight of annotators for, minus against, by the weight of all who placed both, ties included.
    - The cap keeps the pairs of a prompt with the greatest margin, then the greatest rank gap, then the smallest ids.

    Raises ValueError for a ranking that does not fit its task, two submitted rankings of a task by one annotator, and a
    ranked task whose completion is not given.
    """
    task_list = list(tasks)
    by_task = _submitted(task_list, rankings)
    judges = {id_ for id_, kind in (annotators or {}).items() if kind is AnnotatorKind.JUDGE}
    made: list[Pair] = []
    refused: list[Refused] = []
    ranked = []
    for task in task_list:
        all_rankings = by_task.get(task.id, [])
        voting = _voting(all_rankings, judges, options.voters)
        if not voting:
            continue
        ranked.append(task.id)
        ballot = _Ballot.of(task, voting, [r for r in all_rankings if r.annotator_id in judges], judges, weights or {})
        for pair, reason in _task_pairs(task, ballot, completions, options, duplicates or {}):
            if reason is None:
                made.append(pair)
            else:
                refused.append(Refused(task.id, pair.chosen_id, pair.rejected_id, reason))
    kept, more = _across_tasks(made, options.max_pairs_per_prompt)
    refused += more
    with_pair = {pair.task_id for pair in kept}
    return PairSet(
        pairs=tuple(kept),
        refused=tuple(refused),
        tasks=len(task_list),
        no_ranking=len(task_list) - len(ranked),
        no_pair=sum(task_id not in with_pair for task_id in ranked),
    )


def _submitted(tasks: Sequence[Task], rankings: Iterable[Ranking]) -> dict[str, list[Ranking]]:
    sizes = {task.id: len(task.completion_ids) for task in tasks}
    found: dict[str, dict[str, Ranking]] = {}
    for ranking in rankings:
        if ranking.status is not ResponseStatus.SUBMITTED or ranking.task_id not in sizes:
            continue
        if len(ranking.ranks) != sizes[ranking.task_id]:
            raise ValueError(
                f"A ranking of task {ranking.task_id} has {len(ranking.ranks)} ranks, not {sizes[ranking.task_id]}."
            )
        of_task = found.setdefault(ranking.task_id, {})
        if ranking.annotator_id in of_task:
            raise ValueError(f"Annotator {ranking.annotator_id} has two submitted rankings of task {ranking.task_id}.")
        of_task[ranking.annotator_id] = ranking
    return {task_id: [of_task[a] for a in sorted(of_task)] for task_id, of_task in found.items()}


def _voting(rankings: Sequence[Ranking], judges: set[str], voters: Voters) -> list[Ranking]:
    people = [ranking for ranking in rankings if ranking.annotator_id not in judges]
    automatic = [ranking for ranking in rankings if ranking.annotator_id in judges]
    match voters:
        case Voters.PEOPLE_FIRST:
            return people or automatic
        case Voters.PEOPLE:
            return people
        case Voters.JUDGES:
            return automatic
        case Voters.BOTH:
            return [*people, *automatic]


@dataclass(frozen=True, slots=True)
class _Ballot:
    """One task's votes by slot. ``ranks`` is (annotators, K)."""

    ranks: tuple[Ranks, ...]
    weights: tuple[float, ...]
    judge_ranks: tuple[Ranks, ...]
    evaluated_by: str

    @staticmethod
    def of(
        task: Task,
        voting: Sequence[Ranking],
        of_judges: Sequence[Ranking],
        judges: set[str],
        weights: Mapping[str, float],
    ) -> _Ballot:
        by_judge = sum(ranking.annotator_id in judges for ranking in voting)
        return _Ballot(
            ranks=tuple(ranking.ranks for ranking in voting),
            weights=tuple(weights.get(ranking.annotator_id, 1.0) for ranking in voting),
            judge_ranks=tuple(ranking.ranks for ranking in of_judges),
            evaluated_by="people" if not by_judge else "judges" if by_judge == len(voting) else "both",
        )


def _task_pairs(
    task: Task,
    ballot: _Ballot,
    completions: Mapping[str, Completion],
    options: PairOptions,
    duplicates: Mapping[str, str],
) -> Iterator[tuple[Pair, Reason | None]]:
    missing = [id_ for id_ in task.completion_ids if id_ not in completions]
    if missing:
        raise ValueError(f"Completion {missing[0]} of task {task.id} is not given.")
    shown = [completions[id_] for id_ in task.completion_ids]
    ranks = consensus(ballot.ranks, options.consensus_method, ballot.weights)
    unusable = [_unusable(completion, options.include_refusals) for completion in shown]
    everything = range(len(shown))
    wanted = set(_combinations(everything, ranks, options.strategy))
    if any(unusable):
        usable = [slot for slot in everything if unusable[slot] is None]
        wanted |= set(_combinations(usable, ranks, options.strategy))

    def by_rank_then_id(slot: int) -> tuple[int, str]:
        return ranks[slot], task.completion_ids[slot]

    ordered = (tuple(sorted(both, key=by_rank_then_id)) for both in wanted)
    for better, worse in sorted(ordered, key=lambda both: [by_rank_then_id(slot) for slot in both]):
        pair = _pair(task, ballot, shown, ranks, better, worse, options)
        if ranks[better] == ranks[worse]:
            yield pair, Reason.TIE
        else:
            yield pair, unusable[better] or unusable[worse] or _objection(pair, completions, options, duplicates)


def _combinations(slots: Iterable[int], ranks: Sequence[int], strategy: Strategy) -> Iterator[frozenset[int]]:
    """The unordered pairs of ``slots`` that the strategy asks for, tied ones included: they are counted as ties."""
    among = list(slots)
    levels = sorted({ranks[slot] for slot in among})
    place = {rank: index for index, rank in enumerate(levels)}
    for index, first in enumerate(among):
        for second in among[index + 1 :]:
            high, low = sorted((place[ranks[first]], place[ranks[second]]))
            asked = {
                Strategy.BEST_WORST: high == 0 and low == len(levels) - 1,
                Strategy.BEST_REST: high == 0,
                Strategy.ADJACENT: low - high <= 1,
                Strategy.ALL: True,
            }[strategy]
            if asked:
                yield frozenset((first, second))


def _unusable(completion: Completion, include_refusals: bool) -> Reason | None:
    # Stored data is what it is: an imported text may be of another type in spite of the annotation.
    text: object = completion.text
    if not isinstance(text, str):
        return Reason.NOT_TEXT
    if is_empty(text):
        return Reason.EMPTY
    if completion.finish_reason in {FinishReason.LENGTH, FinishReason.CONTENT_FILTER}:
        return Reason.CUT_OFF
    if completion.refusal and not include_refusals:
        return Reason.REFUSAL
    return None


def _pair(
    task: Task,
    ballot: _Ballot,
    shown: Sequence[Completion],
    ranks: Sequence[int],
    better: int,
    worse: int,
    options: PairOptions,
) -> Pair:
    votes = Counter[int]()
    weighted = Counter[int]()
    for row, weight in zip(ballot.ranks, ballot.weights, strict=True):
        label = _label(row, better, worse)
        if label is not None:
            votes[label] += 1
            weighted[label] += weight  # type: ignore[assignment]
    count = votes.total()
    total = weighted.total()
    chosen, rejected = shown[better], shown[worse]
    return Pair(
        prompt_id=task.prompt_id,
        task_id=task.id,
        chosen_id=task.completion_ids[better],
        rejected_id=task.completion_ids[worse],
        chosen_origin=chosen.origin,
        rejected_origin=rejected.origin,
        strategy=options.strategy.value,
        rank_gap=ranks[worse] - ranks[better],
        margin=(weighted[1] - weighted[-1]) / total if total else 0.0,
        annotators=count,
        votes_for=votes[1],
        votes_against=votes[-1],
        votes_tie=votes[0],
        agreement=votes[1] / count if count else 0.0,
        soft_label=(votes[1] + votes[0] / 2 + 1 / 2) / (count + 1),
        weight=1.0,
        length_difference=len(chosen.text) - len(rejected.text) if _are_text(chosen, rejected) else 0,
        evaluated_by=ballot.evaluated_by,
        judge_label=_majority_label(_label(row, better, worse) for row in ballot.judge_ranks),
    )


def _are_text(*completions: Completion) -> bool:
    return all(isinstance(completion.text, str) for completion in completions)


def _label(ranks: Ranks, better: int, worse: int) -> int | None:
    above, below = ranks[better], ranks[worse]
    if above is None or below is None:
        return None
    return (above < below) - (above > below)


def _majority_label(labels: Iterable[int | None]) -> int | None:
    counts = Counter(label for label in labels if label is not None).most_common(2)
    if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return None
    return counts[0][0]


def _objection(
    pair: Pair, completions: Mapping[str, Completion], options: PairOptions, duplicates: Mapping[str, str]
) -> Reason | None:
    chosen, rejected = completions[pair.chosen_id], completions[pair.rejected_id]
    if normalise(chosen.text) == normalise(rejected.text):
        return Reason.EQUAL_TEXT
    if _kept(pair.chosen_id, duplicates) == _kept(pair.rejected_id, duplicates):
        return Reason.NEAR_DUPLICATE
    if pair.annotators < options.min_annotators:
        return Reason.TOO_FEW_ANNOTATORS
    if pair.margin < -_TOLERANCE:
        return Reason.LOSES_DIRECTLY
    if pair.margin < options.min_margin - _TOLERANCE:
        return Reason.LOW_MARGIN
    if pair.agreement < options.min_agreement - _TOLERANCE:
        return Reason.LOW_AGREEMENT
    return None


def _kept(completion_id: str, duplicates: Mapping[str, str]) -> str:
    return duplicates.get(completion_id, completion_id)


def _across_tasks(made: Sequence[Pair], cap: int | None) -> tuple[list[Pair], list[Refused]]:
    """What only shows when all tasks of a prompt are seen: repeated and opposite pairs, the cap, and the weights."""
    directions: dict[frozenset[str], set[str]] = {}
    for pair in made:
        directions.setdefault(frozenset((pair.chosen_id, pair.rejected_id)), set()).add(pair.chosen_id)
    strongest: dict[tuple[str, str], Pair] = {}
    for pair in made:
        key = (pair.chosen_id, pair.rejected_id)
        if key not in strongest or _strength(pair) < _strength(strongest[key]):
            strongest[key] = pair
    reasons: list[Reason | None] = []
    for pair in made:
        if len(directions[frozenset((pair.chosen_id, pair.rejected_id))]) > 1:
            reasons.append(Reason.CONTRADICTED)
        elif strongest[pair.chosen_id, pair.rejected_id] is not pair:
            reasons.append(Reason.REPEATED)
        else:
            reasons.append(None)
    by_prompt: dict[str, list[int]] = {}
    for index, pair in enumerate(made):
        if reasons[index] is None:
            by_prompt.setdefault(pair.prompt_id, []).append(index)
    weight = {}
    for prompt_id, indices in by_prompt.items():
        indices.sort(key=lambda index: _strength(made[index]))
        for index in indices[cap:] if cap is not None else ():
            reasons[index] = Reason.PAIR_CAP
        weight[prompt_id] = 1 / (len(indices) if cap is None else min(cap, len(indices)) or 1)
    kept = [replace(p, weight=weight[p.prompt_id]) for p, reason in zip(made, reasons, strict=True) if reason is None]
    refused = [
        Refused(p.task_id, p.chosen_id, p.rejected_id, reason)
        for p, reason in zip(made, reasons, strict=True)
        if reason is not None
    ]
    return kept, refused


def _strength(pair: Pair) -> tuple[float, int, str, str, str]:
    """Sorts the pairs to keep first."""
    return -pair.margin, -pair.rank_gap, pair.chosen_id, pair.rejected_id, pair.task_id
