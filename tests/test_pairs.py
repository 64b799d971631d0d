"""pairs.py: strategies, guards, provenance, and what must not matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pref_argilla.consensus import ConsensusMethod, consensus
from pref_argilla.pairs import PairOptions, PairSet, Reason, Strategy, Voters, make_pairs
from pref_argilla.schema import AnnotatorKind, Completion, FinishReason, Ranking, ResponseStatus, Task

LETTERS = "abcdefgh"


def completions(*texts: str) -> dict[str, Completion]:
    return {LETTERS[i]: Completion(LETTERS[i], "p", f"model-{LETTERS[i]}", text) for i, text in enumerate(texts)}


FOUR = completions("alpha", "beta", "gamma", "delta epsilon")
TASK = Task("t", "p", tuple("abcd"))


def submitted(who: str, *ranks: int | None, task: str = "t") -> Ranking:
    return Ranking(task, who, ResponseStatus.SUBMITTED, ranks)


def of(found: PairSet) -> list[tuple[str, str]]:
    return [(pair.chosen_id, pair.rejected_id) for pair in found.pairs]


def refusals(found: PairSet) -> list[tuple[str, str, Reason]]:
    return [(refused.chosen_id, refused.rejected_id, refused.reason) for refused in found.refused]


@pytest.mark.parametrize(
    ("strategy", "ranks", "pairs", "ties"),
    [
        (Strategy.BEST_WORST, (1, 2, 3, 4), "ad", ""),
        (Strategy.BEST_WORST, (1, 1, 2, 3), "ad bd", ""),
        (Strategy.BEST_WORST, (1, 2, 2, 2), "ab ac ad", ""),
        (Strategy.BEST_WORST, (1, 1, 1, 1), "", "ab ac ad bc bd cd"),
        (Strategy.BEST_REST, (2, 1, 3, 3), "ba bc bd", ""),
        (Strategy.BEST_REST, (1, 1, 2, 3), "ac ad bc bd", "ab"),
        (Strategy.ADJACENT, (4, 3, 2, 1), "dc cb ba", ""),
        (Strategy.ADJACENT, (1, 2, 2, 3), "ab ac bd cd", "bc"),
        (Strategy.ALL, (1, 2, 3, 3), "ab ac ad bc bd", "cd"),
    ],
)
def test_strategies(strategy: Strategy, ranks: tuple[int, ...], pairs: str, ties: str) -> None:
    found = make_pairs([TASK], FOUR, [submitted("ann", *ranks)], PairOptions(strategy=strategy))
    assert sorted(of(found)) == sorted((pair[0], pair[1]) for pair in pairs.split())
    assert sorted(refusals(found)) == sorted((tie[0], tie[1], Reason.TIE) for tie in ties.split())
    assert found.no_pair == (not pairs)


def test_a_pair_carries_how_it_came_about() -> None:
    rankings = [submitted("ann", 1, 2, 3, 4), submitted("bob", 1, 2, 3, 1), submitted("cem", 2, 3, 4, 1)]
    annotators = {"judge": AnnotatorKind.JUDGE, "ann": AnnotatorKind.PERSON}
    options = PairOptions(strategy=Strategy.ALL)
    found = make_pairs([TASK], FOUR, [*rankings, submitted("judge", 1, 2, 3, 4)], options, annotators=annotators)
    # a and d: one for each, one tie. Both beat b and c, a by more, so Borda puts a first.
    assert of(found) == [("a", "d"), ("a", "b"), ("a", "c"), ("d", "b"), ("d", "c"), ("b", "c")]
    pair = found.pairs[4]
    assert (pair.prompt_id, pair.task_id, pair.strategy, pair.rank_gap) == ("p", "t", "all", 2)
    assert (pair.chosen_origin, pair.rejected_origin) == ("model-d", "model-c")
    assert (pair.annotators, pair.votes_for, pair.votes_against, pair.votes_tie) == (3, 2, 1, 0)
    assert pair.margin == pytest.approx(1 / 3)
    assert pair.agreement == pytest.approx(2 / 3)
    assert pair.soft_label == pytest.approx(2.5 / 4)
    assert pair.weight == pytest.approx(1 / 6)
    assert pair.length_difference == len("delta epsilon") - len("gamma")
    assert (pair.evaluated_by, pair.judge_label, pair.source) == ("people", -1, "ranking")
    assert found.pairs[0].judge_label == 1
    assert (found.pairs[0].margin, found.pairs[0].votes_tie) == (0.0, 1)


def test_ties_count_half_in_the_soft_label() -> None:
    rankings = [submitted("ann", 1, 2), submitted("bob", 1, 1)]
    pair = make_pairs([Task("t", "p", ("a", "b"))], FOUR, rankings).pairs[0]
    assert (pair.votes_for, pair.votes_tie, pair.margin, pair.agreement) == (1, 1, 0.5, 0.5)
    assert pair.soft_label == pytest.approx((1 + 0.5 + 0.5) / 3)


@pytest.mark.parametrize("status", [ResponseStatus.DRAFT, ResponseStatus.DISCARDED, ResponseStatus.WITHDRAWN])
def test_only_submitted_rankings_count(status: ResponseStatus) -> None:
    other = Task("u", "q", tuple("abcd"))
    rankings = [
        submitted("ann", 1, 2, 3, 4),
        Ranking("t", "bob", status, (4, 3, 2, 1)),
        Ranking("u", "bob", status, (None,) * 4),
    ]
    found = make_pairs([TASK, other], FOUR, rankings)
    assert of(found) == [("a", "d")]
    assert found.pairs[0].annotators == 1
    assert (found.tasks, found.no_ranking, found.no_pair) == (2, 1, 0)


def test_tasks_without_a_ranking_need_no_completions() -> None:
    found = make_pairs([Task("t", "p", ("x", "y"))], {}, [])
    assert (found.pairs, found.refused, found.tasks, found.no_ranking) == ((), (), 1, 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"text": "  ALPHA\n"}, Reason.EQUAL_TEXT),
        ({"text": " \u200b"}, Reason.EMPTY),
        ({"text": True}, Reason.NOT_TEXT),
        ({"finish_reason": FinishReason.LENGTH}, Reason.CUT_OFF),
        ({"finish_reason": FinishReason.CONTENT_FILTER}, Reason.CUT_OFF),
        ({"refusal": True}, Reason.REFUSAL),
    ],
)
def test_guards(change: dict[str, object], reason: Reason) -> None:
    task = Task("t", "p", ("a", "b"))
    pool = {**FOUR, "b": replace(FOUR["b"], **change)}  # type: ignore[arg-type]
    found = make_pairs([task], pool, [submitted("ann", 1, 2)])
    assert (of(found), refusals(found)) == ([], [("a", "b", reason)])
    assert found.counts == {reason: 1}
    assert found.no_pair == 1
    # The same completion as the chosen one is refused just so.
    assert refusals(make_pairs([task], pool, [submitted("ann", 2, 1)])) == [("b", "a", reason)]


def test_refusals_when_asked_for() -> None:
    pool = {**FOUR, "d": replace(FOUR["d"], refusal=True)}
    found = make_pairs([TASK], pool, [submitted("ann", 1, 2, 3, 4)], PairOptions(include_refusals=True))
    assert of(found) == [("a", "d")]


def test_an_unusable_worst_gives_way_to_the_next() -> None:
    pool = {**FOUR, "d": replace(FOUR["d"], finish_reason=FinishReason.LENGTH)}
    found = make_pairs([TASK], pool, [submitted("ann", 1, 2, 3, 4)])
    assert of(found) == [("a", "c")]
    assert refusals(found) == [("a", "d", Reason.CUT_OFF)]
    assert found.pairs[0].rank_gap == 2


@pytest.mark.parametrize("duplicates", [{"d": "a"}, {"a": "d"}, {"a": "z", "d": "z"}])
def test_near_duplicates(duplicates: dict[str, str]) -> None:
    found = make_pairs([TASK], FOUR, [submitted("ann", 1, 2, 3, 4)], duplicates=duplicates)
    assert refusals(found) == [("a", "d", Reason.NEAR_DUPLICATE)]
    assert of(make_pairs([TASK], FOUR, [submitted("ann", 1, 2, 3, 4)], duplicates={"b": "a"})) == [("a", "d")]


def test_thresholds() -> None:
    task = Task("t", "p", ("a", "b"))
    three = [submitted("ann", 1, 2), submitted("bob", 1, 2), submitted("cem", 2, 1)]

    def reason(**options: float) -> list[Reason]:
        found = make_pairs([task], FOUR, three, PairOptions(**options))  # type: ignore[arg-type]
        return [refused.reason for refused in found.refused]

    assert reason() == []
    assert reason(min_annotators=3) == []
    assert reason(min_annotators=4) == [Reason.TOO_FEW_ANNOTATORS]
    # A threshold that is reached passes: 1/3 and 2/3.
    assert reason(min_margin=1 / 3) == []
    assert reason(min_margin=0.3333333333334) == []
    assert reason(min_margin=0.34) == [Reason.LOW_MARGIN]
    assert reason(min_agreement=2 / 3) == []
    assert reason(min_agreement=0.67) == [Reason.LOW_AGREEMENT]


def test_a_chosen_that_loses_directly_is_refused_whatever_the_margin() -> None:
    # Borda puts b first, although 3 of 5 put a above it.
    rankings = [submitted(f"a{i}", 1, 2, 3, 4) for i in range(3)] + [submitted(f"b{i}", 4, 1, 2, 3) for i in range(2)]
    options = PairOptions(consensus_method=ConsensusMethod.BORDA, strategy=Strategy.BEST_REST, min_margin=-1.0)
    found = make_pairs([TASK], FOUR, rankings, options)
    assert ("b", "a", Reason.LOSES_DIRECTLY) in refusals(found)
    assert sorted(of(found)) == [("b", "c"), ("b", "d")]


def test_an_even_direct_comparison_passes_by_default() -> None:
    # a and b are 1 to 1, but a beats c twice and b only once.
    rankings = [
        submitted("ann", 1, 2, 3),
        submitted("bob", 2, 1, 3),
        submitted("cem", 1, 3, 2),
        submitted("dil", 2, 1, 3),
    ]
    found = make_pairs([Task("t", "p", ("a", "b", "c"))], FOUR, rankings, PairOptions(strategy=Strategy.ALL))
    margins = {(pair.chosen_id, pair.rejected_id): pair.margin for pair in found.pairs}
    assert margins == {("a", "b"): 0.0, ("a", "c"): 1.0, ("b", "c"): 0.5}
    strict = make_pairs(
        [Task("t", "p", ("a", "b", "c"))], FOUR, rankings, PairOptions(strategy=Strategy.ALL, min_margin=0.1)
    )
    assert refusals(strict) == [("a", "b", Reason.LOW_MARGIN)]


def test_weights_move_consensus_and_margin_but_not_the_counts() -> None:
    task = Task("t", "p", ("a", "b"))
    rankings = [submitted("ann", 1, 2), submitted("bob", 2, 1)]
    assert refusals(make_pairs([task], FOUR, rankings)) == [("a", "b", Reason.TIE)]
    pair = make_pairs([task], FOUR, rankings, weights={"bob": 3.0}).pairs[0]
    assert (pair.chosen_id, pair.margin, pair.votes_for, pair.votes_against, pair.agreement) == ("b", 0.5, 1, 1, 0.5)


def test_the_cap_keeps_the_clearest_pairs_and_weights_sum_to_one() -> None:
    second = Task("u", "p", ("e", "f"))
    pool = {**FOUR, **{letter: Completion(letter, "p", "m", letter * 5) for letter in "ef"}}
    rankings = [
        submitted("ann", 1, 2, 3, 4),
        submitted("bob", 1, 2, 4, 3),
        submitted("ann", 1, 2, task="u"),
    ]
    everything = PairOptions(strategy=Strategy.ALL)
    found = make_pairs([TASK, second], pool, rankings, everything)
    assert len(found.pairs) == 6
    assert sum(pair.weight for pair in found.pairs) == pytest.approx(1)
    capped = make_pairs([TASK, second], pool, rankings, replace(everything, max_pairs_per_prompt=2))
    # All margins are 1 but c-d, which is tied; the greatest rank gap is 2.
    assert of(capped) == [("a", "c"), ("a", "d")]
    assert {pair.weight for pair in capped.pairs} == {0.5}
    assert capped.counts == {Reason.TIE: 1, Reason.PAIR_CAP: 4}
    assert capped.no_pair == 1
    assert make_pairs([TASK], pool, rankings, replace(everything, max_pairs_per_prompt=0)).pairs == ()


def test_the_same_and_the_opposite_pair_in_two_tasks() -> None:
    tasks = [
        Task("t", "p", ("a", "b")),
        Task("u", "p", ("b", "a")),
        Task("v", "p", ("a", "c")),
        Task("w", "p", ("a", "c")),
    ]
    rankings = [
        submitted("ann", 1, 2),
        submitted("ann", 2, 1, task="u"),
        submitted("ann", 1, 2, task="v"),
        submitted("ann", 2, 1, task="w"),
    ]
    found = make_pairs(tasks, FOUR, rankings)
    assert of(found) == [("a", "b")]
    assert [(r.task_id, r.reason) for r in found.refused] == [
        ("u", Reason.REPEATED),
        ("v", Reason.CONTRADICTED),
        ("w", Reason.CONTRADICTED),
    ]
    assert found.pairs[0].weight == 1


def test_voters() -> None:
    task = Task("t", "p", ("a", "b"))
    judges = {"j1": AnnotatorKind.JUDGE, "j2": AnnotatorKind.JUDGE}
    mixed = [submitted("ann", 1, 2), submitted("j1", 2, 1), submitted("j2", 2, 1)]

    def chosen(rankings: Sequence[Ranking], voters: Voters) -> list[tuple[str, str, int | None]]:
        found = make_pairs([task], FOUR, rankings, PairOptions(voters=voters), annotators=judges)
        return [(pair.chosen_id, pair.evaluated_by, pair.judge_label) for pair in found.pairs]

    assert chosen(mixed, Voters.PEOPLE_FIRST) == [("a", "people", -1)]
    assert chosen(mixed, Voters.BOTH) == [("b", "both", 1)]
    assert chosen(mixed, Voters.JUDGES) == [("b", "judges", 1)]
    assert chosen(mixed, Voters.PEOPLE) == [("a", "people", -1)]
    assert chosen(mixed[1:], Voters.PEOPLE_FIRST) == [("b", "judges", 1)]
    assert chosen(mixed[1:], Voters.PEOPLE) == []
    split = [submitted("ann", 1, 2), submitted("j1", 2, 1), submitted("j2", 1, 2)]
    assert chosen(split, Voters.PEOPLE_FIRST) == [("a", "people", None)]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="3 ranks, not 4"):
        make_pairs([TASK], FOUR, [submitted("ann", 1, 2, 3)])
    with pytest.raises(ValueError, match="two submitted"):
        make_pairs([TASK], FOUR, [submitted("ann", 1, 2, 3, 4), submitted("ann", 4, 3, 2, 1)])
    with pytest.raises(ValueError, match="Completion d of task t is not given"):
        make_pairs([TASK], completions("x", "y", "z"), [submitted("ann", 1, 2, 3, 4)])


@st.composite
def ballots(draw: st.DrawFn) -> list[tuple[int, ...]]:
    size = draw(st.integers(2, 5))
    return draw(st.lists(st.tuples(*[st.integers(1, size)] * size), min_size=1, max_size=5))


@settings(max_examples=150, deadline=None)
@given(
    st.data(),
    ballots(),
    st.sampled_from(Strategy),
    st.sampled_from(ConsensusMethod),
    st.one_of(st.none(), st.integers(1, 3)),
)
def test_slots_and_the_order_of_rankings_do_not_matter(
    data: st.DataObject,
    rows: list[tuple[int, ...]],
    strategy: Strategy,
    method: ConsensusMethod,
    cap: int | None,
) -> None:
    size = len(rows[0])
    pool = completions(*(f"text {i}" * (i + 1) for i in range(size)))
    options = PairOptions(strategy=strategy, consensus_method=method, max_pairs_per_prompt=cap)
    rankings = [submitted(f"a{i}", *row) for i, row in enumerate(rows)]
    expected = make_pairs([Task("t", "p", tuple(LETTERS[:size]))], pool, rankings, options)
    slots = data.draw(st.permutations(range(size)))
    moved = [replace(r, ranks=tuple(r.ranks[i] for i in slots)) for r in data.draw(st.permutations(rankings))]
    found = make_pairs([Task("t", "p", tuple(LETTERS[i] for i in slots))], pool, moved, options)
    assert found == expected


@settings(max_examples=150, deadline=None)
@given(ballots(), st.sampled_from(Strategy), st.sampled_from(ConsensusMethod))
def test_pairs_say_what_people_ranked(rows: list[tuple[int, ...]], strategy: Strategy, method: ConsensusMethod) -> None:
    size = len(rows[0])
    pool = completions(*(f"text {i}" for i in range(size)))
    rankings = [submitted(f"a{i}", *row) for i, row in enumerate(rows)]
    found = make_pairs(
        [Task("t", "p", tuple(LETTERS[:size]))], pool, rankings, PairOptions(strategy=strategy, consensus_method=method)
    )
    ranks = consensus(rows, method)
    for pair in found.pairs:
        better, worse = LETTERS.index(pair.chosen_id), LETTERS.index(pair.rejected_id)
        assert ranks[better] < ranks[worse], "a tie makes no pair"
        assert pair.votes_for == sum(row[better] < row[worse] for row in rows)
        assert pair.votes_against == sum(row[better] > row[worse] for row in rows) <= pair.votes_for
        assert pair.votes_for + pair.votes_against + pair.votes_tie == pair.annotators == len(rows)
        assert 0 < pair.soft_label < 1
    if found.pairs:
        assert sum(pair.weight for pair in found.pairs) == pytest.approx(1)
    # Every combination that "all" asks for is made or refused, once.
    if strategy is Strategy.ALL:
        seen = sorted(tuple(sorted(both)) for both in [*of(found), *((r[0], r[1]) for r in refusals(found))])
        assert seen == sorted(combinations(LETTERS[:size], 2))
