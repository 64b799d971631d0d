"""How far annotators agree. What cannot be computed is None with a reason, never 0 or 1.

A table has one row an annotator and one column a unit; None or NaN where an annotator gave none. For rankings a unit is a
task and an unordered pair of its completions, its label -1, 0 (tied) or +1: see ``pair_labels``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pref_argilla.schema import Ranking, ResponseStatus, Task

Array: TypeAlias = NDArray[np.float64]
Table: TypeAlias = Sequence[Sequence[float | None]] | Array
Level = Literal["nominal", "ordinal", "interval", "ratio"]


@dataclass(frozen=True, slots=True)
class Statistic:
    """``value`` over ``n`` units (what a unit is, each function says), or None and the ``reason``."""

    value: float | None
    n: int
    reason: str = ""


def to_array(table: Table) -> Array:
    """(A, U) float64 with NaN where there is no label. Raises ValueError for rows of different lengths."""
    if isinstance(table, np.ndarray):
        array = table.astype(np.float64, copy=False)
    else:
        if len({len(row) for row in table}) > 1:
            raise ValueError("The annotators' rows are of different lengths.")
        array = np.array([[np.nan if v is None else v for v in row] for row in table], dtype=np.float64)
        if not array.size:
            array = array.reshape(len(table), 0)
    if array.ndim != 2:
        raise ValueError("A table has one row an annotator and one column a unit.")
    return array


def _counts(array: Array) -> tuple[Array, Array]:
    """The values that occur, in order, and (U, C) how often each unit has each; units with fewer than two are left out."""
    pairable = array[:, (~np.isnan(array)).sum(axis=0) >= 2]
    values = np.unique(pairable[~np.isnan(pairable)])
    counts = (
        np.stack([(pairable == value).sum(axis=0) for value in values], axis=1) if len(values) else np.empty((0, 0))
    )
    return values, counts.astype(np.float64)


_NO_OVERLAP = "no unit has two annotators"
_ONE_CATEGORY = "all labels are the same: chance cannot be told from agreement"


def raw_agreement(table: Table) -> Statistic:
    """The mean over units of the share of annotator pairs that gave the same label; ``n`` units with two labels or more."""
    _, counts = _counts(to_array(table))
    if not len(counts):
        return Statistic(None, 0, _NO_OVERLAP)
    labels = counts.sum(axis=1)
    shares = (counts * (counts - 1)).sum(axis=1) / (labels * (labels - 1))
    return Statistic(float(shares.mean()), len(counts))


def cohen_kappa(first: Sequence[float | None] | Array, second: Sequence[float | None] | Array) -> Statistic:
    """Cohen's kappa of two annotators over the ``n`` units that both labelled (Cohen 1960)."""
    array = to_array([list(first), list(second)])
    both = array[:, ~np.isnan(array).any(axis=0)]
    count = both.shape[1]
    if not count:
        return Statistic(None, 0, _NO_OVERLAP)
    observed = float((both[0] == both[1]).mean())
    chance = sum(float((both[0] == v).mean() * (both[1] == v).mean()) for v in np.unique(both))
    if chance >= 1:
        return Statistic(None, count, _ONE_CATEGORY)
    return Statistic((observed - chance) / (1 - chance), count)


def fleiss_kappa(table: Table) -> Statistic:
    """Fleiss' kappa (1971) over ``n`` units, which must all have the same number of labels; else take alpha."""
    array = to_array(table)
    labelled = array[:, ~np.isnan(array).all(axis=0)] if array.size else array
    numbers = set((~np.isnan(labelled)).sum(axis=0).tolist())
    if len(numbers) > 1:
        return Statistic(None, labelled.shape[1], "units have different numbers of labels: take Krippendorff's alpha")
    _, counts = _counts(labelled)
    if not len(counts):
        return Statistic(None, 0, _NO_OVERLAP)
    labels = counts[0].sum()
    observed = float(((counts * (counts - 1)).sum(axis=1) / (labels * (labels - 1))).mean())
    chance = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    if chance >= 1:
        return Statistic(None, len(counts), _ONE_CATEGORY)
    return Statistic((observed - chance) / (1 - chance), len(counts))


def krippendorff_alpha(table: Table, level: Level = "nominal") -> Statistic:
    """Krippendorff's alpha, 1 - Do / De, with missing labels (Krippendorff 2011, "Computing Krippendorff's
    Alpha-Reliability"). Coincidences weigh 1 / (labels of the unit - 1); ``n`` units with two labels or more count."""
    values, counts = _counts(to_array(table))
    if not len(counts):
        return Statistic(None, 0, _NO_OVERLAP)
    if len(values) == 1:
        return Statistic(None, len(counts), _ONE_CATEGORY)
    weight = 1 / (counts.sum(axis=1) - 1)
    coincidences = (counts * weight[:, None]).T @ counts - np.diag((counts * weight[:, None]).sum(axis=0))
    totals = coincidences.sum(axis=1)
    distances = _distances(values, totals, level)
    expected = float(totals @ distances @ totals) / (totals.sum() - 1)
    return Statistic(1 - float((coincidences * distances).sum() / expected), len(counts))


def _distances(values: Array, totals: Array, level: Level) -> NDArray[np.float64]:
    """(C, C) squared differences of the values."""
    match level:
        case "nominal":
            return np.asarray(values[:, None] != values, dtype=np.float64)
        case "ordinal":
            # The labels from c to k, and half of those at the two ends.
            middle = np.cumsum(totals) - totals / 2
            return np.asarray((middle[:, None] - middle) ** 2)
        case "interval":
            return np.asarray((values[:, None] - values) ** 2)
        case "ratio":
            if (values < 0).any():
                raise ValueError("Ratio data has no negative values.")
            sums = values[:, None] + values
            return np.asarray(np.divide(values[:, None] - values, sums, out=np.zeros_like(sums), where=sums > 0) ** 2)


def kendall_tau_b(first: Sequence[float | None] | Array, second: Sequence[float | None] | Array) -> Statistic:
    """Kendall's tau-b over the ``n`` items that both ranked; undefined where one ties them all (Kendall 1945)."""
    array = to_array([list(first), list(second)])
    x, y = array[:, ~np.isnan(array).any(axis=0)]
    if len(x) < 2:
        return Statistic(None, len(x), "fewer than two items in common")
    upper = np.triu_indices(len(x), 1)
    dx, dy = (np.sign(v[:, None] - v)[upper] for v in (x, y))
    untied = float((dx != 0).sum()) * float((dy != 0).sum())
    if not untied:
        return Statistic(None, len(x), "an annotator ties everything")
    return Statistic(float((dx * dy).sum()) / math.sqrt(untied), len(x))


def mean_tau_b(blocks: Iterable[Table]) -> Statistic:
    """The mean tau-b over all pairs of annotators of all ``blocks`` (one table of ranks a task); ``n`` pairs of annotators.

    Pairs for which tau-b is undefined are left out.
    """
    taus = []
    for block in blocks:
        rows = to_array(block)
        for i in range(len(rows)):
            for j in range(i):
                tau = kendall_tau_b(rows[i], rows[j]).value
                if tau is not None:
                    taus.append(tau)
    if not taus:
        return Statistic(None, 0, "no two annotators ranked the same two completions apart")
    return Statistic(math.fsum(taus) / len(taus), len(taus))


def kendall_w(table: Table, *, ties: bool = True) -> Statistic:
    """Kendall's W of annotators (rows) over ``n`` items (columns), from average ranks; every cell is needed.

    W = 12 S / (m^2 (n^3 - n) - m sum T), T = sum(t^3 - t) over an annotator's ties (Kendall and Gibbons 1990);
    ``ties`` False leaves sum T out.
    """
    array = to_array(table)
    annotators, items = array.shape
    if annotators < 2 or items < 2:
        return Statistic(None, items, "needs two annotators and two items")
    if np.isnan(array).any():
        return Statistic(None, items, "an annotator did not rank every item")
    below = (array[:, None, :] < array[:, :, None]).sum(axis=2)
    equal = (array[:, None, :] == array[:, :, None]).sum(axis=2)
    sums = (below + (equal + 1) / 2).sum(axis=0)
    spread = float(((sums - sums.mean()) ** 2).sum())
    # Each of t tied items counts t^2 - 1, together t^3 - t.
    correction = float((equal.astype(np.float64) ** 2 - 1).sum()) if ties else 0.0
    most = annotators**2 * (items**3 - items) - annotators * correction
    if most <= 0:
        return Statistic(None, items, "every annotator ties everything")
    return Statistic(12 * spread / most, items)


def majority(table: Table) -> Array:
    """(U,) the label that most annotators gave, NaN where no label has more than every other."""
    array = to_array(table)
    values = np.unique(array[~np.isnan(array)])
    if not len(values):
        return np.full(array.shape[1], np.nan)
    counts = np.stack([(array == value).sum(axis=0) for value in values])
    highest = counts.max(axis=0)
    unique = (counts == highest).sum(axis=0) == 1
    return np.where(unique & (highest > 0), values[counts.argmax(axis=0)], np.nan)


@dataclass(frozen=True, slots=True)
class LeaveOneOut:
    """``annotators`` in the table's order; ``pooled`` over all their labels. ``n`` counts labels that have a target."""

    annotators: tuple[Statistic, ...]
    pooled: Statistic


def leave_one_out(table: Table) -> LeaveOneOut:
    """The share of each annotator's labels that equal the majority of the others'; units without one do not count."""
    array = to_array(table)
    rows = []
    for index, own in enumerate(array):
        target = majority(np.delete(array, index, axis=0))
        counted = ~np.isnan(own) & ~np.isnan(target)
        rows.append((int((own == target)[counted].sum()), int(counted.sum())))
    hits, total = (sum(column) for column in zip(*rows, strict=True)) if rows else (0, 0)
    return LeaveOneOut(tuple(_share(h, n) for h, n in rows), _share(hits, total))


_NO_MAJORITY = "no label stands beside a majority of others"


def _share(hits: int, total: int) -> Statistic:
    return Statistic(hits / total, total) if total else Statistic(None, 0, _NO_MAJORITY)


@dataclass(frozen=True, slots=True)
class JudgeComparison:
    """``judge`` and ``people`` are measured against the same kind of target, a majority of all people but one;
    ``full`` is the judge against all people's majority, ``decided`` the same where neither says tied."""

    judge: Statistic
    people: Statistic
    full: Statistic
    decided: Statistic


def judge_against_people(judge: Sequence[float | None] | Array, people: Table) -> JudgeComparison:
    """A judge's labels (U,) beside the people's (A, U) own leave-one-out agreement.

    A majority of more people is an easier target, so the judge is compared, as each person is, with the majority of the
    others: once for each person who labelled a unit, in that person's place.
    """
    array = to_array(people)
    own = to_array([list(judge)])[0]
    hits = total = 0
    for index, person in enumerate(array):
        target = majority(np.delete(array, index, axis=0))
        counted = ~np.isnan(own) & ~np.isnan(person) & ~np.isnan(target)
        hits += int((own == target)[counted].sum())
        total += int(counted.sum())
    target = majority(array)
    counted = ~np.isnan(own) & ~np.isnan(target)
    apart = counted & (own != 0) & (target != 0)
    return JudgeComparison(
        judge=_share(hits, total),
        people=leave_one_out(array).pooled,
        full=_share(int((own == target)[counted].sum()), int(counted.sum())),
        decided=_share(int((own == target)[apart].sum()), int(apart.sum())),
    )


@dataclass(frozen=True, slots=True)
class PairLabels:
    """``labels`` (A, U): +1 where the annotator ranks the unit's first completion above its second, 0 tied, -1 below.

    ``units`` are (task id, first, second), first being the smaller completion id; ``prompts`` (U,) the units' prompts.
    """

    annotators: tuple[str, ...]
    units: tuple[tuple[str, str, str], ...]
    prompts: tuple[str, ...]
    labels: Array


def pair_labels(tasks: Iterable[Task], rankings: Iterable[Ranking]) -> PairLabels:
    """Every submitted ranking as pair labels; annotators and units are sorted, so input order does not matter.

    Rankings of tasks that are not given are left out. Raises ValueError for a ranking that does not fit its task, and for
    two submitted rankings of one task by one annotator.
    """
    by_id = {task.id: task for task in tasks}
    submitted = [r for r in rankings if r.status is ResponseStatus.SUBMITTED and r.task_id in by_id]
    annotators = sorted({ranking.annotator_id for ranking in submitted})
    row_of = {annotator: row for row, annotator in enumerate(annotators)}
    units: list[tuple[str, str, str]] = []
    first_unit: dict[str, int] = {}
    slots: dict[str, list[int]] = {}
    for task_id in sorted({ranking.task_id for ranking in submitted}):
        ids = by_id[task_id].completion_ids
        first_unit[task_id] = len(units)
        slots[task_id] = order = sorted(range(len(ids)), key=lambda slot: ids[slot])
        units += [(task_id, ids[a], ids[b]) for i, a in enumerate(order) for b in order[i + 1 :]]
    labels = np.full((len(annotators), len(units)), np.nan)
    seen: set[tuple[str, str]] = set()
    for ranking in submitted:
        order = slots[ranking.task_id]
        if len(ranking.ranks) != len(order):
            raise ValueError(f"A ranking of task {ranking.task_id} has {len(ranking.ranks)} ranks, not {len(order)}.")
        key = (ranking.task_id, ranking.annotator_id)
        if key in seen:
            raise ValueError(f"Annotator {key[1]} has two submitted rankings of task {key[0]}.")
        seen.add(key)
        unit = first_unit[ranking.task_id]
        row = row_of[ranking.annotator_id]
        for i, a in enumerate(order):
            for b in order[i + 1 :]:
                above, below = ranking.ranks[a], ranking.ranks[b]
                if above is not None and below is not None:
                    labels[row, unit] = (above < below) - (above > below)
                unit += 1
    return PairLabels(tuple(annotators), tuple(units), tuple(by_id[unit[0]].prompt_id for unit in units), labels)


@dataclass(frozen=True, slots=True)
class Interval:
    """A percentile interval from ``samples`` resamples, ``undefined`` of which gave no value; or None and the reason."""

    low: float | None
    high: float | None
    samples: int
    undefined: int
    reason: str = ""


def bootstrap(
    table: Table,
    prompts: Sequence[str],
    statistic: Callable[[Array], Statistic],
    *,
    seed: int,
    samples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """The statistic's interval when **prompts** are drawn anew, with all their units: units of one prompt are not
    independent. ``prompts`` (U,) names each column's prompt. The same seed and table give the same interval. Undefined
    with fewer than two prompts, or when more than half of the resamples are.
    """
    array = to_array(table)
    if len(prompts) != array.shape[1]:
        raise ValueError(f"{array.shape[1]} units need {array.shape[1]} prompts, not {len(prompts)}.")
    columns: dict[str, list[int]] = {}
    for column, prompt in enumerate(prompts):
        columns.setdefault(prompt, []).append(column)
    if len(columns) < 2:
        return Interval(None, None, 0, 0, "fewer than two prompts")
    blocks = [np.array(columns[prompt]) for prompt in sorted(columns)]
    random = np.random.default_rng(seed)
    values = []
    for _ in range(samples):
        drawn = random.integers(len(blocks), size=len(blocks))
        value = statistic(array[:, np.concatenate([blocks[i] for i in drawn])]).value
        if value is not None:
            values.append(value)
    undefined = samples - len(values)
    if undefined > samples / 2:
        return Interval(None, None, samples, undefined, "undefined in more than half of the resamples")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Interval(low, high, samples, undefined)
