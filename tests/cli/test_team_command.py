"""``team``: a password is shown as soon as it is one, whatever fails after that; and a lost one is replaced."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pref_argilla.cli import output as output_module
from pref_argilla.cli.output import Output
from pref_argilla.cli.team_commands import create_and_show
from pref_argilla.errors import LabelingUnreachableError
from pref_argilla.labeling import team
from pref_argilla.labeling.team import NewMember
from project import Project
from proxy import faulty_wire
from running_argilla import ArgillaServer

# Each command is a process of its own, which takes a third of a second to begin.
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("failure", [LabelingUnreachableError("gone"), KeyboardInterrupt(), RuntimeError("a bug")])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_failure_at_the_second_shows_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failure: BaseException, as_json: bool
) -> None:
    password = secrets.token_urlsafe(12)

    def add_members(
        connection: Any, workspace: str, names: list[str], role: str, on_member: Callable[[NewMember], None]
    ) -> list[NewMember]:
        on_member(NewMember("u1", role, password))
        if not as_json:
            assert password in capsys.readouterr().out, "at once, not at the end"
        raise failure

    monkeypatch.setattr(team, "add_members", add_members)
    monkeypatch.setattr(output_module, "_STDOUT", output_module._Stdout())
    with pytest.raises(type(failure)):
        create_and_show(Output(as_json), None, "w", ["u1", "u2"], "annotator")  # type: ignore[arg-type]
    if as_json:
        found = json.loads(capsys.readouterr().out)
        assert found["members"] == [{"username": "u1", "role": "annotator", "password": password}]
        assert "interrupted" in found or found["error"]["kind"] == type(failure).__name__


def make(folder: Path, url: str, api_key: str, name: str) -> Project:
    project = Project(folder, {"ARGILLA_API_URL": url, "ARGILLA_API_KEY": api_key})
    project.write_config(f'[project]\nname = "{name}"\n')
    return project


def signs_in(server: ArgillaServer, username: str, password: str) -> bool:
    answer = httpx.post(f"{server.url}/api/v1/token", data={"username": username, "password": password})
    assert answer.status_code in (201, 401), answer.text
    return answer.status_code == 201


@pytest.mark.slow
@pytest.mark.server
def test_the_server_fails_at_the_second_user(tmp_path: Path, argilla_server: ArgillaServer) -> None:
    with faulty_wire(argilla_server.url) as wire:
        wire.choose = lambda method, path, body: "500" if method == "POST" and b"team-two" in body else None
        project = make(tmp_path, wire.url, argilla_server.api_key, "team-fails")
        result = project.run("team", "add", "team-one", "team-two", "--json")
        assert result.code == 1 and result.json["error"]["what"]
        (one,) = result.json["members"]
        assert signs_in(argilla_server, "team-one", one["password"])
        wire.choose = lambda method, path, body: None
        again = project.ok("team", "add", "team-one", "team-two")["members"]
        assert [member["password"] is None for member in again] == [True, False]


@pytest.mark.slow
@pytest.mark.server
def test_a_new_password_ends_the_old_one(tmp_path: Path, argilla_server: ArgillaServer) -> None:
    project = make(tmp_path, argilla_server.url, argilla_server.api_key, "team-password")
    old = project.ok("team", "add", "forgetful")["members"][0]["password"]
    new = project.ok("team", "password", "forgetful")["password"]
    assert new != old and len(new) >= 16
    assert signs_in(argilla_server, "forgetful", new)
    assert not signs_in(argilla_server, "forgetful", old)
    shown = project.run("team", "password", "forgetful")
    assert shown.code == 0 and "password: " in shown.out
    for name in ("nobody", argilla_server.username):
        refused = project.run("team", "password", name)
        assert refused.code in (1, 2) and name in refused.err
