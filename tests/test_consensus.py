"""consensus.py: published vectors, brute force, and what must not matter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations

import evalica
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pref_argilla.consensus import (
    KEMENY_LIMIT,
    ConsensusMethod,
    Ranks,
    borda_scores,
    consensus,
    copeland_scores,
    count_votes,
    davidson,
    dense_ranks,
    kemeny,
    leave_one_out_weights,
    one_coin,
    one_coin_weights,
)

# Tennessee's capital: Memphis, Nashville, Chattanooga, Knoxville.
TENNESSEE = [(1, 2, 3, 4)] * 42 + [(4, 1, 2, 3)] * 26 + [(4, 3, 1, 2)] * 15 + [(4, 3, 2, 1)] * 17


@st.composite
def rankings(draw: st.DrawFn, most: int = 5, missing: bool = False) -> list[Ranks]:
    size = draw(st.integers(1, most))
    rank: st.SearchStrategy[int | None] = st.integers(1, size)
    if missing:
        rank = st.one_of(rank, st.none())
    return draw(st.lists(st.tuples(*[rank] * size), min_size=1, max_size=5))


@pytest.mark.parametrize(
    ("values", "ranks"),
    [
        ((1, 1, 3), (1, 1, 2)),
        ((3, 1, 2), (3, 1, 2)),
        ((5, None, 5, 2), (2, None, 2, 1)),
        ((0.5, -1.0), (2, 1)),
        ((), ()),
        ((None,), (None,)),
    ],
)
def test_dense_ranks(values: tuple[float | None, ...], ranks: tuple[int | None, ...]) -> None:
    assert dense_ranks(values) == ranks


def test_tennessee() -> None:
    votes = count_votes(TENNESSEE)
    assert borda_scores(votes).tolist() == [126, 194, 173, 107]
    # 3, 2, 1 and 0 of three comparisons won.
    assert copeland_scores(votes).tolist() == [-3, 3, 1, -1]
    assert kemeny(votes).score == 393
    for method in (ConsensusMethod.COPELAND, ConsensusMethod.KEMENY):
        assert consensus(TENNESSEE, method) == (4, 1, 2, 3)
    assert consensus(TENNESSEE, ConsensusMethod.BORDA) == (3, 1, 2, 4)
    assert consensus([(1, 2, 3, 4), (4, 1, 2, 3), (4, 3, 1, 2), (4, 3, 2, 1)], weights=[42, 26, 15, 17]) == (4, 1, 2, 3)


def test_copeland_is_decided_by_borda_and_else_tied() -> None:
    # A cycle a > b > c > a: two to one each, so all are tied.
    assert consensus([(1, 2, 3), (3, 1, 2), (2, 3, 1)]) == (1, 1, 1)
    # The same cycle, 3:2, 4:1 and 3:2: the margins decide.
    assert consensus([(1, 2, 3), (1, 2, 3), (3, 1, 2), (3, 1, 2), (2, 3, 1)], ConsensusMethod.BORDA) == (2, 1, 3)
    assert consensus([(1, 2, 3), (1, 2, 3), (3, 1, 2), (3, 1, 2), (2, 3, 1)]) == (2, 1, 3)


@pytest.mark.parametrize("method", ConsensusMethod)
class TestEveryMethod:
    def test_one_ranking_is_its_own_consensus(self, method: ConsensusMethod) -> None:
        assert consensus([(2, 1, 3, 4)], method) == (2, 1, 3, 4)
        assert consensus([(1, 1, 1)], method) == (1, 1, 1)
        assert consensus([(1,)], method) == (1,)

    def test_opposite_rankings_leave_everything_tied(self, method: ConsensusMethod) -> None:
        assert consensus([(1, 2, 3), (3, 2, 1)], method) == (1, 1, 1)

    @settings(max_examples=60, deadline=None)
    @given(data=st.data(), rows=rankings(missing=True))
    def test_neither_annotators_nor_completions_order_matters(
        self, method: ConsensusMethod, data: st.DataObject, rows: list[Ranks]
    ) -> None:
        weights = data.draw(
            st.lists(st.sampled_from([0.1, 0.2, 0.3, 1.0, 1.7]), min_size=len(rows), max_size=len(rows))
        )
        expected = consensus(rows, method, weights)
        who = data.draw(st.permutations(range(len(rows))))
        what = data.draw(st.permutations(range(len(rows[0]))))
        moved = [[rows[i][j] for j in what] for i in who]
        assert consensus(moved, method, [weights[i] for i in who]) == tuple(expected[j] for j in what)

    @settings(max_examples=40, deadline=None)
    @given(rows=rankings())
    def test_ranks_are_dense_and_sparse_ranks_mean_the_same(self, method: ConsensusMethod, rows: list[Ranks]) -> None:
        ranks = consensus(rows, method)
        assert sorted(set(ranks)) == list(range(1, max(ranks) + 1))
        assert consensus([[10 * r if r else r for r in row] for row in rows], method) == ranks

    @settings(max_examples=40, deadline=None)
    @given(rows=rankings())
    def test_a_unanimous_order_is_kept_and_ties_are_not_broken(
        self, method: ConsensusMethod, rows: list[Ranks]
    ) -> None:
        assert consensus([rows[0]] * 3, method) == dense_ranks(rows[0])

    @settings(max_examples=40, deadline=None)
    @given(rows=rankings())
    def test_what_nobody_distinguishes_stays_tied(self, method: ConsensusMethod, rows: list[Ranks]) -> None:
        # The last completion doubles the first in every ranking.
        ranks = consensus([[*row, row[0]] for row in rows], method)
        assert ranks[0] == ranks[-1]

    def test_weights_of_one_change_nothing_and_a_zero_removes(self, method: ConsensusMethod) -> None:
        rows = [(1, 2, 3), (2, 1, 3), (3, 1, 2)]
        assert consensus(rows, method, [1, 1, 1]) == consensus(rows, method)
        assert consensus(rows, method, [1, 0, 0]) == (1, 2, 3)

    def test_wrong_input_is_refused(self, method: ConsensusMethod) -> None:
        for rows, weights in (
            ([], None),
            ([(1, 2), (1,)], None),
            ([(1, 2)], [-1.0]),
            ([(1, 2)], [0.0]),
            ([(1, 2)], [1.0, 1.0]),
        ):
            with pytest.raises(ValueError, match="ranking"):
                consensus(rows, method, weights)


def test_equal_sums_of_weights_are_equal() -> None:
    # 0.1 + 0.2 is not 0.3 in floating point.
    assert consensus([(1, 2), (1, 2), (2, 1)], weights=[0.1, 0.2, 0.3]) == (1, 1)


def by_brute_force(rows: Sequence[Ranks]) -> tuple[float, tuple[int, ...]]:
    above = count_votes(rows).above
    scores = {
        order: sum(above[order[i], order[j]] for i in range(len(order)) for j in range(i + 1, len(order)))
        for order in permutations(range(len(above)))
    }
    best = max(scores.values())
    orders = [order for order, score in scores.items() if score == best]
    places = [sum(order.index(item) for order in orders) for item in range(len(above))]
    return best, tuple(sorted(set(places)).index(place) + 1 for place in places)


@settings(max_examples=80, deadline=None)
@given(rankings(missing=True))
def test_kemeny_equals_brute_force(rows: list[Ranks]) -> None:
    found = kemeny(count_votes(rows))
    assert (found.score, found.ranks) == by_brute_force(rows)


def test_kemeny_has_a_limit_and_reaches_it() -> None:
    assert consensus([tuple(range(1, KEMENY_LIMIT + 1))], ConsensusMethod.KEMENY) == tuple(range(1, KEMENY_LIMIT + 1))
    # All tied: 16! best orders, whose numbers must not overflow.
    assert consensus([(1,) * KEMENY_LIMIT], ConsensusMethod.KEMENY) == (1,) * KEMENY_LIMIT
    with pytest.raises(ValueError, match="up to 16"):
        consensus([(1,) * (KEMENY_LIMIT + 1)], ConsensusMethod.KEMENY)


PUDDINGS = """1,2,19,22,16; 1,3,16,19,12; 2,3,19,19,10; 1,4,18,23,13; 2,4,23,19,9; 3,4,19,20,15; 1,5,13,19,18; 2,5,16,20,12;
3,5,16,15,17; 4,5,17,14,16; 1,6,18,21,12; 2,6,22,20,12; 3,6,13,18,10; 4,6,14,19,18; 5,6,11,21,12"""


def puddings() -> tuple[np.ndarray, np.ndarray]:
    wins, ties = np.zeros((6, 6)), np.zeros((6, 6))
    for row in PUDDINGS.split(";"):
        i, j, first, second, tied = (int(number) for number in row.split(","))
        wins[i - 1, j - 1], wins[j - 1, i - 1] = first, second
        ties[i - 1, j - 1] = ties[j - 1, i - 1] = tied
    return wins, ties


def test_davidson_1970_six_puddings() -> None:
    found = davidson(*puddings(), l2=0)
    assert found.strengths == pytest.approx([0.138803, 0.173002, 0.161747, 0.165373, 0.158685, 0.202389], abs=1e-6)
    assert found.tie_parameter == pytest.approx(0.746823, abs=1e-6)


def test_the_penalty_draws_strengths_together() -> None:
    spreads = [float(np.ptp(np.log(davidson(*puddings(), l2=l2).strengths))) for l2 in (0, 1, 10, 100)]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[-1] > 0


def test_without_ties_it_is_bradley_terry() -> None:
    wins = np.array([[0, 7, 3, 9], [4, 0, 6, 2], [5, 8, 0, 3], [1, 6, 7, 0]])
    found = davidson(wins, np.zeros((4, 4)), l2=0)
    assert found.tie_parameter == 0
    left, right, winner, times = [], [], [], []
    for i in range(4):
        for j in range(4):
            if wins[i, j]:
                left.append(str(i))
                right.append(str(j))
                winner.append(evalica.Winner.X)
                times.append(float(wins[i, j]))
    oracle = evalica.bradley_terry(left, right, winner, weights=times, tolerance=1e-12, limit=10_000).scores
    expected = np.array([float(oracle[str(i)]) for i in range(4)])
    assert found.strengths == pytest.approx(expected / expected.sum(), abs=1e-6)


def test_without_a_penalty_a_clean_sweep_has_no_maximum() -> None:
    sweep, none = np.array([[0, 3], [0, 0]]), np.zeros((2, 2))
    with pytest.raises(ValueError, match="l2 above 0"):
        davidson(sweep, none, l2=0)
    with pytest.raises(ValueError, match="l2 above 0"):
        davidson(none, np.array([[0, 2], [2, 0]]), l2=0)
    strengths = davidson(sweep, none).strengths
    assert 0.5 < strengths[0] < 1


def noisy(accuracies: Sequence[float], units: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(-1, 2, size=units).astype(float)
    rows = []
    for accuracy in accuracies:
        wrong = (truth + 1 + random.integers(1, 3, size=units)) % 3 - 1
        rows.append(np.where(random.random(units) < accuracy, truth, wrong))
    return np.array(rows), truth


def test_one_coin_finds_accuracies_and_truth() -> None:
    accuracies = [0.95, 0.85, 0.7, 0.6, 0.34]
    labels, truth = noisy(accuracies, 4000)
    labels[np.random.default_rng(1).random(labels.shape) < 0.3] = np.nan
    found = one_coin(labels)
    assert found.accuracies == pytest.approx(accuracies, abs=0.04)
    plain = np.array([np.nan_to_num(labels[:, u]).sum() for u in range(labels.shape[1])])
    assert ((found.posteriors.argmax(axis=1) - 1) == truth).mean() > (np.sign(plain) == truth).mean()
    weights = one_coin_weights(labels)
    assert sorted(weights, reverse=True) == list(weights)
    assert sum(weights) == pytest.approx(5)
    assert weights[-1] < 0.1


def test_one_coin_does_not_care_which_completion_comes_first() -> None:
    labels, _ = noisy([0.9, 0.7, 0.5], 60)
    assert one_coin(-labels).accuracies == pytest.approx(one_coin(labels).accuracies)
    assert one_coin(-labels).posteriors == pytest.approx(one_coin(labels).posteriors[:, ::-1])


def test_one_coin_reads_pair_labels_only() -> None:
    with pytest.raises(ValueError, match="pair labels"):
        one_coin([[2, 1]])


def test_leave_one_out_weights_are_shrunken() -> None:
    labels, _ = noisy([0.95, 0.9, 0.4], 500)
    few = labels[:, :2]
    many = leave_one_out_weights(labels)
    assert many[0] > 1 > many[2] > 0
    assert sum(many) == pytest.approx(3)
    assert max(abs(weight - 1) for weight in leave_one_out_weights(few)) < max(abs(weight - 1) for weight in many)
    assert leave_one_out_weights([[1, None], [None, 1]]) == (1.0, 1.0)
    assert not any(math.isnan(weight) for weight in many)
