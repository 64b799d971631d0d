"""``kill -9`` at random moments of generate, push, pull and export: the next run finishes, nothing is double or lost."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from argilla_api import ApiUser, Given
from endpoint import RunningEndpoint, running_endpoint
from pref_argilla.store import Store
from project import Project
from running_argilla import ArgillaServer

pytestmark = [pytest.mark.slow, pytest.mark.server]

PROMPTS = 120
KILLS = 10


def config(name: str, base_url: str) -> str:
    return f"""
[project]
name = "{name}"
[[models]]
name = "one"
model = "one"
base_url = "{base_url}"
api_key_variable = ""
concurrency = 4
price_prompt = 1.0
price_completion = 2.0
[[models]]
name = "two"
model = "two"
base_url = "{base_url}"
api_key_variable = ""
concurrency = 4
price_prompt = 1.0
price_completion = 2.0
[argilla]
min_submitted = 2
[dedupe]
encoder = "none"
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[RunningEndpoint]:
    with running_endpoint("--latency", "0.08", "--model", "one", "--model", "two") as running:
        yield running


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, argilla_server: ArgillaServer, endpoint: RunningEndpoint
) -> Project:
    environment = {"ARGILLA_API_URL": argilla_server.url, "ARGILLA_API_KEY": argilla_server.api_key}
    project = Project(tmp_path_factory.mktemp("kill"), environment)
    project.write_config(config("kill-test", endpoint.base_url))
    rows = [{"prompt": f"Question number {n}?"} for n in range(PROMPTS)]
    project.ok("prompts", "add", project.write_jsonl("prompts.jsonl", rows))
    return project


def kill_at_random(project: Project, arguments: tuple[str, ...], rng: random.Random, longest: float) -> int:
    """Run and kill again and again, at moments spread over the command's life; returns how many kills hit it alive."""
    hits = 0
    for attempt in range(KILLS):
        process = project.start(*arguments)
        # Spread, not merely random: the first kills come early, the last ones late.
        time.sleep(longest * (attempt + rng.random()) / KILLS)
        if process.poll() is None:
            process.kill()
            hits += 1
        _, err = process.communicate()
        assert "Traceback" not in err, err
    return hits


def duration(project: Project, *arguments: str) -> float:
    started = time.monotonic()
    project.ok(*arguments)
    return time.monotonic() - started


def test_1_generate(project: Project, endpoint: RunningEndpoint) -> None:
    # 360 answers, 8 at once, 80 ms each: 3.6 s of asking after a second of starting.
    hits = kill_at_random(project, ("generate",), random.Random(1), 4.0)
    # On a quick machine the last ones come too late; a few must have hit it at work.
    assert hits >= 3
    before = project.ok("status")["requests"]
    report = project.ok("generate")
    assert before + report.get("saved", 0) == PROMPTS * 3
    stats = endpoint.stats()
    assert stats["billed_most_for_one_key"] == 1
    assert stats["billed"] == PROMPTS * 3, "no answer is paid for that the project does not use"
    again = project.ok("generate")
    assert again["requests"] == 0
    assert endpoint.stats()["requests"] == stats["requests"]
    status = project.ok("status")
    assert sum(status["completions"].values()) == PROMPTS * 3
    assert float(status["cost"]) == pytest.approx(PROMPTS * 3 * (10 * 1.0 + 20 * 2.0) / 1e6)


def test_2_push(project: Project, argilla_server: ArgillaServer) -> None:
    project.ok("dedupe")
    hits = kill_at_random(project, ("sync", "push"), random.Random(2), 2.5)
    assert hits >= 3
    pushed = project.ok("sync", "push")
    assert pushed["pushed"] + pushed["unchanged"] == PROMPTS
    member = project.ok("team", "add", "looker")["members"][0]
    with ApiUser(argilla_server.url, member["username"], member["password"]) as user:
        records = user.records(pushed["dataset_id"])
    assert len(records) == PROMPTS
    assert len({r["external_id"] for r in records}) == PROMPTS
    again = project.ok("sync", "push")
    assert (again["pushed"], again["unchanged"]) == (0, PROMPTS)
    with Store(project.folder, writable=False) as store:
        assert sum(1 for _ in store.tasks()) == PROMPTS


def test_3_pull(project: Project, argilla_server: ArgillaServer) -> None:
    dataset = project.ok("sync", "push")["dataset_id"]
    members = project.ok("team", "add", "kill-rater-1", "kill-rater-2")["members"]
    for number, member in enumerate(members):
        with ApiUser(argilla_server.url, member["username"], member["password"]) as user:
            given: list[Given] = [
                (record["id"], "submitted", {"a": 1, "b": 2 + number, "c": 3 - number})
                for record in user.records(dataset)
            ]
            user.answer_all(given)
    kill_at_random(project, ("sync", "pull"), random.Random(3), 2.5)
    project.ok("sync", "pull")
    with Store(project.folder, writable=False) as store:
        rankings = store.rankings()
        history = store.ranking_history()
    assert len(rankings) == len(history) == 2 * PROMPTS
    assert {r.ranks for r in rankings} == {(1, 2, 3), (1, 3, 2)}
    assert project.ok("sync", "pull")["new"] == 0


def test_4_export(project: Project) -> None:
    out = project.folder / "pairs"
    arguments = ("export", "--out", str(out), "--strategy", "all")
    longest = duration(project, *arguments)
    reference = {path.name: path.read_bytes() for path in out.iterdir()}
    assert len(json.loads(reference["manifest.json"])) > 0
    kill_at_random(project, arguments, random.Random(4), longest)
    # Whole at every moment: what stands there is an export, old or new.
    assert {path.name: path.read_bytes() for path in out.iterdir()} == reference
    project.ok(*arguments)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == reference
    assert _leftovers(project.folder) == []


def _leftovers(folder: Path) -> list[str]:
    known = {"pref-argilla.toml", "prompts.jsonl", "store.db", "store.db-wal", "store.db-shm", "store.lock", "pairs"}
    return [path.name for path in folder.iterdir() if path.name not in known]
