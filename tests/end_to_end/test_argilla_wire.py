"""The wire to Argilla fails: resets, lost and half answers, server errors, a restart in the middle. Nothing is double or lost."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from argilla_api import ApiUser
from pref_argilla.server import EmbeddedServer
from pref_argilla.store import Store
from project import Project
from proxy import FAULTS, Wire, faulty_wire
from running_argilla import ArgillaServer, free_port

pytestmark = [pytest.mark.slow, pytest.mark.server]

# More than two batches of a push, more than one page of a pull.
TASKS = 620
CONFIG = '[project]\nname = "{name}"\n[dedupe]\nencoder = "none"\n'


def make_project(folder: Path, name: str, url: str, api_key: str, tasks: int = TASKS) -> Project:
    project = Project(folder, {"ARGILLA_API_URL": url, "ARGILLA_API_KEY": api_key})
    project.write_config(CONFIG.format(name=name))
    rows = [
        {"prompt": f"Prompt {n}", "completion": f"Answer {k} to {n}", "origin": f"model-{k}"}
        for n in range(tasks)
        for k in range(3)
    ]
    project.ok("completions", "add", project.write_jsonl("answers.jsonl", rows))
    return project


@pytest.fixture
def wire(argilla_server: ArgillaServer) -> Iterator[Wire]:
    with faulty_wire(argilla_server.url) as wire:
        yield wire


def annotate(url: str, dataset_id: str, member: dict[str, str], ranks: dict[str, int]) -> int:
    with ApiUser(url, member["username"], member["password"]) as user:
        records = user.records(dataset_id)
        user.answer_all([(record["id"], "submitted", ranks) for record in records])
        return len(records)


def test_every_fault_on_every_request_of_push_and_pull(
    tmp_path: Path, argilla_server: ArgillaServer, wire: Wire
) -> None:
    """Each request meets one fault before it gets through, another kind each time."""
    project = make_project(tmp_path / "wire", "wire-test", wire.url, argilla_server.api_key)
    failed: set[tuple[str, str]] = set()
    kinds = iter(FAULTS * 100)

    def once_each(number: int, method: str, path: str) -> str | None:
        # Creating things is not repeated blindly: the SDK's POSTs must not meet a lost answer here.
        if method not in ("GET", "PUT") or "publish" in path or (method, path) in failed or not dataset:
            return None
        failed.add((method, path))
        return next(kinds)

    dataset: list[str] = []
    dataset.append(project.ok("sync", "push")["dataset_id"])
    # Again from an empty ledger: the store forgets what it sent, Argilla does not.
    with Store(project.folder, writable=True) as store, store._transaction() as db:
        db.execute("DELETE FROM records")
    wire.choose = once_each
    pushed = project.ok("sync", "push")
    assert pushed["pushed"] == TASKS
    wire.choose = lambda *_: None
    members = project.ok("team", "add", "wire-rater")["members"]
    assert annotate(argilla_server.url, dataset[0], members[0], {"a": 2, "b": 1, "c": 1}) == TASKS
    failed.clear()
    wire.choose = once_each
    pulled = project.ok("sync", "pull")
    assert (pulled["new"], pulled["complete"]) == (TASKS, True)
    faults = {fault for _, _, fault in wire.log if fault is not None}
    assert faults == set(FAULTS)
    with Store(project.folder, writable=False) as store:
        assert {r.ranks for r in store.rankings()} == {(2, 1, 1)}
    wire.choose = lambda *_: None
    assert project.ok("sync", "pull")["new"] == 0


def test_a_record_that_the_server_never_takes_is_named_and_the_rest_goes_through(
    tmp_path: Path, argilla_server: ArgillaServer
) -> None:
    """A discarded answer posted without values poisons its record: upserts of it fail with 500 from then on."""
    project = make_project(tmp_path / "poison", "poison-test", argilla_server.url, argilla_server.api_key, tasks=9)
    pushed = project.ok("sync", "push")
    member = project.ok("team", "add", "poisoner")["members"][0]
    with ApiUser(argilla_server.url, member["username"], member["password"]) as user:
        record = user.records(pushed["dataset_id"])[4]
        answer = user._client.post(f"/records/{record['id']}/responses", json={"status": "discarded"})
        assert answer.status_code == 500, "Argilla mended this: the workaround in push can go"
    with Store(project.folder, writable=True) as store, store._transaction() as db:
        db.execute("DELETE FROM records")
    result = project.run("sync", "push", "--json")
    assert result.code == 3, result.err
    assert result.json["pushed"] == 8
    assert len(result.json["not_sent"]) == 1 and "Argilla refused it" in result.json["not_sent"][0]["reason"]


def test_argilla_restarts_in_the_middle_of_push_and_pull(tmp_path: Path, server_environments: Path) -> None:
    server = EmbeddedServer(tmp_path / "argilla", server_environments, base_environ=os.environ)
    port = free_port()
    running = server.up(port=port)
    try:
        project = make_project(tmp_path / "p", "restart-test", running.url, server.credentials().api_key)

        def restart_after(seconds: float) -> threading.Thread:
            def work() -> None:
                time.sleep(seconds)
                server.down()
                server.up(port=port)

            thread = threading.Thread(target=work)
            thread.start()
            return thread

        thread = restart_after(3.0)
        pushed = project.ok("sync", "push")
        thread.join()
        assert pushed["pushed"] == TASKS
        member = project.ok("team", "add", "rater")["members"][0]
        assert annotate(running.url, pushed["dataset_id"], member, {"a": 1, "b": 1, "c": 2}) == TASKS
        thread = restart_after(1.5)
        pulled = project.ok("sync", "pull")
        thread.join()
        assert (pulled["new"], pulled["complete"]) == (TASKS, True)
        assert project.ok("sync", "pull")["new"] == 0
    finally:
        server.down()
