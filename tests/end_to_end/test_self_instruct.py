"""The main job on real input: 252 prompts, four models' stored answers, three people ranking through Argilla's API.

The people look only at what Argilla shows them; what the pairs must be is computed here from the original texts by another
implementation of the rules in ``consensus.py`` and ``pairs.py``.
"""

from __future__ import annotations

import hashlib
import json
from itertools import combinations
from pathlib import Path

import pytest

from argilla_api import ApiUser, Given
from pref_argilla.labeling.markdown import to_markdown
from pref_argilla.text import is_refusal, normalise
from project import SHARED_DATA, Project
from running_argilla import ArgillaServer

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.model, pytest.mark.data]

MODELS = ("davinci", "davinci-self-instruct", "text-davinci-001", "text-davinci-003")
PEOPLE = ("rater-1", "rater-2", "rater-3")
CONFIG = """
[project]
name = "self-instruct"
[generate]
answers = 4
[argilla]
min_submitted = 3
[export]
strategy = "best_worst"
test_share = 0.2
"""


def opinion(person: str, shown: str) -> int:
    """A rank from 1 to 3 that depends on person and text alone: with four answers there is always a tie."""
    return 1 + hashlib.sha256(f"{person}|{shown}".encode()).digest()[0] % 3


def state(person: str, prompt_shown: str) -> str:
    draw = hashlib.sha256(f"{person}/{prompt_shown}".encode()).digest()[1] % 20
    return "discarded" if draw == 0 else "draft" if draw == 1 else "submitted"


def expected_pair(texts: list[str], rankings: list[dict[str, int]]) -> set[tuple[str, str]]:
    """Best against worst by Copeland, then Borda; undecided stays tied, and nobody is chosen who loses the direct vote."""
    margin = {(a, b): sum((r[a] < r[b]) - (r[a] > r[b]) for r in rankings) for a in texts for b in texts if a != b}
    score = {
        a: (
            sum((margin[a, b] > 0) - (margin[a, b] < 0) for b in texts if b != a),
            sum(margin[a, b] for b in texts if b != a),
        )
        for a in texts
    }
    best, worst = max(score.values()), min(score.values())
    if best == worst:
        return set()
    return {(a, b) for a in texts for b in texts if score[a] == best and score[b] == worst and margin[a, b] >= 0}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, argilla_server: ArgillaServer) -> Project:
    if not SHARED_DATA.exists():
        pytest.skip("../shared/data is missing: the 252 self-instruct prompts are not part of the project")
    environment = {"ARGILLA_API_URL": argilla_server.url, "ARGILLA_API_KEY": argilla_server.api_key}
    project = Project(tmp_path_factory.mktemp("self-instruct"), environment)
    project.write_config(CONFIG)
    return project


def test_pairs_are_exactly_what_three_people_said(project: Project, argilla_server: ArgillaServer) -> None:
    folder = SHARED_DATA / "self_instruct"
    for model in MODELS:
        added = (
            project.ok(
                *("completions", "add", str(folder / f"{model}_predictions.jsonl"), "--origin", model),
                *("--column", "prompt=prompt", "--column", "completion=response"),
            )
            if (empty := _bad_rows(folder, model)) == 0
            else _partly(project, folder, model, empty)
        )
        assert added["rows"] == 252
    answers = _answers(folder)
    assert project.ok("status")["prompts"] == 252

    deduped = project.ok("dedupe")
    pushed = project.ok("sync", "push")
    status = project.ok("status")
    assert pushed["pushed"] == status["tasks"] == status["sent"] > 100
    assert pushed["pushed"] + sum(pushed["held_back"].values()) == 252
    again = project.ok("sync", "push")
    assert (again["pushed"], again["unchanged"]) == (0, pushed["pushed"])

    members = project.ok("team", "add", *PEOPLE)["members"]
    seen: dict[str, dict[str, dict[str, int]]] = {}  # prompt, person, text
    texts_of: dict[str, list[str]] = {}
    by_shown = {to_markdown(text): text for texts in answers.values() for text in texts}
    for member in members:
        with ApiUser(argilla_server.url, member["username"], member["password"]) as user:
            given: list[Given] = []
            for record in user.records(pushed["dataset_id"]):
                fields = record["fields"]
                prompt = fields["prompt"][0]["content"]
                options = {name.removeprefix("answer_"): shown for name, shown in fields.items() if name != "prompt"}
                status_ = state(member["username"], prompt)
                ranks = {option: opinion(member["username"], shown) for option, shown in options.items()}
                if status_ == "draft":
                    ranks.pop("b")
                given.append((record["id"], status_, None if status_ == "discarded" else ranks))
                texts_of[prompt] = [by_shown[shown] for shown in options.values()]
                if status_ == "submitted":
                    seen.setdefault(prompt, {})[member["username"]] = {
                        by_shown[shown]: ranks[option] for option, shown in options.items()
                    }
            user.answer_all(given)
    assert len(texts_of) == pushed["pushed"]

    pulled = project.ok("sync", "pull")
    assert pulled["new"] == 3 * pushed["pushed"]
    assert project.ok("sync", "pull")["requests"] <= 3
    out = project.folder / "pairs"
    exported = project.ok("export", "--out", str(out))
    exported_lines = {
        split: (out / f"{split}.jsonl").read_text(encoding="utf-8").splitlines() for split in ("train", "test")
    }
    provenance = [json.loads(line) for line in (out / "provenance.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [json.loads(exported_lines[pair["split"]][pair["row"]]) for pair in provenance]
    assert len(rows) == sum(map(len, exported_lines.values()))
    assert len(rows) == sum(exported["rows"].values())

    expected = {
        (prompt, *pair)
        for prompt, rankings in seen.items()
        for pair in expected_pair(texts_of[prompt], list(rankings.values()))
    }
    got = [
        (to_markdown(r["prompt"][0]["content"]), r["chosen"][0]["content"], r["rejected"][0]["content"]) for r in rows
    ]
    assert len(got) == len(set(got)) > 100
    assert set(got) == expected
    for (prompt, chosen, rejected), pair in zip(got, provenance, strict=True):
        votes = [(r[rejected] > r[chosen]) - (r[rejected] < r[chosen]) for r in seen[prompt].values()]
        assert (pair["votes_for"], pair["votes_against"], pair["votes_tie"]) == (
            votes.count(1),
            votes.count(-1),
            votes.count(0),
        )
        assert pair["margin"] == pytest.approx(sum(votes) / len(votes))
        assert pair["chosen_origin"] in MODELS
    assert deduped["prompts"] == 252

    figures = {a["name"]: a for a in project.ok("status")["annotators"]}
    for person in PEOPLE:
        states = [state(person, prompt) for prompt in texts_of]
        assert figures[person]["submitted"] == states.count("submitted")
        assert figures[person]["draft"] == states.count("draft")
        assert figures[person]["discarded"] == states.count("discarded")


def test_shown_texts_are_the_stored_ones_and_no_origin_is_sent(project: Project, argilla_server: ArgillaServer) -> None:
    import httpx

    dataset = project.ok("sync", "push")["dataset_id"]
    answer = httpx.get(
        f"{argilla_server.url}/api/v1/datasets/{dataset}/records",
        params={"limit": 1000, "include": ["responses", "suggestions"]},
        headers={"X-Argilla-Api-Key": argilla_server.api_key},
        timeout=60,
    ).json()
    for record in answer["items"]:
        assert not record["metadata"]
        assert not any(model in json.dumps({k: v for k, v in record.items() if k != "fields"}) for model in MODELS)


def _answers(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for model in MODELS:
        for line in (folder / f"{model}_predictions.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found.setdefault(row["prompt"], []).append(row["response"])
    return found


def _bad_rows(folder: Path, model: str) -> int:
    """Rows without a text for an answer, which the reader must refuse."""
    lines = (folder / f"{model}_predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return sum(not json.loads(line)["response"].strip() for line in lines)


def _partly(project: Project, folder: Path, model: str, bad: int) -> dict[str, object]:
    result = project.run(
        *("completions", "add", str(folder / f"{model}_predictions.jsonl"), "--origin", model),
        *("--column", "prompt=prompt", "--column", "completion=response", "--json"),
    )
    assert result.code == 3
    assert sum(result.json["refused"].values()) == bad
    return result.json


def test_no_two_answers_of_a_task_are_equal(project: Project, argilla_server: ArgillaServer) -> None:
    dataset = project.ok("sync", "push")["dataset_id"]
    member = project.ok("team", "add", "rater-4")["members"][0]
    with ApiUser(argilla_server.url, member["username"], member["password"]) as user:
        for record in user.records(dataset):
            shown = [normalise(text) for name, text in record["fields"].items() if name != "prompt"]
            assert not any(a == b for a, b in combinations(shown, 2))
            assert not any(is_refusal(text) for text in shown)
