"""What comes with pref-argilla for a team: guidelines, sample prompts, the team deployment."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pref_argilla.labeling.dataset import WORDS
from pref_argilla.text import normalise

SETUP = Path(__file__).parents[2] / "argilla_setup"
TURKISH = set("ğşıçöüĞŞİÇÖÜ")


@pytest.mark.parametrize("language", ["en", "tr"])
def test_guidelines_fit_into_argilla_and_name_every_flag(language: str) -> None:
    text = (SETUP / "guidelines" / f"{language}.md").read_text(encoding="utf-8")
    assert 3_000 < len(text) < 9_500
    for _, title in WORDS[language].flag_titles:
        assert f"| {title} |" in text
    for key in ("`Enter`", "`Backspace`", "`Ctrl`+`S`"):
        assert key in text


def sample_prompts() -> list[Any]:
    lines = (SETUP / "samples" / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["prompt"] for line in lines]


def text_of(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else "\n".join(message["content"] for message in prompt)


def test_sample_prompts_are_half_turkish_and_varied() -> None:
    prompts = sample_prompts()
    turkish = [not TURKISH.isdisjoint(text_of(prompt)) for prompt in prompts]
    assert (len(prompts), sum(turkish), sum(turkish[:12])) == (40, 20, 6)
    assert sum(isinstance(prompt, list) for prompt in prompts) == 4
    for prompt in prompts:
        if isinstance(prompt, list):
            assert prompt[-1]["role"] == "user"
            assert all(set(message) == {"role", "content"} for message in prompt)
    together = "\n".join(text_of(prompt) for prompt in prompts)
    for wanted in ("List<String>", "$HOME", " | ", "$x^2", "<img src", "\\int", "`git merge`"):
        assert wanted in together


def test_sample_prompts_hold_one_exact_and_four_near_duplicates() -> None:
    texts = [text_of(prompt) for prompt in sample_prompts()]
    normal = [normalise(text) for text in texts]
    assert len(set(texts)) == 40
    assert [(n, normal.index(text)) for n, text in enumerate(normal) if normal.index(text) != n] == [(37, 10)]

    def words(number: int) -> set[str]:
        return set(re.findall(r"\w+", normal[number]))

    for first, second in [(0, 6), (7, 17), (12, 25), (13, 30)]:
        shared = len(words(first) & words(second)) / len(words(first) | words(second))
        assert 0.4 < shared <= 1, (first, second, shared)


def test_the_team_deployment_is_closed_but_for_the_page() -> None:
    """Read, not run: there may be no Docker engine here."""
    yaml = pytest.importorskip("yaml", reason="PyYAML, which other packages bring, is not installed")
    text = (SETUP / "compose.yaml").read_text(encoding="utf-8")
    compose = yaml.safe_load(text)
    services = compose["services"]
    assert set(services) == {"server", "worker", "postgres", "elasticsearch", "redis"}
    assert {name for name, service in services.items() if "ports" in service} == {"server"}
    assert services["server"]["ports"] == ["${ARGILLA_BIND:-127.0.0.1}:${ARGILLA_PORT:-6900}:6900"]
    assert compose["networks"]["inside"]["internal"] is True
    for name in ("postgres", "elasticsearch", "redis"):
        assert services[name]["networks"] == ["inside"]
    for name, service in services.items():
        assert re.search(r":v?\d", service["image"]), f"{name}: no version"
        assert "mem_limit" in service
        assert name == "worker" or "healthcheck" in service
        for other, when in service.get("depends_on", {}).items():
            assert "healthcheck" in services[other]
            assert when == {"condition": "service_healthy"}
    for service in ("server", "worker"):
        assert services[service]["image"].endswith(":v2.8.0")
        assert services[service]["environment"]["HF_HUB_DISABLE_TELEMETRY"] == "1"
    used = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert used == set(compose["volumes"])
    # A secret comes from the environment or stops the start.
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "ARGILLA_AUTH_SECRET_KEY"):
        assert re.search(rf"\$\{{{name}:\?[^}}]+\}}", text)
        assert not re.search(rf"\$\{{?{name}(?!:\?)\b[^:]", text)
