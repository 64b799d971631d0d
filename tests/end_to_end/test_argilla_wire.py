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
from running_argilla import Api, ArgillaServer, free_port

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
    failed: set[tuple[str, str, int]] = set()
    kinds = iter(FAULTS * 100)

    def once_each(method: str, path: str, body: bytes) -> str | None:
        if method == "POST" or (method, path, hash(body)) in failed:
            return None
        failed.add((method, path, hash(body)))
        return next(kinds)

    dataset = project.ok("sync", "push")["dataset_id"]
    # Again from an empty ledger: the store forgets what it sent, Argilla does not.
    with Store(project.folder, writable=True) as store, store._transaction() as db:
        db.execute("DELETE FROM records")
    wire.choose = once_each
    pushed = project.ok("sync", "push")
    assert pushed["pushed"] == TASKS
    wire.choose = lambda *_: None
    members = project.ok("team", "add", "wire-rater")["members"]
    assert annotate(argilla_server.url, dataset, members[0], {"a": 2, "b": 1, "c": 1}) == TASKS
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
    tmp_path: Path, argilla_server: ArgillaServer, wire: Wire
) -> None:
    """With Elasticsearch, a discarded answer without values makes every later upsert of its record fail with 500."""
    project = make_project(tmp_path / "poison", "poison-test", wire.url, argilla_server.api_key, tasks=9)
    wire.choose = lambda method, path, body: "500" if method == "PUT" and b"Answer 1 to 4" in body else None
    result = project.run("sync", "push", "--json")
    assert result.code == 3, result.err
    assert result.json["pushed"] == 8
    assert len(result.json["not_sent"]) == 1 and "Argilla refused it" in result.json["not_sent"][0]["reason"]
    assert project.ok("status")["refused_by_argilla"] == 1
    # Mended there, it goes with the next push.
    wire.choose = lambda *_: None
    pushed = project.ok("sync", "push")
    assert (pushed["pushed"], pushed["unchanged"], pushed["not_sent"]) == (1, 8, [])


def test_a_lost_answer_while_the_dataset_is_made_leaves_no_second_one(
    tmp_path: Path, argilla_server: ArgillaServer, wire: Wire
) -> None:
    """Creating is not repeated blindly: the command fails, and the next one makes the dataset whole."""
    project = make_project(tmp_path / "create", "create-test", wire.url, argilla_server.api_key, tasks=3)
    creations = ("POST /api/v1/workspaces", "POST /api/v1/datasets", "/fields", "/questions", "/publish")
    for creation in creations:
        hit: list[str] = []

        def once(method: str, path: str, body: bytes, creation: str = creation, hit: list[str] = hit) -> str | None:
            if method != "GET" and f"{method} {path}".endswith(creation) and not hit:
                hit.append(path)
                return "lost answer"
            return None

        wire.choose = once
        result = project.run("sync", "push", "--json")
        assert hit, creation
        assert result.code in (0, 1), result.err
    wire.choose = lambda *_: None
    assert project.ok("sync", "push")["pushed"] in (0, 3)
    with Api(argilla_server.url, argilla_server.api_key) as owner:
        named = [d for d in owner.call("GET", "/me/datasets")["items"] if d["name"] == "create-test"]
        assert [d["status"] for d in named] == ["ready"]
        assert owner.call("GET", f"/datasets/{named[0]['id']}/progress")["total"] == 3


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
