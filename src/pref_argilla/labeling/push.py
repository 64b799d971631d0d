"""Records to Argilla: bulk upserts by external id, so that sending a record again changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pref_argilla.labeling.connection import Connection, RefusedRequestError
from pref_argilla.labeling.records import RecordBody, Unfit

# The server takes 500 records a request; smaller ones show progress and lose less when a connection breaks, at the same speed.
BATCH_RECORDS = 200
BATCH_CHARACTERS = 4_000_000


def push_records(
    connection: Connection,
    dataset_id: str,
    bodies: Sequence[RecordBody],
    on_accepted: Callable[[Sequence[RecordBody]], None],
) -> list[Unfit]:
    """Send ``bodies``; ``on_accepted`` is called after each request with those the server now has. Returns the refused ones.

    One bad record makes the server refuse its whole request, naming only the first by position: the request is halved until
    the bad ones stand alone.
    """
    refused: list[Unfit] = []
    for batch in batches(bodies):
        _push(connection, dataset_id, batch, on_accepted, refused)
    return refused


def _push(
    connection: Connection,
    dataset_id: str,
    batch: Sequence[RecordBody],
    on_accepted: Callable[[Sequence[RecordBody]], None],
    refused: list[Unfit],
) -> None:
    try:
        connection.request("PUT", f"/datasets/{dataset_id}/records/bulk", json={"items": [body.json for body in batch]})
    except RefusedRequestError as exc:
        if exc.status == 404:
            raise
        if len(batch) == 1:
            refused.append(Unfit(batch[0].task_id, f"Argilla refused it (HTTP {exc.status}): {exc.detail[:200]}"))
            return
        middle = len(batch) // 2
        _push(connection, dataset_id, batch[:middle], on_accepted, refused)
        _push(connection, dataset_id, batch[middle:], on_accepted, refused)
    else:
        on_accepted(batch)


def batches(bodies: Sequence[RecordBody]) -> Iterator[Sequence[RecordBody]]:
    start = characters = 0
    for end, body in enumerate(bodies):
        if end > start and (end - start >= BATCH_RECORDS or characters + body.characters > BATCH_CHARACTERS):
            yield bodies[start:end]
            start, characters = end, 0
        characters += body.characters
    if start < len(bodies):
        yield bodies[start:]
