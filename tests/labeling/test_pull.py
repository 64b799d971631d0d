from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pref_argilla.labeling.pull import Scan, changes
from pref_argilla.labeling.push import BATCH_CHARACTERS, BATCH_RECORDS, batches
from pref_argilla.labeling.records import RecordBody, Unreadable
from pref_argilla.schema import Ranking, ResponseStatus
from pref_argilla.store import RankingChange

LIVE = (ResponseStatus.SUBMITTED, ResponseStatus.DRAFT, ResponseStatus.DISCARDED)


def rankings(statuses: tuple[ResponseStatus, ...]) -> st.SearchStrategy[list[Ranking]]:
    one = st.builds(
        lambda task, user, status, ranks, at: Ranking(
            task, user, status, ranks, f"resp-{task}-{user}", f"2026-01-01T00:00:{at:02d}"
        ),
        st.sampled_from(["t1", "t2", "t3"]),
        st.sampled_from(["u1", "u2"]),
        st.sampled_from(statuses),
        st.sampled_from([(1, 2, 3), (1, 1, 2), (3, 2, 1)]),
        st.integers(0, 3),
    )
    return st.lists(one, max_size=6, unique_by=lambda r: (r.task_id, r.annotator_id))


def scanned(seen: list[Ranking], *, complete: bool = True, unreadable: tuple[Unreadable, ...] = ()) -> Scan:
    return Scan(tuple(seen), unreadable, len(seen), 0, complete)


def apply(known: list[Ranking], lines: list[RankingChange]) -> dict[tuple[str, str], Ranking]:
    ledger = {(r.task_id, r.annotator_id): r for r in known}
    for line in lines:
        ledger[(line.ranking.task_id, line.ranking.annotator_id)] = line.ranking
    return ledger


@given(rankings((*LIVE, ResponseStatus.WITHDRAWN)), rankings(LIVE))
def test_applied_to_the_ledger_the_changes_give_what_was_seen(known: list[Ranking], seen: list[Ranking]) -> None:
    ledger = apply(known, changes(known, scanned(seen)))
    alive = {key: r for key, r in ledger.items() if r.status is not ResponseStatus.WITHDRAWN}
    assert alive == {(r.task_id, r.annotator_id): r for r in seen}
    # And the second pull has nothing to say.
    assert changes(list(ledger.values()), scanned(seen)) == []


@given(rankings(LIVE), rankings(LIVE))
def test_an_incomplete_scan_withdraws_nothing(known: list[Ranking], seen: list[Ranking]) -> None:
    assert all(line.change != "withdrawn" for line in changes(known, scanned(seen, complete=False)))


def test_an_edit_within_the_same_second_is_an_edit() -> None:
    old = Ranking("t", "u", ResponseStatus.SUBMITTED, (1, 2, 3), "r", "2026-01-01T00:00:00")
    new = replace(old, ranks=(1, 1, 2))
    assert changes([old], scanned([new])) == [RankingChange("edited", new)]


def test_an_unreadable_response_is_not_withdrawn() -> None:
    old = Ranking("t", "u", ResponseStatus.SUBMITTED, (1, 2, 3), "r", "2026-01-01T00:00:00")
    assert changes([old], scanned([], unreadable=(Unreadable("r", "why"),))) == []


@given(st.lists(st.integers(1, BATCH_CHARACTERS // 3), max_size=700))
def test_batches_hold_everything_once_within_the_limits(sizes: list[int]) -> None:
    bodies = [RecordBody(str(n), str(n), {}, "", size) for n, size in enumerate(sizes)]
    made = list(batches(bodies))
    assert [b for batch in made for b in batch] == bodies
    for batch in made:
        assert 1 <= len(batch) <= BATCH_RECORDS
        assert len(batch) == 1 or sum(b.characters for b in batch) <= BATCH_CHARACTERS
