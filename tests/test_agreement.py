"""agreement.py: published vectors, oracles, and what is undefined."""

from __future__ import annotations

import json
import math
from pathlib import Path

import evalica
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from pref_argilla.agreement import (
    Level,
    Statistic,
    bootstrap,
    cohen_kappa,
    fleiss_kappa,
    judge_against_people,
    kendall_tau_b,
    kendall_w,
    krippendorff_alpha,
    leave_one_out,
    majority,
    mean_tau_b,
    pair_labels,
    raw_agreement,
)
from pref_argilla.schema import Ranking, ResponseStatus, Task

Rows = list[list[float | None]]
LABELS = st.one_of(st.none(), st.sampled_from([-1.0, 0.0, 1.0]))


@st.composite
def tables(draw: st.DrawFn) -> Rows:
    units = draw(st.integers(0, 8))
    return draw(st.lists(st.lists(LABELS, min_size=units, max_size=units), min_size=1, max_size=5))


def same(first: Statistic, second: Statistic) -> bool:
    if first.value is None or second.value is None:
        return first == second
    return first.n == second.n and math.isclose(first.value, second.value, abs_tol=1e-9)


# Krippendorff (2011): four coders, twelve units.
CODERS: Rows = [
    [None if mark == "." else int(mark) for mark in row]
    for row in ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
]


@pytest.mark.parametrize(
    ("level", "alpha"), [("nominal", 0.743421), ("ordinal", 0.815388), ("interval", 0.849107), ("ratio", 0.797403)]
)
def test_krippendorff_2011(level: Level, alpha: float) -> None:
    found = krippendorff_alpha(CODERS, level)
    assert found.value == pytest.approx(alpha, abs=1e-6)
    assert found.n == 11, "the last unit has one label only"


@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from(["nominal", "ordinal", "interval"]))
def test_alpha_equals_evalica(rows: Rows, level: Level) -> None:
    found = krippendorff_alpha(rows, level)
    assume(found.value is not None)
    oracle = evalica.alpha(pd.DataFrame(rows, dtype=float), distance=level, solver="naive").alpha
    assert found.value == pytest.approx(oracle, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.data(), tables())
def test_neither_order_nor_labels_without_a_partner_matter(data: st.DataObject, rows: Rows) -> None:
    who = data.draw(st.permutations(range(len(rows))))
    what = data.draw(st.permutations(range(len(rows[0]))))
    moved = [[rows[i][j] for j in what] for i in who]
    alone = [[*row, 1.0 if i == 0 else None] for i, row in enumerate(rows)]
    for statistic in (raw_agreement, krippendorff_alpha):
        assert same(statistic(rows), statistic(moved))
        assert same(statistic(rows), statistic(alone))
    assert same(fleiss_kappa(rows), fleiss_kappa(moved))
    # Turning every pair round (which completion comes first) changes no agreement.
    turned = [[None if v is None else -v for v in row] for row in rows]
    assert same(krippendorff_alpha(rows, "ordinal"), krippendorff_alpha(turned, "ordinal"))
    assert same(leave_one_out(rows).pooled, leave_one_out(turned).pooled)


def test_kendall_w_anxiety() -> None:
    ratings = [
        [3, 3, 3, 4, 5, 5, 2, 3, 5, 2, 2, 6, 1, 5, 2, 2, 1, 2, 4, 3],
        [3, 6, 4, 6, 2, 4, 2, 4, 3, 3, 2, 3, 3, 3, 2, 2, 1, 3, 3, 4],
        [2, 1, 4, 4, 3, 2, 1, 6, 1, 1, 1, 2, 3, 3, 1, 1, 3, 3, 2, 2],
    ]
    assert kendall_w(ratings).value == pytest.approx(0.5396569, abs=1e-7)
    assert kendall_w(ratings, ties=False).value == pytest.approx(0.5019215, abs=1e-7)


def test_kendall_w_ends() -> None:
    assert kendall_w([[1, 2, 3], [1, 2, 3]]).value == pytest.approx(1)
    assert kendall_w([[1, 1, 2], [1, 1, 2]]).value == pytest.approx(1)
    assert kendall_w([[1, 2], [2, 1]]).value == pytest.approx(0)


def test_tau_b_vector() -> None:
    assert kendall_tau_b([12, 2, 1, 12, 2], [1, 4, 7, 1, 0]).value == pytest.approx(-0.4714045, abs=1e-7)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=12))
def test_tau_b_equals_scipy(points: list[tuple[int, int]]) -> None:
    x, y = [p[0] for p in points], [p[1] for p in points]
    found = kendall_tau_b(x, y).value
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(float(kendalltau(x, y).statistic), abs=1e-12)


def test_mean_tau_b_leaves_out_what_is_undefined() -> None:
    found = mean_tau_b([[[1, 2, 3], [1, 2, 3], [3, 2, 1]], [[1, 1], [1, 2]]])
    assert found.value == pytest.approx(-1 / 3)
    assert found.n == 3
    assert mean_tau_b([[[1, 1], [1, 2]]]).value is None


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (raw_agreement([[1, None], [None, 1]]), "no unit"),
        (raw_agreement([]), "no unit"),
        (krippendorff_alpha([[1, None], [None, 1]]), "no unit"),
        (krippendorff_alpha([[1, 1], [1, 1]]), "all labels are the same"),
        (cohen_kappa([1, 1], [1, 1]), "all labels are the same"),
        (cohen_kappa([1, None], [None, 1]), "no unit"),
        (fleiss_kappa([[1, 1], [1, 1]]), "all labels are the same"),
        (fleiss_kappa([[1, 1], [1, None]]), "different numbers"),
        (fleiss_kappa([[None, None]]), "no unit"),
        (kendall_tau_b([1, 1], [1, 2]), "ties everything"),
        (kendall_tau_b([1, None], [1, 2]), "fewer than two"),
        (kendall_w([[1, 1], [1, 1]]), "ties everything"),
        (kendall_w([[1, None], [1, 2]]), "did not rank every item"),
        (kendall_w([[1, 2]]), "two annotators"),
        (leave_one_out([[1, 1]]).pooled, "majority"),
        (leave_one_out([]).pooled, "majority"),
    ],
)
def test_undefined_is_none_with_a_reason(found: Statistic, reason: str) -> None:
    assert found.value is None
    assert reason in found.reason


def test_majority_needs_more_than_every_other_label() -> None:
    found = majority([[1, 1, 1, None], [1, 0, 0, None], [0, None, -1, None]])
    assert found[0] == 1
    assert np.isnan(found[1:]).all()


def test_leave_one_out_by_hand() -> None:
    # Unit 1: 1 1 0: the two agree, but with "1 0" and "1 0" as others there is no majority; the third misses "1 1".
    found = leave_one_out([[1, 1], [1, 1], [0, 1]])
    assert [(s.value, s.n) for s in found.annotators] == [(1.0, 1), (1.0, 1), (0.5, 2)]
    assert (found.pooled.value, found.pooled.n) == (0.75, 4)


def test_a_judge_meets_the_same_target_as_people() -> None:
    people: Rows = [[1, 1, 0, -1], [1, 0, 0, -1], [1, 1, 0, 1]]
    # A judge who repeats a person is as good as that person's own figure in that place, and never better by the target.
    found = judge_against_people([1, 1, 0, 0], people)
    assert found.people == leave_one_out(people).pooled
    assert found.judge.n == found.people.n
    assert (found.full.value, found.full.n) == (0.75, 4)
    assert (found.decided.value, found.decided.n) == (1.0, 2)
    assert judge_against_people([None] * 4, people).judge.value is None


def task(name: str, *completions: str, prompt: str = "p") -> Task:
    return Task(name, prompt, completions)


def ranking(task_id: str, who: str, *ranks: int | None, status: ResponseStatus = ResponseStatus.SUBMITTED) -> Ranking:
    return Ranking(task_id, who, status, ranks)


def test_pair_labels_are_canonical() -> None:
    tasks = [task("t1", "c", "a", "b"), task("t2", "x", "y", prompt="q")]
    found = pair_labels(
        tasks,
        [
            ranking("t2", "bob", 1, 1),
            ranking("t1", "bob", 1, 2, 3),
            ranking("t1", "ann", 2, 1, 1),
            ranking("t2", "ann", 2, 1, status=ResponseStatus.DRAFT),
            ranking("gone", "ann", 1, 2),
        ],
    )
    assert found.annotators == ("ann", "bob")
    assert found.units == (("t1", "a", "b"), ("t1", "a", "c"), ("t1", "b", "c"), ("t2", "x", "y"))
    assert found.prompts == ("p", "p", "p", "q")
    assert np.array_equal(found.labels, np.array([[0, 1, 1, np.nan], [1, -1, -1, 0]]), equal_nan=True)


def test_pair_labels_do_not_depend_on_slots() -> None:
    one = pair_labels([task("t", "a", "b", "c")], [ranking("t", "ann", 1, 2, 2)])
    two = pair_labels([task("t", "c", "a", "b")], [ranking("t", "ann", 2, 1, 2)])
    assert one.units == two.units
    assert np.array_equal(one.labels, two.labels)


def test_rankings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="3 ranks, not 2"):
        pair_labels([task("t", "a", "b")], [ranking("t", "ann", 1, 2, 3)])
    with pytest.raises(ValueError, match="two submitted"):
        pair_labels([task("t", "a", "b")], [ranking("t", "ann", 1, 2), ranking("t", "ann", 2, 1)])


def test_bootstrap_is_seeded_and_draws_prompts() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(-1, 2, size=(3, 300)).astype(float)
    labels[1] = np.where(random.random(300) < 0.7, labels[0], labels[1])
    prompts = [str(i // 3) for i in range(300)]
    found = bootstrap(labels, prompts, krippendorff_alpha, seed=4, samples=300)
    assert found == bootstrap(labels, prompts, krippendorff_alpha, seed=4, samples=300)
    assert found != bootstrap(labels, prompts, krippendorff_alpha, seed=5, samples=300)
    value = krippendorff_alpha(labels).value
    assert found.low is not None and found.high is not None and value is not None
    assert found.low < value < found.high

    # The same labels written ten times under their prompt add nothing; as prompts of their own they would.
    tenfold = np.repeat(labels, 10, axis=1)
    together = bootstrap(tenfold, [p for p in prompts for _ in range(10)], raw_agreement, seed=4, samples=300)
    apart = bootstrap(tenfold, [str(i) for i in range(3000)], raw_agreement, seed=4, samples=300)
    once = bootstrap(labels, prompts, raw_agreement, seed=4, samples=300)
    assert together.low == pytest.approx(once.low)
    assert _width(apart.low, apart.high) < 0.5 * _width(once.low, once.high)


def _width(low: float | None, high: float | None) -> float:
    assert low is not None
    assert high is not None
    return high - low


def test_bootstrap_says_when_it_cannot() -> None:
    assert bootstrap([[1, 0], [1, 0]], ["p", "p"], raw_agreement, seed=0).reason == "fewer than two prompts"
    found = bootstrap([[1, 1], [1, 1]], ["p", "q"], krippendorff_alpha, seed=0, samples=10)
    assert (found.low, found.undefined) == (None, 10)
    with pytest.raises(ValueError, match="prompts"):
        bootstrap([[1, 0]], ["p"], raw_agreement, seed=0)


PANDALM = Path(__file__).parents[2] / "shared" / "data" / "pandalm" / "testset-v1.json"


@pytest.mark.data
@pytest.mark.skipif(not PANDALM.exists(), reason="../shared/data/pandalm is missing")
def test_pandalm() -> None:
    items = json.loads(PANDALM.read_text("utf-8"))
    table: Rows = [[item[f"annotator{i}"] for item in items] for i in (1, 2, 3)]
    kappas = [cohen_kappa(table[a], table[b]).value for a, b in ((0, 1), (0, 2), (1, 2))]
    assert kappas == pytest.approx([0.8520, 0.8789, 0.8617], abs=5e-5)
    assert fleiss_kappa(table).value == pytest.approx(0.8642, abs=5e-5)
    assert krippendorff_alpha(table).value == pytest.approx(0.8642, abs=5e-5)
    assert sum(a == b == c for a, b, c in zip(*table, strict=True)) == 879
    most = majority(table)
    assert [int((most == label).sum()) for label in (0, 1, 2)] == [105, 422, 472]
