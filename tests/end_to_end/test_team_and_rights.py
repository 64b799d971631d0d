"""Who may do what in Argilla, and what changes after the first push."""

from __future__ import annotations

from pathlib import Path

import pytest

from argilla_api import ApiUser
from project import Project
from running_argilla import Api, ArgillaServer

pytestmark = [pytest.mark.slow, pytest.mark.server]

CONFIG = """
[project]
name = "{name}"
language = "{language}"
[generate]
answers = 2
[dedupe]
encoder = "none"
[argilla]
min_submitted = {min_submitted}
"""


def make(folder: Path, server: ArgillaServer, name: str, api_key: str = "", language: str = "en") -> Project:
    project = Project(folder, {"ARGILLA_API_URL": server.url, "ARGILLA_API_KEY": api_key or server.api_key})
    project.write_config(CONFIG.format(name=name, language=language, min_submitted=1))
    rows = [
        {"prompt": f"Prompt {n}", "completion": f"Answer {k}", "origin": f"o{k}"} for n in range(4) for k in range(2)
    ]
    project.ok("completions", "add", project.write_jsonl("a.jsonl", rows))
    return project


def test_wrong_key_and_missing_rights_are_named(tmp_path: Path, argilla_server: ArgillaServer) -> None:
    wrong = make(tmp_path / "wrong", argilla_server, "rights-wrong", "not-the-key")
    result = wrong.run("sync", "push")
    assert result.code == 1
    assert "does not accept the API key" in result.err and "ARGILLA_API_KEY" in result.err
    assert "not-the-key" not in result.err + result.out
    owner = make(tmp_path / "owner", argilla_server, "rights")
    owner.ok("sync", "push")
    members = owner.ok("team", "add", "rights-reader")["members"]
    with ApiUser(argilla_server.url, "rights-reader", members[0]["password"]) as user:
        reader_key = user.call("GET", "/me")["api_key"]
    reader = make(tmp_path / "reader", argilla_server, "rights", reader_key)
    for command in (("sync", "push"), ("team", "add", "somebody")):
        result = reader.run(*command)
        assert result.code == 1, result.out
        assert "owner" in result.err, result.err
        assert reader_key not in result.err + result.out


def test_an_admin_of_the_workspace_may_push_and_pull(tmp_path: Path, argilla_server: ArgillaServer) -> None:
    owner = make(tmp_path / "owner", argilla_server, "admin-test")
    dataset = owner.ok("sync", "push")["dataset_id"]
    admin = owner.ok("team", "add", "the-admin", "--role", "admin")["members"][0]
    reader = owner.ok("team", "add", "the-reader")["members"][0]
    with ApiUser(argilla_server.url, "the-admin", admin["password"]) as user:
        key = user.call("GET", "/me")["api_key"]
    with ApiUser(argilla_server.url, "the-reader", reader["password"]) as user:
        for record in user.records(dataset):
            user.answer(record["id"], "submitted", {"a": 1, "b": 2})
    # The same project from the admin's machine.
    as_admin = Project(owner.folder, {**owner.environment, "ARGILLA_API_KEY": key})
    assert as_admin.ok("sync", "push")["unchanged"] == 4
    assert as_admin.ok("sync", "pull")["new"] == 4
    listed = {m["username"]: m["role"] for m in owner.ok("team", "list")["members"]}
    assert listed["the-admin"] == "admin" and listed["the-reader"] == "annotator"
    owner.ok("team", "remove", "the-reader")
    assert "the-reader" not in {m["username"] for m in owner.ok("team", "list")["members"]}
    pulled = owner.ok("sync", "pull", "--full")
    assert pulled["withdrawn"] == 0, "taking somebody out of the workspace keeps their rankings"
    result = owner.run("team", "remove", "nobody-of-that-name")
    assert result.code == 1 and "nobody-of-that-name" in result.err


def test_guidelines_and_min_submitted_follow_the_project(tmp_path: Path, argilla_server: ArgillaServer) -> None:
    project = make(tmp_path / "p", argilla_server, "follow-test", language="tr")
    (project.folder / "guidelines.md").write_text("# Birinci", encoding="utf-8")
    dataset = project.ok("sync", "push")["dataset_id"]
    (project.folder / "guidelines.md").write_text("# İkinci", encoding="utf-8")
    project.write_config(CONFIG.format(name="follow-test", language="tr", min_submitted=3))
    assert project.ok("sync", "push")["unchanged"] == 4
    with Api(argilla_server.url, argilla_server.api_key) as owner:
        model = owner.call("GET", f"/datasets/{dataset}")
        questions = owner.call("GET", f"/datasets/{dataset}/questions")["items"]
    assert model["guidelines"] == "# İkinci"
    assert model["distribution"]["min_submitted"] == 3
    assert [q["title"].split()[0] for q in questions] == ["Yanıtları", "Sorun", "Yorum"]
    (project.folder / "guidelines.md").write_text("x" * 10_001, encoding="utf-8")
    result = project.run("sync", "push")
    assert result.code == 1 and "10001 characters" in result.err


def test_k_is_fixed_and_a_deleted_dataset_is_made_again(tmp_path: Path, argilla_server: ArgillaServer) -> None:
    project = make(tmp_path / "p", argilla_server, "fixed-test")
    first = project.ok("sync", "push")["dataset_id"]
    member = project.ok("team", "add", "fixed-reader")["members"][0]
    with ApiUser(argilla_server.url, "fixed-reader", member["password"]) as user:
        for record in user.records(first):
            user.answer(record["id"], "submitted", {"a": 2, "b": 1})
    project.ok("sync", "pull")
    config = (project.folder / "pref-argilla.toml").read_text(encoding="utf-8")
    project.write_config(config.replace("answers = 2", "answers = 3"))
    result = project.run("sync", "push")
    assert result.code == 1 and "another [argilla] dataset" in result.err
    project.write_config(config)
    with Api(argilla_server.url, argilla_server.api_key) as owner:
        owner.call("DELETE", f"/datasets/{first}")
    result = project.run("sync", "pull")
    assert result.code == 1 and "sync push" in result.err
    again = project.ok("sync", "push")
    assert again["dataset_id"] != first
    assert again["pushed"] == 4
    assert project.ok("sync", "pull")["withdrawn"] == 0
    assert project.ok("status")["rankings"] == 4, "what was pulled is kept"
    # A draft and a discard in the new dataset take nothing away from what was submitted in the old one; an answer does.
    with ApiUser(argilla_server.url, "fixed-reader", member["password"]) as user:
        records = user.records(again["dataset_id"])
        user.answer(records[0]["id"], "draft", {"a": 1})
        user.answer(records[1]["id"], "discarded", None)
        user.answer(records[2]["id"], "submitted", {"a": 1, "b": 1})
    assert project.ok("sync", "pull")["new"] == 3
    status = project.ok("status")
    assert (status["rankings"], status["rankings_with_ties"], status["pairs"]) == (4, 1, 3)
    # Three answers now: another dataset, to which only tasks of three go.
    project.write_config(config.replace("answers = 2", "answers = 3") + 'dataset = "fixed-of-three"\n')
    rows = [{"prompt": f"Prompt {n}", "completion": "Third", "origin": "o3"} for n in range(2)]
    project.ok("completions", "add", project.write_jsonl("third.jsonl", rows))
    three = project.ok("sync", "push")
    assert (three["pushed"], three["not_sent"]) == (2, [])
    status = project.ok("status")
    assert (status["tasks"], status["sent"], status["rankings"]) == (2, 2, 4)
    # And back again: the dataset of before is known.
    project.write_config(config)
    assert project.ok("sync", "push")["unchanged"] == 4
    assert project.ok("sync", "pull")["new"] == 0
