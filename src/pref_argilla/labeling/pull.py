"""Rankings from Argilla: a mark that tells whether anything happened, a full scan by raw HTTP, and a ledger of differences.

``record.updated_at`` does not move when people edit, so it cannot tell what changed. ``dataset.last_activity_at`` does, on
every answer given, edited or withdrawn: unchanged means nothing to do. It is read before the scan, so that what happens
during the scan is seen by the next pull.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from pref_argilla.errors import LabelingAccessError, LabelingDataError
from pref_argilla.labeling.connection import Connection, RefusedRequestError
from pref_argilla.labeling.records import Unreadable, ranking_of
from pref_argilla.schema import Annotator, Ranking, ResponseStatus
from pref_argilla.store import RankingChange

PAGE_RECORDS = 500
# Deletions by others while we read shift the pages; a scan that saw fewer or more records than there are is made again.
SCAN_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Mark:
    """When something last happened in a dataset, and how many records it has."""

    last_activity_at: str
    total: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What a dataset holds now. ``complete`` is False when records kept coming and going while they were read."""

    rankings: tuple[Ranking, ...]
    unreadable: tuple[Unreadable, ...]
    records: int
    foreign_records: int
    complete: bool


def read_mark(connection: Connection, dataset_id: str) -> Mark:
    """Two requests. Raises LabelingDataError when the dataset is gone."""
    try:
        dataset = connection.request("GET", f"/datasets/{dataset_id}")
    except RefusedRequestError as exc:
        if exc.status != 404:
            raise
        raise LabelingDataError(
            f"Argilla at {connection.url} has no dataset with the id that this project pushed to.",
            cause="It was deleted there, or the address is another server's.",
            next_step="Correct [argilla] url, or run 'pref-argilla sync push': it makes a new dataset. "
            "Rankings already pulled are safe in the store.",
        ) from exc
    progress = connection.request("GET", f"/datasets/{dataset_id}/progress")
    return Mark(str(dataset["last_activity_at"]), int(progress["total"]))


def scan(
    connection: Connection,
    dataset_id: str,
    task_of: Mapping[str, str],
    slots: int,
    on_page: Callable[[int], None] | None = None,
) -> Scan:
    """Read every record with its responses. ``task_of`` maps external ids to task ids; other records are foreign.

    While the server makes a page, the one before is read in another thread.
    """
    for attempt in range(SCAN_ATTEMPTS):
        records: dict[str, _Answers] = {}

        def read(content: bytes, records: dict[str, _Answers] = records) -> int:
            """Returns how many records the server says there are."""
            page = connection.decode(content)
            for record in page["items"]:
                # Kept without the fields: a page of long answers is large, and the texts are ours already.
                records[record["id"]] = _answers(record, task_of, slots)
            return int(page["total"])

        total = offset = 0
        reading: Future[int] | None = None
        # The requests stay in this thread, so that Ctrl+C ends one that waits for a server that is away.
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="pages") as reader:
            while True:
                content = connection.content(
                    "GET",
                    f"/datasets/{dataset_id}/records",
                    params={"include": "responses", "limit": PAGE_RECORDS, "offset": offset},
                )
                offset += PAGE_RECORDS
                if reading is not None:
                    total = reading.result()
                reading = reader.submit(read, content)
                # Only the first page and what seems to be the last decide whether to go on.
                if offset == PAGE_RECORDS or offset >= total:
                    total = reading.result()
                if on_page is not None:
                    on_page(len(records))
                if offset >= total:
                    break
        complete = len(records) == total
        if complete or attempt == SCAN_ATTEMPTS - 1:
            return _summary(records.values(), complete)
    raise AssertionError("unreachable")


_Answers = tuple[Ranking | Unreadable, ...] | None
"""What people said of one record; None for one that is not ours."""


def _answers(record: Mapping[str, Any], task_of: Mapping[str, str], slots: int) -> _Answers:
    task_id = task_of.get(str(record["external_id"]))
    if task_id is None:
        return None
    return tuple(ranking_of(response, task_id, slots) for response in record.get("responses") or ())


def _summary(records: Collection[_Answers], complete: bool) -> Scan:
    found = [answer for answers in records for answer in answers or ()]
    rankings = [answer for answer in found if isinstance(answer, Ranking)]
    unreadable = [answer for answer in found if isinstance(answer, Unreadable)]
    foreign = sum(answers is None for answers in records)
    return Scan(tuple(rankings), tuple(unreadable), len(records), foreign, complete)


def changes(known: Sequence[Ranking], seen: Scan) -> list[RankingChange]:
    """The ledger's next lines: what is new, edited, or was there and is gone.

    Compared by content, not by time alone: an edit within the clock's resolution is still an edit. Nothing is called
    withdrawn after an incomplete scan, nor when its response is there but unreadable.
    """
    before = {(r.task_id, r.annotator_id): r for r in known}
    lines: list[RankingChange] = []
    present: set[tuple[str, str]] = set()
    for ranking in seen.rankings:
        key = (ranking.task_id, ranking.annotator_id)
        present.add(key)
        old = before.get(key)
        if old is None:
            lines.append(RankingChange("new", ranking))
        elif old != ranking:
            lines.append(RankingChange("edited", ranking))
    if seen.complete:
        broken = {u.response_id for u in seen.unreadable}
        lines += [
            RankingChange("withdrawn", replace(old, status=ResponseStatus.WITHDRAWN))
            for key, old in before.items()
            if key not in present and old.status is not ResponseStatus.WITHDRAWN and old.response_id not in broken
        ]
    return lines


def read_annotators(connection: Connection, known: Mapping[str, Annotator], user_ids: set[str]) -> list[Annotator]:
    """Names for the users not known yet; a user that may not be looked up (needs an owner) is named by its id for now."""
    unnamed = {id_ for id_, annotator in known.items() if annotator.name == _stand_in(id_)}
    return [
        Annotator(user_id, _user_name(connection, user_id)) for user_id in sorted((user_ids - known.keys()) | unnamed)
    ]


def _user_name(connection: Connection, user_id: str) -> str:
    try:
        return str(connection.request("GET", f"/users/{user_id}")["username"])
    except (LabelingAccessError, RefusedRequestError):
        return _stand_in(user_id)


def _stand_in(user_id: str) -> str:
    return f"user-{user_id[:8]}"
