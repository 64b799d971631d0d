"""``demo``: what it writes for an endpoint that the environment names, and what a wrong start leaves behind."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from endpoint import RunningEndpoint, running_endpoint
from pref_argilla.cli.demo_command import _config_text
from pref_argilla.config import load_config
from pref_argilla.errors import ConfigError
from pref_argilla.server import EmbeddedServer
from pref_argilla.steps.project import init_project
from project import Project
from running_argilla import free_port

# Each command is a process of its own, which takes a third of a second to begin.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def endpoint() -> Iterator[RunningEndpoint]:
    with running_endpoint() as running:
        yield running


@pytest.mark.parametrize("key", ["", "sk-test-1234567890"])
@pytest.mark.parametrize("model", ["", 'a "quoted" \\ 模型-🙂'])
def test_the_configuration_for_an_endpoint_works(
    tmp_path: Path, endpoint: RunningEndpoint, key: str, model: str
) -> None:
    environment = {"OPENAI_BASE_URL": endpoint.base_url, "OPENAI_API_KEY": key, "OPENAI_MODEL": model}
    project = Project(tmp_path / "demo", environment)
    init_project(project.folder, config_text=_config_text(environment))
    (spec,) = load_config(project.folder).models
    assert (spec.model, spec.base_url) == (model or "gpt-4o-mini", endpoint.base_url)
    assert spec.api_key_variable == ("OPENAI_API_KEY" if key else "")
    assert key not in (project.folder / "pref-argilla.toml").read_text(encoding="utf-8") or not key
    endpoint.play(key=key, models=[spec.model])
    project.ok("prompts", "add", project.write_jsonl("p.jsonl", [{"prompt": "Why?"}]))
    assert project.ok("generate")["usable"] == 3
    assert endpoint.stats()["billed"] == 3


def test_a_key_alone_means_openai_and_nothing_means_the_bundled_model() -> None:
    (remote,) = tomllib.loads(_config_text({"OPENAI_API_KEY": "sk"}))["models"]
    assert (remote["base_url"], remote["model"]) == ("https://api.openai.com/v1", "gpt-4o-mini")
    (local,) = tomllib.loads(_config_text({"OPENAI_MODEL": "unused"}))["models"]
    assert local["base_url"] == "local"


def test_nothing_is_written_for_a_wrong_address(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        init_project(tmp_path / "p", config_text=_config_text({"OPENAI_BASE_URL": "not an address"}))
    with pytest.raises(ConfigError, match="OPENAI_MODEL"):
        _config_text({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "OPENAI_MODEL": "a\nb"})
    with pytest.raises(ConfigError, match="TOML"):
        init_project(tmp_path / "p", config_text="[project")
    assert not (tmp_path / "p").exists()


def test_a_missing_file_of_prompts_leaves_nothing_behind(tmp_path: Path) -> None:
    project = Project(tmp_path)
    result = project.run("demo", "--prompts", "missing.jsonl", "--project", "d", "--json")
    assert result.code == 1 and "missing.jsonl" in result.json["error"]["what"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.model
def test_demo_with_an_endpoint(tmp_path: Path, endpoint: RunningEndpoint) -> None:
    endpoint.play(models=["some-model"])
    project = Project(tmp_path, {"OPENAI_BASE_URL": endpoint.base_url, "OPENAI_MODEL": "some-model"})
    folder = tmp_path / "d"
    file = project.write_jsonl("p.jsonl", [{"prompt": f"What is {word}?"} for word in ("rain", "bread", "a song")])
    try:
        found = project.ok("demo", "--prompts", file, "--project", str(folder), "--port", str(free_port()), timeout=400)
        assert found["pushed"] == 3
        assert all(len(person["password"]) >= 16 for person in found["annotators"])
    finally:
        EmbeddedServer(folder / ".argilla", base_environ=project.variables()).down()
