"""The main job with the real things: ``pref-argilla demo`` with the bundled model and encoder, then two people in Chromium.

They rank by keyboard and mouse: a strict order, a tie, a discard, a draft, and an edit of what was submitted. Pull and export
say exactly that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from browser import Annotator, chromium, sign_in
from pref_argilla.schema import ResponseStatus
from pref_argilla.server import EmbeddedServer
from pref_argilla.store import Store
from project import REPOSITORY, Project
from running_argilla import Api, free_port

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.browser, pytest.mark.model]

PROMPTS = [
    "Write one short sentence about the sea.",
    "Name three colours.",
    "Kısa bir selamlama yaz.",
    "What is two plus two?",
    "Write one short sentence about the  SEA.",
    "Say good night in one sentence.",
    "Name two animals that can fly.",
    "Bir meyve adı söyle.",
    "Finish the sentence: the sun is",
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project(tmp_path_factory.mktemp("demo") / "demo project")
    try:
        yield project
    finally:
        EmbeddedServer(project.folder / ".argilla", base_environ=project.variables()).down()


@pytest.fixture(scope="module")
def demo(project: Project) -> dict[str, Any]:
    project.folder.mkdir()
    file = project.write_jsonl("prompts.jsonl", [{"prompt": text} for text in PROMPTS])
    return project.ok("demo", "--prompts", file, "--port", str(free_port()), "--project", str(project.folder))


def test_demo_brings_tasks_before_two_annotators(project: Project, demo: dict[str, Any]) -> None:
    assert [bool(a["password"]) for a in demo["annotators"]] == [True, True]
    assert demo["pushed"] >= 5
    status = project.ok("status")
    assert status["held_back"]["duplicate prompt"] == 1
    assert status["completions"].keys() == {"small-local"}
    again = project.ok(
        "demo", "--port", str(free_port()), "--project", str(project.folder), "--prompts", "prompts.jsonl"
    )
    assert (again["url"], again["pushed"], again["unchanged"]) == (demo["url"], 0, demo["pushed"])
    assert [a["password"] for a in again["annotators"]] == [None, None]
    passwords = [a["password"].encode() for a in demo["annotators"]]
    kept = [path for path in project.folder.iterdir() if path.is_file()]
    assert kept and not any(password in path.read_bytes() for path in kept for password in passwords)


def submit(annotator: Annotator, ranks: dict[str, int]) -> str:
    record = annotator.record_id
    assert record is not None
    annotator.rank(ranks)
    assert annotator.placed() == ranks
    annotator.submit()
    return record


def test_two_people_rank_in_the_browser(project: Project, demo: dict[str, Any]) -> None:
    dataset = demo["page"].split("/dataset/")[1].split("/")[0]
    with chromium() as browser:
        first, second = (sign_in(browser, demo["url"], a["username"], a["password"]) for a in demo["annotators"])
        first.open_dataset(dataset)
        # What is shown under A is the completion in the first slot.
        slots = _slots(project, dataset)
        assert first.record_id is not None
        shown = first.fields()
        for title, text in zip("ABC", slots[first.record_id][1], strict=True):
            assert _letters(text)[:80] in _letters(shown[title])

        strict = submit(first, {"A": 2, "B": 3, "C": 1})
        tie = submit(first, {"A": 1, "B": 1, "C": 2})
        discarded = first.record_id
        first.discard()
        draft = first.record_id
        first.rank({"B": 1})
        first.save_draft()
        # The draft is no longer pending; a flag and a comment go with the next one.
        first.open_dataset(dataset)
        flagged = first.record_id
        assert flagged not in (strict, tie, discarded, draft)
        first.rank({"A": 3, "B": 3, "C": 3})
        first.flag("Unsafe or offensive")
        first.submit()
        assert project.ok("sync", "pull")["new"] == 5

        # An edit of what was submitted: the newest decides.
        first.open_dataset(dataset, "submitted")
        while first.record_id != strict:
            first.next_record()
        first.rank({"A": 1, "B": 2, "C": 3})
        first.submit()

        second.open_dataset(dataset)
        record = second.record_id
        assert record is not None
        for title, rank in {"A": 2, "B": 1, "C": 2}.items():
            second.drag(title, rank)
        second.submit()
        first.guard.assert_quiet()
        second.guard.assert_quiet()

    pulled = project.ok("sync", "pull")
    assert (pulled["new"], pulled["edited"], pulled["withdrawn"]) == (1, 1, 0)
    submitted, nothing = ResponseStatus.SUBMITTED, (None, None, None)
    with Store(project.folder, writable=False) as store:
        names = {id_: a.name for id_, a in store.annotators().items()}
        got = {
            (slots_of, names[r.annotator_id]): (r.status, r.ranks, r.flags) for slots_of, r in _by_record(store, slots)
        }
        changes = [c.change for c in store.ranking_history()]
    one, two = (a["username"] for a in demo["annotators"])
    assert got == {
        (strict, one): (submitted, (1, 2, 3), ()),
        (tie, one): (submitted, (1, 1, 2), ()),
        (discarded, one): (ResponseStatus.DISCARDED, nothing, ()),
        (draft, one): (ResponseStatus.DRAFT, (None, 1, None), ()),
        (flagged, one): (submitted, (1, 1, 1), ("unsafe",)),
        (record, two): (submitted, (2, 1, 2), ()),
    }
    assert changes.count("edited") == 1
    status = project.ok("status")
    assert (status["rankings"], status["rankings_with_ties"]) == (4, 3)
    assert {a["name"]: (a["submitted"], a["draft"], a["discarded"]) for a in status["annotators"]} == {
        one: (3, 1, 1),
        two: (1, 0, 0),
    }

    # The pairs, all of them, from what was just done by hand.
    rankings: dict[str, list[tuple[int, ...]]] = {}
    for (record_id, _), (state, ranks, _) in got.items():
        if state is submitted:
            rankings.setdefault(record_id, []).append(ranks)
    expected = set()
    for record_id, votes in rankings.items():
        for i, j in combinations(range(3), 2):
            margin = sum((v[i] < v[j]) - (v[i] > v[j]) for v in votes)
            if margin:
                texts = slots[record_id][1]
                expected.add((texts[i], texts[j]) if margin > 0 else (texts[j], texts[i]))
    out = project.folder / "pairs"
    exported = project.ok("export", "--out", str(out), "--strategy", "all", "--test-share", "0")
    rows = [json.loads(line) for line in (out / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    found = {(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows}
    if record == strict:
        # Two rankings of one task: consensus is Copeland's, and decided pairs are those above.
        assert found <= expected
    else:
        assert found == expected
    assert exported["rows"]["train"] == len(rows)
    assert {row["prompt"][0]["content"] for row in rows} <= set(PROMPTS)


def test_a_withdrawn_answer_leaves_the_next_export(project: Project, demo: dict[str, Any]) -> None:
    keys = EmbeddedServer(project.folder / ".argilla", base_environ=project.variables()).credentials()
    before = project.ok("status")["rankings"]
    with Store(project.folder, writable=False) as store:
        gone = next(r for r in store.rankings() if r.status is ResponseStatus.SUBMITTED)
    with Api(demo["url"], keys.api_key) as owner:
        owner.call("DELETE", f"/responses/{gone.response_id}")
    assert project.ok("sync", "pull")["withdrawn"] == 1
    status = project.ok("status")
    assert status["rankings"] == before - 1
    assert sum(a["withdrawn"] for a in status["annotators"]) == 1


def test_everything_is_there_after_down_and_up(project: Project, demo: dict[str, Any]) -> None:
    port = demo["url"].rsplit(":", 1)[1]
    assert project.ok("server", "down")["stopped"]
    assert project.run("sync", "pull").code == 1
    up = project.ok("server", "up", "--port", port)
    assert not up["already_running"]
    assert project.ok("server", "up", "--port", port)["already_running"]
    pulled = project.ok("sync", "pull", "--full")
    assert (pulled["scanned"], pulled["new"], pulled["edited"], pulled["withdrawn"]) == (True, 0, 0, 0)


def test_the_recipe_does_the_same_as_library_calls(tmp_path: Path, project: Project, demo: dict[str, Any]) -> None:
    import subprocess
    import sys

    recipe = REPOSITORY / "scripts" / "llm_generated_human_evaluated.py"
    body = recipe.read_text(encoding="utf-8").split("def main")[1].split("if __name__")[0]
    assert len(body.splitlines()) < 60
    prompts = project.write_jsonl("few.jsonl", [{"prompt": text} for text in PROMPTS[:3]])
    folder = tmp_path / "recipe"
    command = [sys.executable, str(recipe), prompts, str(folder), str(free_port())]
    try:
        for attempt in range(2):
            done = subprocess.run(command, env=project.variables(), capture_output=True, text=True, timeout=200)
            assert done.returncode == 0, done.stderr
            assert ("3 new prompts" if attempt == 0 else "0 new prompts") in done.stdout
            assert "No pair yet" in done.stdout
    finally:
        EmbeddedServer(folder / ".argilla", base_environ=project.variables()).down()


def _letters(text: str) -> str:
    return "".join(re.findall(r"\w", text)).lower()


def _slots(project: Project, dataset: str) -> dict[str, tuple[str, list[str]]]:
    """Record id to task id and the texts in slot order."""
    server = EmbeddedServer(project.folder / ".argilla", base_environ=project.variables())
    with Api(server.status().url, server.credentials().api_key) as owner:
        records = owner.call("GET", f"/datasets/{dataset}/records", params={"limit": 1000})["items"]
    with Store(project.folder, writable=False) as store:
        task_of = {row.external_id: row.task_id for row in store.records(dataset).values()}
        tasks = {task.id: task for task in store.tasks()}
        texts = {c.id: c.text for c in store.completions()}
    return {
        r["id"]: (task_of[r["external_id"]], [texts[c] for c in tasks[task_of[r["external_id"]]].completion_ids])
        for r in records
    }


def _by_record(store: Store, slots: dict[str, tuple[str, list[str]]]) -> list[tuple[str, Any]]:
    record_of = {task: record for record, (task, _) in slots.items()}
    return [(record_of[r.task_id], r) for r in store.rankings()]
