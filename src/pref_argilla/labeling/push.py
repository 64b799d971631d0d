"""Records to Argilla: bulk upserts by external id, so that sending a record again changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pref_argilla.labeling.connection import Connection, RefusedRequestError
from pref_argilla.labeling.records import RecordBody

# The server takes 500 records a request; smaller ones show progress and lose less when a connection breaks, at the same speed.
BATCH_RECORDS = 200
BATCH_CHARACTERS = 4_000_000
SERVER_ERRORS_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that Argilla does not take, and why."""

    body: RecordBody
    reason: str


@dataclass(slots=True)
class _Course:
    """How a push goes: what was refused, and how many single records in a row failed with a server error."""

    refused: list[Refused] = field(default_factory=list)
    server_errors: int = 0


def push_records(
    connection: Connection,
    dataset_id: str,
    bodies: Iterable[RecordBody],
    on_accepted: Callable[[Sequence[RecordBody]], None],
) -> list[Refused]:
    """Send ``bodies``; ``on_accepted`` is called after each request with those the server now has. Returns the refused ones.

    ``bodies`` may be made on the way: while the server works on one request, the records of the next are drawn in another
    thread. Escaping a task's texts takes a quarter of the time that the server takes to store it.

    One bad record makes the server refuse its whole request, naming only the first by position: the request is halved until
    the bad ones stand alone. Raises RefusedRequestError when single records keep failing with a server error: then the
    server is ill, not the records.
    """
    course = _Course()
    # The requests stay in this thread, so that Ctrl+C ends one that waits for a server that is away.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="records") as maker:
        waiting = batches(_letting_others_run(bodies))
        ahead = maker.submit(next, waiting, None)
        while (batch := ahead.result()) is not None:
            ahead = maker.submit(next, waiting, None)
            _push(connection, dataset_id, batch, on_accepted, course)
    return course.refused


def _push(
    connection: Connection,
    dataset_id: str,
    batch: Sequence[RecordBody],
    on_accepted: Callable[[Sequence[RecordBody]], None],
    course: _Course,
) -> None:
    try:
        connection.request("PUT", f"/datasets/{dataset_id}/records/bulk", json={"items": [body.json for body in batch]})
    except RefusedRequestError as exc:
        if exc.status == 404:
            raise
        if len(batch) == 1:
            course.server_errors += exc.status >= 500
            if course.server_errors >= SERVER_ERRORS_IN_A_ROW:
                raise
            course.refused.append(Refused(batch[0], f"Argilla refused it (HTTP {exc.status}): {exc.detail[:200]}"))
            return
        middle = len(batch) // 2
        _push(connection, dataset_id, batch[:middle], on_accepted, course)
        _push(connection, dataset_id, batch[middle:], on_accepted, course)
    else:
        course.server_errors = 0
        on_accepted(batch)


def _letting_others_run(bodies: Iterable[RecordBody]) -> Iterator[RecordBody]:
    """Python takes the interpreter from a busy thread only every 5 ms, and the thread that reads the server's answer would
    wait as long for each piece of it: together as much as making records meanwhile saves.
    """
    for body in bodies:
        time.sleep(0.0001)
        yield body


def batches(bodies: Iterable[RecordBody]) -> Iterator[Sequence[RecordBody]]:
    batch: list[RecordBody] = []
    characters = 0
    for body in bodies:
        if batch and (len(batch) >= BATCH_RECORDS or characters + body.characters > BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(body)
        characters += body.characters
    if batch:
        yield batch
