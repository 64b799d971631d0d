from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from pref_argilla.config import load_config, parse_config
from pref_argilla.errors import ConfigError
from pref_argilla.pairs import Strategy
from pref_argilla.resources import setup_file
from pref_argilla.steps.project import init_project

TEMPLATE = setup_file("pref-argilla.toml").read_text(encoding="utf-8")


def test_the_shipped_file_is_valid_and_says_the_defaults(tmp_path: Path) -> None:
    raw = tomllib.loads(TEMPLATE)
    config = parse_config(raw, tmp_path)
    models = raw.pop("models")
    bare = parse_config({"project": raw["project"]}, tmp_path)
    assert (config.generate, config.dedupe, config.argilla, config.export) == (
        bare.generate,
        bare.dedupe,
        bare.argilla,
        bare.export,
    )
    assert len(models) == len(config.models) == 1
    assert config.models[0].base_url == "local"


def test_every_commented_key_of_the_shipped_file_is_known(tmp_path: Path) -> None:
    # Uncomment the optional keys; a misspelt one would be refused.
    lines = [re.sub(r"^# (?=(\[\[models\]\]|[a-z_]+ = ))", "", line) for line in TEMPLATE.splitlines()]
    config = parse_config(tomllib.loads("\n".join(lines)), tmp_path)
    assert config.generate.max_cost_usd == Decimal("5.0")
    assert [m.name for m in config.models] == ["small-local", "gpt-4o-mini"]
    assert config.models[1].prices is not None
    assert config.argilla.seed == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[generate]\nanswer = 3", r"unknown key generate.answer.*generate.answers"),
        ("[generte]\nanswers = 3", r"unknown key generte.*Did you mean generate"),
        ("[generate]\nanswers = 1", r"generate.answers must be a whole number from 2 to 26 \(found 1\)"),
        ("[generate]\nanswers = true", r"generate.answers must be a whole number"),
        ("[generate]\nanswers = '3'", r"generate.answers must be"),
        ("[[models]]\nname = 'x'", r"models\[1\].model must be"),
        ("[[models]]\nmodel = 'x'\napi_key = 'sk-1'", r"unknown key models\[1\].api_key"),
        ("[[models]]\nmodel = 'x'\nprice_prompt = 1.0", r"models\[1\].price_prompt must be given together"),
        ("[[models]]\nmodel = 'x'\n[[models]]\nmodel = 'x'", r"two \[\[models\]\] have the same name"),
        ("[project]\nlanguage = 'de'", r"project.language must be one of en, tr"),
        ("[project]\nname = 'a b'", r"project.name must be"),
        ("[dedupe]\nprompt_threshold = 1.5", r"dedupe.prompt_threshold must be a number over 0"),
        ("[dedupe]\nprompt_threshold = 0", r"dedupe.prompt_threshold must be a number over 0"),
        ("[argilla]\nworkspace = 'a b'", r"argilla.workspace must be letters"),
        ("[[models]]\nmodel = 'x'\ntimeout = 0", r"models\[1\].timeout must be a number of seconds over 0"),
        ("[export]\nstrategy = 'worst'", r"export.strategy must be one of best_worst"),
        ("[argilla]\nprompt_field = 'html'", r'argilla.prompt_field must be "chat" or "text"'),
        ("models = 3", r"models must be a list of tables"),
        ("[project\n", r"not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pref-argilla.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path)
    assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)
    assert caught.value.next_step


def test_no_project(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a pref-argilla project"):
        load_config(tmp_path)


@pytest.mark.parametrize("language", ["en", "tr"])
def test_init_writes_a_project_that_loads(tmp_path: Path, language: str) -> None:
    made = init_project(tmp_path / "Çok güzel proje", language=language)
    config = load_config(made.folder)
    assert config.name == made.name == "Cok-guzel-proje"
    assert config.language == language
    assert config.guidelines_path.stat().st_size > 1000
    with pytest.raises(ConfigError, match="exists already"):
        init_project(made.folder)


def test_export_settings_are_read(tmp_path: Path) -> None:
    config = parse_config(
        {
            "export": {"strategy": "all", "min_margin": 0.5, "min_annotators": 2, "test_share": 0},
            "project": {"name": "x"},
        },
        tmp_path,
    )
    assert config.export.pairs.strategy is Strategy.ALL
    assert config.export.pairs.min_margin == 0.5
    assert config.export.pairs.min_annotators == 2
    assert config.export.test_share == 0.0
