"""``generate`` at the command line against a real endpoint: keys, unknown models, limits, rate limits, unusable answers."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from endpoint import RunningEndpoint, running_endpoint
from project import Project

KEY = "sk-test-1234567890-very-secret"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[RunningEndpoint]:
    with running_endpoint() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, endpoint: RunningEndpoint) -> Project:
    project = Project(tmp_path / "p", {"TEST_KEY": KEY})
    write(project, endpoint)
    project.ok("prompts", "add", project.write_jsonl("p.jsonl", [{"prompt": f"Question {n}?"} for n in range(6)]))
    return project


def write(project: Project, endpoint: RunningEndpoint, model: str = "good", more: str = "") -> None:
    project.write_config(
        f"""
[project]
name = "p"
[[models]]
name = "a-model"
model = "{model}"
base_url = "{endpoint.base_url}"
api_key_variable = "TEST_KEY"
max_tokens = 20
price_prompt = 1000.0
price_completion = 1000.0
retries = 2
{more}
"""
    )


def test_a_wrong_key_stops_at_once_and_is_never_shown(project: Project, endpoint: RunningEndpoint) -> None:
    endpoint.play(key="sk-another", models=["good"])
    result = project.run("generate")
    assert result.code == 1
    assert "TEST_KEY" in result.err and "a-model" in result.err
    assert KEY not in result.err + result.out
    assert endpoint.stats()["billed"] == 0
    files = [path.read_bytes() for path in project.folder.iterdir() if path.is_file()]
    assert files and not any(KEY.encode() in content for content in files)


def test_an_unknown_model_stops_at_once(project: Project, endpoint: RunningEndpoint) -> None:
    endpoint.play(key=KEY, models=["good"])
    write(project, endpoint, model="goof")
    result = project.run("generate")
    assert result.code == 1
    assert "goof" in result.err


def test_tokens_and_cost_are_counted_and_said_before_and_after(project: Project, endpoint: RunningEndpoint) -> None:
    endpoint.play(key=KEY, models=["good"])
    before = project.ok("generate", "--estimate")
    assert before["requests"] == 18
    report = project.ok("generate")
    assert (report["saved"], report["prompt_tokens"], report["completion_tokens"]) == (18, 180, 360)
    assert float(report["cost"]) == pytest.approx(18 * 30 * 1000 / 1e6)
    assert float(before["cost_at_most"]) >= float(report["cost"])
    assert float(project.ok("status")["cost"]) == pytest.approx(float(report["cost"]))
    assert project.ok("generate")["requests"] == 0


def test_the_spend_limit_is_hard_and_is_the_projects(project: Project, endpoint: RunningEndpoint) -> None:
    endpoint.play(key=KEY, models=["good"])
    # An answer costs 0.03 dollars; at most 0.07 with the prompt's estimate.
    for _ in range(4):
        result = project.run("generate", "--max-cost", "0.2", "--json")
        assert result.code == 3, result.err
        assert result.json["stopped_by_budget"]
    spent = float(project.ok("status")["cost"])
    assert 0.1 < spent <= 0.2
    assert endpoint.stats()["billed"] * 0.03 == pytest.approx(spent)


def test_rate_limits_and_server_errors_are_waited_out(project: Project, endpoint: RunningEndpoint) -> None:
    failing = {"kind": "status", "status": 500}
    limited = {"kind": "status", "status": 429, "headers": {"Retry-After": "1"}}
    endpoint.play(
        key=KEY,
        models=["good"],
        sequence=[limited, {"kind": "status", "status": 500}, {"kind": "half"}, {"kind": "reset"}],
    )
    started = time.monotonic()
    report = project.ok("generate")
    assert report["saved"] == 18
    assert time.monotonic() - started >= 1.0
    assert endpoint.stats()["billed_most_for_one_key"] == 1


def test_unusable_answers_are_marked_and_topped_up(project: Project, endpoint: RunningEndpoint) -> None:
    bad = [
        {"kind": "ok", "finish_reason": "length"},
        {"kind": "ok", "content": "I'm sorry, but I can't help with that."},
        {"kind": "ok", "content": ""},
        {"kind": "ok", "finish_reason": "content_filter"},
    ]
    endpoint.play(key=KEY, models=["good"], sequence=bad)
    # The first prompt may get all of the bad ones; by default it would be given up after three.
    write(project, endpoint, more="[generate]\nmax_attempts = 5")
    first = project.ok("generate")
    assert (first["saved"], first["usable"], sum(first["marked"].values())) == (18, 14, 4)
    second = project.ok("generate")
    assert (second["saved"], second["usable"]) == (4, 4)
    status = project.ok("status")
    assert status["ready_to_send"] == 6
    assert sum(status["outcomes"].values()) == 22


def test_interrupted_it_saves_what_arrives_and_ends_with_130(project: Project, endpoint: RunningEndpoint) -> None:
    endpoint.play(key=KEY, models=["good"], latency=0.4)
    process = project.start("generate", "--json")
    deadline = time.monotonic() + 20
    while endpoint.stats()["requests"] < 10 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert out.count("\n") == 1
    saved = project.ok("status")["requests"]
    assert saved == endpoint.stats()["billed"]
    assert saved + project.ok("generate")["saved"] == 18
    assert endpoint.stats()["billed_most_for_one_key"] == 1
