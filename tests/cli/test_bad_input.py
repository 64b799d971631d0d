"""What goes wrong at the command line: a message that names the thing, the cause and the next command, and never a traceback."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pref_argilla.cli.environment import variables
from pref_argilla.store import Store
from project import Project, Result
from running_argilla import free_port

# Each command is a process of its own, which takes a third of a second to begin.
pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "p")
    project.write_config('[project]\nname = "p"\n[dedupe]\nencoder = "none"\n')
    return project


def fails(result: Result, *parts: str, code: int = 1) -> None:
    assert result.code == code, result.out + result.err
    for part in parts:
        assert part in result.err, result.err


def test_missing_empty_and_unreadable_files(project: Project) -> None:
    fails(project.run("prompts", "add", "missing.jsonl"), "missing.jsonl")
    (project.folder / "empty.jsonl").write_text("")
    fails(project.run("prompts", "add", "empty.jsonl"), "empty.jsonl", "empty")
    (project.folder / "latin.jsonl").write_bytes('{"prompt": "şey"}\n'.encode("iso-8859-9"))
    fails(project.run("prompts", "add", "latin.jsonl"), "latin.jsonl", "UTF-8")


def test_a_wrong_column_lists_those_there_are(project: Project) -> None:
    file = project.write_jsonl("rows.jsonl", [{"metin": "Neden?", "karşılık": "Çünkü."}])
    fails(project.run("prompts", "add", file, "--column", "prompt=question"), "question", "metin", "karşılık")
    fails(project.run("prompts", "add", file), "metin", "--column")
    fails(project.run("prompts", "add", file, "--column", "promt=soru"), "promt", code=2)
    assert project.ok("prompts", "add", file, "--column", "prompt=metin")["new_prompts"] == 1


def test_bad_rows_are_named_by_line_and_the_good_ones_are_kept(project: Project) -> None:
    path = project.folder / "rows.jsonl"
    path.write_text(
        '{"prompt": "good"}\nnot json\n{"prompt": ""}\n{"prompt": 7}\n\n{"prompt": "good too"}\n', encoding="utf-8"
    )
    result = project.run("prompts", "add", str(path))
    fails(result, "line 2", "line 3", "line 4", code=3)
    assert project.ok("status")["prompts"] == 2


def test_json_errors_are_one_object(project: Project) -> None:
    result = project.run("prompts", "add", "missing.jsonl", "--json")
    assert result.code == 1
    error = result.json["error"]
    assert "missing.jsonl" in error["what"] and error["next_step"]


def test_wrong_usage(project: Project) -> None:
    for arguments in (("export",), ("nonsense",), ("sync", "push", "--nonsense"), ("generate", "--answers", "1")):
        assert project.run(*arguments).code == 2, arguments
    fails(project.run("export", "--out", "x", "--format", "xml"), "xml", code=2)
    fails(project.run("init", "x", "--language", "de"), "de", code=2)


def test_no_project_no_store_no_server(tmp_path: Path, project: Project) -> None:
    nowhere = Project(tmp_path)
    fails(nowhere.run("status"), "pref-argilla.toml", "pref-argilla init")
    fails(project.run("status"), "No store", "prompts add")
    fails(project.run("server", "credentials"), "pref-argilla server up")
    Store(project.folder, writable=True).close()
    fails(project.run("sync", "push"), "pref-argilla server up")


def test_no_server_at_the_address(project: Project) -> None:
    Store(project.folder, writable=True).close()
    away = Project(project.folder, {"ARGILLA_API_URL": f"http://127.0.0.1:{free_port()}", "ARGILLA_API_KEY": "k"})
    fails(away.run("sync", "push"), "No Argilla server answers", "server up")
    nonsense = Project(project.folder, {"ARGILLA_API_URL": "not an address", "ARGILLA_API_KEY": "k"})
    fails(nonsense.run("sync", "push"), "is not one", "ARGILLA_API_URL")
    for key in ("secret-key ", "secret-key\n", "secret-kéy"):
        odd = Project(project.folder, {"ARGILLA_API_URL": f"http://127.0.0.1:{free_port()}", "ARGILLA_API_KEY": key})
        result = odd.run("sync", "push")
        fails(result, "ARGILLA_API_KEY")
        assert key.strip() not in result.err + result.out
    secret = Project(project.folder, {"ARGILLA_API_URL": "http://owner:hunter2@127.0.0.1:1", "ARGILLA_API_KEY": "k"})
    result = secret.run("sync", "push")
    fails(result, "holds a password")
    assert "hunter2" not in result.err + result.out
    keyless = Project(project.folder, {"ARGILLA_API_URL": "http://127.0.0.1:1"})
    fails(keyless.run("sync", "push"), "ARGILLA_API_KEY is not set")


@contextmanager
def web_server(body: bytes) -> Iterator[str]:
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_something_else_answers_there(project: Project) -> None:
    Store(project.folder, writable=True).close()
    with web_server(b"<html>hello</html>") as url:
        other = Project(project.folder, {"ARGILLA_API_URL": url, "ARGILLA_API_KEY": "k"})
        fails(other.run("sync", "push"), "is not an Argilla server", "ARGILLA_API_URL")


def test_a_missing_key_names_its_variable(project: Project) -> None:
    project.write_config('[project]\nname = "p"\n[[models]]\nmodel = "gpt"\napi_key_variable = "MY_KEY"\n')
    project.ok("prompts", "add", project.write_jsonl("p.jsonl", [{"prompt": "Why?"}]))
    fails(project.run("generate"), "MY_KEY", "secrets.env")
    (project.folder / "secrets.env").write_text("MY_KEY=sk-very-secret\n")
    fails(project.run("generate"), "can be read by others", "chmod 600")


def test_unknown_config_key(project: Project) -> None:
    project.write_config('[project]\nname = "p"\nlanguages = "tr"\n')
    fails(project.run("status"), "project.languages", "project.language")


def test_a_second_writer_and_a_newer_store(project: Project) -> None:
    file = project.write_jsonl("p.jsonl", [{"prompt": "Why?"}])
    with Store(project.folder, writable=True):
        fails(project.run("prompts", "add", file), "Another pref-argilla command is writing")
        assert project.ok("status")["prompts"] == 0
    db = sqlite3.connect(project.folder / "store.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    fails(project.run("prompts", "add", file), "newer pref-argilla", "Upgrade")


def test_quiet_says_nothing_but_results(project: Project) -> None:
    file = project.write_jsonl("p.jsonl", [{"prompt": "Why?"}])
    result = project.run("prompts", "add", file, "--quiet")
    assert (result.code, result.err) == (0, "")
    assert "1 new prompts" in result.out


def test_hostile_text_does_not_command_the_terminal(project: Project) -> None:
    path = project.folder / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "x", "\u001b[31mred\u001b]0;title\u0007": 1}) + "\n")
    result = project.run("prompts", "add", str(path))
    assert result.code == 0
    assert "\x1b" not in result.err + result.out and "\x07" not in result.err + result.out
    assert "red" in result.err


def test_every_command_takes_the_three_options(project: Project) -> None:
    commands = (
        *(("init",), ("generate",), ("dedupe",), ("status",), ("export",), ("demo",)),
        *(("server", name) for name in ("up", "down", "status", "logs", "credentials")),
        *(("team", name) for name in ("add", "list", "password", "remove")),
        *(("sync", name) for name in ("push", "pull", "run", "status")),
        *(("prompts", "add"), ("completions", "add")),
    )
    for command in commands:
        shown = project.run(*command, "--help")
        assert shown.code == 0
        for option in ("--project", "--json", "--quiet"):
            assert option in shown.out, (command, option)


def test_names_too_long_for_the_file_system(tmp_path: Path, project: Project) -> None:
    here = Project(tmp_path)
    fails(here.run("init", "n" * 300), "cannot be written", "File name too long")
    fails(here.run("status", "--project", "n" * 300), "cannot be read")
    fails(here.run("demo", "--project", "n" * 300), "cannot be read")
    fails(project.run("init", "."), "exists already")


def test_secrets_that_cannot_be_used(project: Project) -> None:
    project.write_config('[project]\nname = "p"\n[[models]]\nmodel = "gpt"\napi_key_variable = "MY_KEY"\n')
    project.ok("prompts", "add", project.write_jsonl("p.jsonl", [{"prompt": "Why?"}]))
    secrets = project.folder / "secrets.env"
    secrets.touch(mode=0o600)
    secrets.write_bytes("A=1\nMY_KEY=gizli-ş\n".encode("iso-8859-9"))
    result = project.run("generate")
    fails(result, "secrets.env, line 2", "UTF-8")
    assert "gizli" not in result.err
    secrets.write_text("no equals sign")
    fails(project.run("generate"), "line 1", "NAME=value")
    secrets.unlink()
    secrets.mkdir(mode=0o700)
    fails(project.run("generate"), "secrets.env cannot be read")


def test_a_variable_set_to_nothing_does_not_hide_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = tmp_path / "secrets.env"
    secrets.touch(mode=0o600)
    secrets.write_text("FROM_FILE=sk-file\nFROM_BOTH=sk-file\n")
    monkeypatch.setenv("FROM_FILE", "")
    monkeypatch.setenv("FROM_BOTH", "sk-shell")
    found = variables(tmp_path)
    assert (found["FROM_FILE"], found["FROM_BOTH"]) == ("sk-file", "sk-shell")


def test_the_next_command_can_be_typed_as_it_stands(tmp_path: Path) -> None:
    here = Project(tmp_path)
    made = here.run("init", "yeni proje")
    assert "--project 'yeni proje'" in made.err
    file = here.write_jsonl("p.jsonl", [{"prompt": "Why?"}])
    added = here.run("prompts", "add", file, "--project", "yeni proje")
    assert "pref-argilla generate --project 'yeni proje'" in added.err
    config = tmp_path / "yeni proje" / "pref-argilla.toml"
    config.write_text('[project]\nname = "p"\n[dedupe]\nencoder = "none"\n')
    marked = here.run("dedupe", "--project", "yeni proje")
    assert "pref-argilla sync push --project 'yeni proje'" in marked.err


def test_a_line_end_in_a_name_makes_no_second_row(project: Project) -> None:
    rows = [{"prompt": "Why?", "completion": "So.", "origin": "model\r\npairs   999\u2028ready\tto export\u202e"}]
    project.ok("completions", "add", project.write_jsonl("c.jsonl", rows))
    shown = project.run("status").out
    (pairs,) = (line for line in shown.splitlines() if line.lstrip().startswith("pairs"))
    assert "999" not in pairs
    assert "model pairs   999 ready to export 1" in shown


def test_an_undecodable_file_name_is_read(project: Project) -> None:
    path = project.folder / os.fsdecode(b"\xff\xfe.jsonl")
    path.write_text('{"prompt": "Why?"}\n', encoding="utf-8")
    assert project.ok("prompts", "add", str(path))["new_prompts"] == 1
    with Store(project.folder, writable=False) as store:
        assert [prompt.source for prompt in store.prompts()] == ["\\udcff\\udcfe.jsonl"]
