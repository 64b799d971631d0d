"""``generate`` at the command line against a real endpoint: keys, unknown models, limits, rate limits, unusable answers."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from endpoint import RunningEndpoint, running_endpoint
from project import Project, Result

# Each command is a process of its own, which takes a third of a second to begin.
pytestmark = pytest.mark.slow

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
        sequence=[limited, failing, {"kind": "half"}, {"kind": "reset"}],
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
    result = project.run("generate", "--json")
    first = result.json
    assert (first["saved"], first["usable"], sum(first["marked"].values())) == (18, 14, 4)
    assert (result.code, first["still_missing"], first["askable"], first["short"]) == (3, 4, 4, 0)
    assert "pref-argilla generate" in result.err and "dedupe" not in result.err
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


def test_done_is_said_only_when_it_is(project: Project, endpoint: RunningEndpoint) -> None:
    endpoint.play(key=KEY, models=["good"])
    part = project.run("generate", "--limit", "5", "--json")
    assert (part.code, part.json["requests"], part.json["saved"], part.json["still_missing"]) == (3, 5, 5, 13)
    assert "Next:" not in part.err
    whole = project.run("generate")
    assert whole.code == 0 and "Next: pref-argilla dedupe" in whole.err


def test_prompts_that_can_never_have_their_answers_are_said(project: Project, endpoint: RunningEndpoint) -> None:
    endpoint.play(key=KEY, models=["good"], by_text={"Question 0": {"kind": "ok", "finish_reason": "length"}})
    for attempt in range(3):
        result = project.run("generate", "--json")
        assert result.code == 3
        found = result.json
        assert found["still_missing"] == 3
        assert (found["askable"], found["short"]) == (0, 1)
        assert found["requests"] == (18 if attempt == 0 else 0)
        assert "1 prompts cannot get 3 usable answers" in result.err
    assert "Nothing to ask" in project.run("generate").out


def test_one_shape_whatever_happens(project: Project, endpoint: RunningEndpoint) -> None:
    endpoint.play(key=KEY, models=["good"])
    estimate, done, nothing = project.ok("generate", "--estimate"), project.ok("generate"), project.ok("generate")
    assert list(estimate) == list(done) == list(nothing)
    kinds = [{key: type(value) for key, value in found.items()} for found in (estimate, done, nothing)]
    assert kinds[0] == kinds[1] == kinds[2]
    assert [found["still_missing"] for found in (estimate, done, nothing)] == [18, 0, 0]
    assert (estimate["saved"], done["saved"], nothing["saved"]) == (0, 18, 0)


def stop(project: Project, endpoint: RunningEndpoint, *signals: signal.Signals, quiet: bool = False) -> Result:
    """Send the signals to a run that has asked, a moment apart."""
    process = project.start("generate", "--json", *(["--quiet"] if quiet else []))
    deadline = time.monotonic() + 20
    while endpoint.stats()["requests"] < 8 and time.monotonic() < deadline:
        time.sleep(0.02)
    for one in signals:
        process.send_signal(one)
        time.sleep(0.4)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    return Result(process.returncode, out, err)


def test_sigterm_tidies_up_as_ctrl_c_does(project: Project, endpoint: RunningEndpoint) -> None:
    endpoint.play(key=KEY, models=["good"], latency=0.4)
    result = stop(project, endpoint, signal.SIGTERM)
    assert (result.code, result.json["interrupted"]) == (130, True)
    assert result.json["saved"] == endpoint.stats()["billed"] > 0
    assert "Interrupted." in result.err


def test_twice_ctrl_c_still_leaves_one_object(project: Project, endpoint: RunningEndpoint) -> None:
    endpoint.play(key=KEY, models=["good"], latency=5.0)
    result = stop(project, endpoint, signal.SIGINT, signal.SIGINT, quiet=True)
    assert (result.code, result.json) == (130, {"interrupted": True})
    assert result.err == ""
