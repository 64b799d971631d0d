"""One weak order from several annotators' rankings of the same completions.

A ranking is a row of dense ranks, 1 best, equal numbers tied, None for a completion that was not placed; it says nothing
about pairs with a None. Every method here gives a weak order that does not depend on the order of annotators or of
completions; what the rankings leave undecided stays tied, and nothing is broken at random.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pref_argilla.agreement import Table, leave_one_out, to_array

Ranks = Sequence[int | None]
Matrix = NDArray[np.float64]

# Sums of weights that differ by less are equal: 0.1 + 0.2 and 0.3.
_DECIMALS = 9
_TOLERANCE = 1e-9

KEMENY_LIMIT = 16
"""More completions than this take too much memory: the work doubles with each."""


class ConsensusMethod(StrEnum):
    COPELAND = "copeland"
    BORDA = "borda"
    KEMENY = "kemeny"
    BRADLEY_TERRY = "bradley_terry"


@dataclass(frozen=True, slots=True)
class Votes:
    """(K, K) sums of annotators' weights: ``above[i, j]`` rank i above j, ``tied[i, j]`` rank them equal."""

    above: Matrix
    tied: Matrix

    @property
    def margins(self) -> Matrix:
        """``above[i, j] - above[j, i]``; a difference that is only rounding is 0."""
        margins: Matrix = np.round(self.above - self.above.T, _DECIMALS)
        return margins


def dense_ranks(values: Sequence[float | None]) -> tuple[int | None, ...]:
    """The values' dense ranks: the smallest is 1, equal ones are tied, None stays None. ``(1, 1, 3)`` is ``(1, 1, 2)``."""
    rank_of = {value: rank for rank, value in enumerate(sorted({v for v in values if v is not None}), start=1)}
    return tuple(None if value is None else rank_of[value] for value in values)


def count_votes(rankings: Sequence[Ranks], weights: Sequence[float] | None = None) -> Votes:
    """How many annotators (or how much of their ``weights``, one a ranking, not negative) rank each above each.

    Raises ValueError for no ranking, rankings of different lengths, or weights that do not fit.
    """
    if not rankings:
        raise ValueError("A consensus needs at least one ranking.")
    if len({len(ranks) for ranks in rankings}) != 1:
        raise ValueError("The rankings are of different numbers of completions.")
    table = np.array([[np.nan if rank is None else rank for rank in ranks] for ranks in rankings], dtype=np.float64)
    first, second = table[:, :, None], table[:, None, :]
    weight = _weights(weights, len(rankings))[:, None, None]
    tied = _sum((first == second) * weight)
    np.fill_diagonal(tied, 0.0)
    return Votes(_sum((first < second) * weight), tied)


def _weights(weights: Sequence[float] | None, count: int) -> Matrix:
    if weights is None:
        return np.ones(count)
    checked = np.asarray(weights, dtype=np.float64)
    if checked.shape != (count,) or not np.isfinite(checked).all() or (checked < 0).any() or not checked.any():
        raise ValueError(f"{count} rankings need {count} finite weights that are not negative, one of them above 0.")
    return checked


def _sum(parts: Matrix) -> Matrix:
    """The sum along the first axis, to the last bit the same for every order of the parts."""
    total: Matrix = np.sort(parts, axis=0).sum(axis=0)
    return total


def consensus(
    rankings: Sequence[Ranks],
    method: ConsensusMethod = ConsensusMethod.COPELAND,
    weights: Sequence[float] | None = None,
) -> tuple[int, ...]:
    """The completions' dense ranks, 1 best. Raises ValueError as ``count_votes`` does, and beyond ``KEMENY_LIMIT``.

    - ``copeland``: wins minus losses in direct comparison; equal ones by Borda; else tied.
    - ``borda``: the sum of margins over all others.
    - ``kemeny``: the mean place over all strict orders that agree with most votes.
    - ``bradley_terry``: the strengths of Davidson's model, with its default penalty.
    """
    votes = count_votes(rankings, weights)
    scores: list[tuple[float, ...]]
    match method:
        case ConsensusMethod.COPELAND:
            # Borda by margins, so that a completion which fewer annotators placed is not punished for it.
            scores = list(zip(copeland_scores(votes).tolist(), _margin_sums(votes).tolist(), strict=True))
        case ConsensusMethod.BORDA:
            scores = [(score,) for score in _margin_sums(votes).tolist()]
        case ConsensusMethod.KEMENY:
            return kemeny(votes).ranks
        case ConsensusMethod.BRADLEY_TERRY:
            strengths = davidson(votes.above, votes.tied / 2 + votes.tied.T / 2).strengths
            scores = [(score,) for score in np.round(np.log(strengths), 6).tolist()]
    return _ranks_of(scores)


def _ranks_of(scores: Sequence[tuple[float, ...]]) -> tuple[int, ...]:
    rank_of = {score: rank for rank, score in enumerate(sorted(set(scores), reverse=True), start=1)}
    return tuple(rank_of[score] for score in scores)


def copeland_scores(votes: Votes) -> Matrix:
    """(K,) direct comparisons won minus lost."""
    scores: Matrix = np.sign(votes.margins).sum(axis=1)
    return scores


def borda_scores(votes: Votes) -> Matrix:
    """(K,) for each completion, the votes above all others, ties as half. From complete strict rankings: Borda's count."""
    scores: Matrix = np.round(_sum((votes.above + votes.tied / 2).T), _DECIMALS)
    return scores


def _margin_sums(votes: Votes) -> Matrix:
    sums: Matrix = np.round(_sum(votes.margins.T), _DECIMALS)
    return sums


@dataclass(frozen=True, slots=True)
class Kemeny:
    """``score`` is the votes that the best strict orders agree with; ``ranks`` the dense ranks of the mean places."""

    score: float
    ranks: tuple[int, ...]


def kemeny(votes: Votes) -> Kemeny:
    """Kemeny's rule, exactly, by dynamic programming over subsets (Held and Karp), for up to ``KEMENY_LIMIT``.

    A strict order scores, for each pair, the votes that agree with it. Several orders may be best; completions are then
    ranked by their mean place over all of them, so what every best order says is kept and the rest is tied or nearly so.
    Raises ValueError for more completions.
    """
    count = len(votes.above)
    if count > KEMENY_LIMIT:
        raise ValueError(f"Kemeny's rule is computed for up to {KEMENY_LIMIT} completions, not {count}.")
    subsets = 1 << count
    members = (np.arange(subsets)[:, None] >> np.arange(count)) & 1
    # gain[S, j]: the votes for all of S above j, which is what placing j right below S adds.
    gain = members @ votes.above
    size = members.sum(axis=1)
    best = np.full(subsets, -np.inf)
    best[0] = 0.0
    # Numbers of best orders of each subset at the top, and of each complement below it; at most 16! fits in 64 bits.
    ways_above = np.zeros(subsets, dtype=np.int64)
    ways_above[0] = 1
    layers = [np.flatnonzero(size == level) for level in range(count + 1)]
    for layer in layers[1:]:
        for j in range(count):
            with_j = layer[members[layer, j] == 1]
            without = with_j ^ (1 << j)
            score = best[without] + gain[without, j]
            better = score > best[with_j] + _TOLERANCE
            equal = ~better & (score >= best[with_j] - _TOLERANCE)
            ways_above[with_j] = np.where(
                better, ways_above[without], ways_above[with_j] + np.where(equal, ways_above[without], 0)
            )
            best[with_j] = np.where(better, score, best[with_j])
    ways_below = np.zeros(subsets, dtype=np.int64)
    ways_below[-1] = 1
    places = [0] * count
    for layer in reversed(layers[1:]):
        for j in range(count):
            with_j = layer[members[layer, j] == 1]
            without = with_j ^ (1 << j)
            optimal = np.abs(best[without] + gain[without, j] - best[with_j]) <= _TOLERANCE
            np.add.at(ways_below, without, np.where(optimal, ways_below[with_j], 0))
            # Python's integers: the sum over subsets may pass 64 bits.
            orders = sum(
                int(a) * int(b)
                for a, b in zip(ways_above[without][optimal], ways_below[with_j][optimal], strict=True)
                if a and b
            )
            places[j] += int(size[with_j[0]]) * orders if len(with_j) else 0
    return Kemeny(float(best[-1]), _ranks_of([(-place,) for place in places]))


@dataclass(frozen=True, slots=True)
class Davidson:
    """``strengths`` (K,) sum to 1; P(i above j) = s_i / (s_i + s_j + v sqrt(s_i s_j)), v being ``tie_parameter``."""

    strengths: Matrix
    tie_parameter: float


_STEPS = 200


def davidson(wins: ArrayLike, ties: ArrayLike, l2: float = 0.1) -> Davidson:
    """Bradley-Terry with ties (Davidson 1970, JASA 65, 317-328) by Newton's method.

    ``wins[i, j]`` is how often i was above j; ``ties`` is symmetric, ``ties[i, j]`` how often the two were equal. Maximises
    the likelihood minus ``l2 / 2`` times the squares of the log strengths and of the log tie parameter; a completion that
    always wins has a finite strength only with ``l2`` above 0. With ``l2 = 0`` and no tie at all, the tie parameter is 0.

    Raises ValueError where no maximum is found, which happens with ``l2 = 0`` only.
    """
    won = np.asarray(wins, dtype=np.float64)
    tied = np.triu(np.asarray(ties, dtype=np.float64), 1)
    count = len(won)
    with_ties = l2 > 0 or bool(tied.any())
    first, second = np.triu_indices(count, 1)
    # One row a pair: the linear predictors of "first above", "second above", "tied" in (log strengths, log v).
    pairs = len(first)
    rows = np.arange(pairs)
    design = np.zeros((3 if with_ties else 2, pairs, count + with_ties))
    design[0, rows, first] = 1.0
    design[1, rows, second] = 1.0
    if with_ties:
        design[2, rows, first] = design[2, rows, second] = 0.5
        design[2, :, count] = 1.0
    observed = np.stack([won[first, second], won[second, first], tied[first, second]][: len(design)])
    total = observed.sum(axis=0)

    def predicted(theta: Matrix) -> tuple[Matrix, Matrix]:
        scores = design @ theta
        highest = scores.max(axis=0)
        partition = highest + np.log(np.exp(scores - highest).sum(axis=0))
        return np.exp(scores - partition), scores - partition

    def objective(theta: Matrix) -> float:
        return float((observed * predicted(theta)[1]).sum() - l2 / 2 * (theta @ theta))

    theta = np.zeros(count + with_ties)
    value = objective(theta)
    for _ in range(_STEPS):
        probabilities, _ = predicted(theta)
        mean = np.einsum("cp,cpk->pk", probabilities, design)
        gradient = np.einsum("cp,cpk->k", observed - total * probabilities, design) - l2 * theta
        curvature = (
            np.einsum("cp,cpk,cpl->kl", total * probabilities, design, design)
            - np.einsum("p,pk,pl->kl", total, mean, mean)
            + l2 * np.eye(len(theta))
        )
        # Strengths have no scale of their own: the least-norm step leaves their mean where it is.
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        if float(np.abs(step).max()) < 1e-9:
            break
        # Halve a step that overshoots; near the maximum the objective is flat to the last bits.
        length = 1.0
        floor = value - 1e-12 * (1 + abs(value))
        while (next_value := objective(theta + length * step)) < floor and length > 1e-8:
            length /= 2
        theta, value = theta + length * step, next_value
    else:
        raise ValueError("The model has no finite maximum for these comparisons: use l2 above 0.")
    if l2 == 0 and float(np.abs(theta).max()) > 30:
        raise ValueError("The model has no finite maximum for these comparisons: use l2 above 0.")
    log_strengths = theta[:count] - theta[:count].max()
    strengths = np.exp(log_strengths)
    return Davidson(strengths / strengths.sum(), math.exp(theta[count]) if with_ties else 0.0)


@dataclass(frozen=True, slots=True)
class OneCoin:
    """``accuracies`` (A,) of the annotators; ``posteriors`` (U, 3) of each unit's true label being -1, 0, +1."""

    accuracies: Matrix
    posteriors: Matrix


def one_coin(labels: Table, *, prior_hits: float = 8.0, prior_misses: float = 2.0) -> OneCoin:
    """Each annotator's accuracy without gold labels: the one-coin model of Dawid and Skene (1979), fitted by EM.

    ``labels`` (A, U) are pair labels -1, 0, +1. An annotator gives a unit's true label with their accuracy and each of the
    two others with half the rest; every label is as likely beforehand, so it does not matter which completion of a pair
    comes first. ``prior_hits`` and ``prior_misses`` are imagined answers (a Beta prior) that keep annotators with few
    labels near 0.8. Raises ValueError for other labels.
    """
    table = to_array(labels)
    classes = np.array([-1.0, 0.0, 1.0])
    given = ~np.isnan(table)
    if not np.isin(table[given], classes).all():
        raise ValueError("The one-coin model reads pair labels: -1, 0 and +1.")
    hits = (table[:, :, None] == classes).astype(np.float64)
    answers = given.sum(axis=1)
    accuracies = np.full(len(table), prior_hits / (prior_hits + prior_misses))
    posteriors = np.full((table.shape[1], 3), 1 / 3)
    for _ in range(_STEPS):
        right, wrong = np.log(accuracies), np.log((1 - accuracies) / 2)
        # What every annotator of a unit adds for a miss is the same for its three labels and cancels.
        evidence = np.einsum("auc,a->uc", hits, right - wrong)
        posteriors = np.exp(evidence - evidence.max(axis=1, keepdims=True))
        posteriors /= posteriors.sum(axis=1, keepdims=True)
        updated = (np.einsum("auc,uc->a", hits, posteriors) + prior_hits) / (answers + prior_hits + prior_misses)
        change = float(np.abs(updated - accuracies).max(initial=0.0))
        accuracies = updated
        if change < 1e-9:
            break
    return OneCoin(accuracies, posteriors)


def one_coin_weights(labels: Table) -> tuple[float, ...]:
    """The best weight of each annotator's vote under ``one_coin``, log odds, not negative; mean 1, or all 1 if all are 0."""
    accuracies = one_coin(labels).accuracies
    return _mean_one(np.maximum(0.0, np.log(2 * accuracies / (1 - accuracies))))


def leave_one_out_weights(labels: Table, *, shrinkage: float = 20.0) -> tuple[float, ...]:
    """Each annotator's agreement with the others' majority as a weight; mean 1.

    ``shrinkage`` is the number of labels at which an annotator's own figure and the pool's count the same: with few
    labels a weight stays near 1. All weights are 1 where no unit has two annotators.
    """
    found = leave_one_out(labels)
    if found.pooled.value is None:
        return tuple(1.0 for _ in found.annotators)
    pool = found.pooled.value
    return _mean_one(
        np.array([((s.value or 0.0) * s.n + pool * shrinkage) / (s.n + shrinkage) for s in found.annotators])
    )


def _mean_one(weights: Matrix) -> tuple[float, ...]:
    mean = float(weights.mean()) if len(weights) else 0.0
    return tuple((weights / mean).tolist()) if mean > 0 else (1.0,) * len(weights)
