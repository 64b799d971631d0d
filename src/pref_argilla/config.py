"""``pref-argilla.toml``: what a project is, checked by name and type when it is read. Keys never stand in it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pref_argilla.errors import ConfigError
from pref_argilla.models import ModelSpec, Prices
from pref_argilla.pairs import PairOptions, Strategy
from pref_argilla.schema import MAX_SLOTS

CONFIG_FILE = "pref-argilla.toml"
LANGUAGES = ("en", "tr")
NAME_RULE = "letters, digits, - and _, beginning with a letter or digit"


@dataclass(frozen=True, slots=True)
class GenerateConfig:
    """``answers`` is K. ``max_cost_usd`` is a hard limit over the whole project; None is no limit."""

    answers: int = 3
    max_cost_usd: Decimal | None = None
    max_attempts: int = 3


@dataclass(frozen=True, slots=True)
class DedupeConfig:
    """Cosine similarities from 0 to 1; at or above, two texts are near-duplicates. None is the encoder's own default."""

    encoder: str = "minilm"
    prompt_threshold: float | None = None
    completion_threshold: float | None = None


@dataclass(frozen=True, slots=True)
class ArgillaConfig:
    """``url`` empty means the embedded server. ``seed`` None shuffles by the project's own random secret."""

    url: str = ""
    workspace: str = ""
    dataset: str = ""
    min_submitted: int = 1
    prompt_field: str = "chat"
    flags: bool = True
    comment: bool = True
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class ExportConfig:
    pairs: PairOptions = field(default_factory=PairOptions)
    test_share: float = 0.1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Config:
    folder: Path
    name: str
    language: str = "en"
    models: tuple[ModelSpec, ...] = ()
    generate: GenerateConfig = GenerateConfig()
    dedupe: DedupeConfig = DedupeConfig()
    argilla: ArgillaConfig = ArgillaConfig()
    export: ExportConfig = field(default_factory=ExportConfig)

    @property
    def workspace(self) -> str:
        return self.argilla.workspace or self.name

    @property
    def dataset(self) -> str:
        return self.argilla.dataset or self.name

    @property
    def guidelines_path(self) -> Path:
        return self.folder / "guidelines.md"


def load_config(folder: Path) -> Config:
    """Raises ConfigError with the key's full name for anything unknown, missing or of the wrong kind."""
    path = folder / CONFIG_FILE
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ConfigError(
            f"{path} does not exist.",
            cause="The folder is not a pref-argilla project.",
            next_step="Run 'pref-argilla init DIR', or pass --project DIR.",
        ) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path} is not valid TOML: {exc}.", next_step="Correct that line.") from exc
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}.", next_step="Check its owner and rights.") from exc
    return parse_config(raw, folder, str(path))


def parse_config(raw: Mapping[str, Any], folder: Path, where: str = CONFIG_FILE) -> Config:
    root = _Table(raw, "", where)
    project = root.table("project")
    language = project.text("language", "en")
    if language not in LANGUAGES:
        raise project.wrong("language", f"one of {', '.join(LANGUAGES)}")
    name = project.text("name", folder.resolve().name)
    if not _is_name(name):
        raise project.wrong("name", NAME_RULE)
    project.done()

    generate = root.table("generate")
    generate_config = GenerateConfig(
        answers=generate.whole("answers", 3, low=2, high=MAX_SLOTS),
        max_cost_usd=generate.money("max_cost_usd"),
        max_attempts=generate.whole("max_attempts", 3, low=1, high=100),
    )
    generate.done()

    dedupe = root.table("dedupe")
    dedupe_config = DedupeConfig(
        encoder=dedupe.text("encoder", "minilm"),
        prompt_threshold=dedupe.threshold("prompt_threshold"),
        completion_threshold=dedupe.threshold("completion_threshold"),
    )
    dedupe.done()

    argilla = root.table("argilla")
    argilla_config = ArgillaConfig(
        url=argilla.text("url", ""),
        workspace=argilla.text("workspace", ""),
        dataset=argilla.text("dataset", ""),
        min_submitted=argilla.whole("min_submitted", 1, low=1, high=1000),
        prompt_field=argilla.text("prompt_field", "chat"),
        flags=argilla.switch("flags", True),
        comment=argilla.switch("comment", True),
        seed=argilla.optional_whole("seed"),
    )
    for key, value in (("workspace", argilla_config.workspace), ("dataset", argilla_config.dataset)):
        if value and not _is_name(value):
            raise argilla.wrong(key, NAME_RULE)
    if argilla_config.prompt_field not in ("chat", "text"):
        raise argilla.wrong("prompt_field", '"chat" or "text"')
    argilla.done()

    export = root.table("export")
    strategy = export.text("strategy", Strategy.BEST_WORST.value)
    if strategy not in list(Strategy):
        raise export.wrong("strategy", f"one of {', '.join(Strategy)}")
    export_config = ExportConfig(
        pairs=PairOptions(
            strategy=Strategy(strategy),
            min_margin=export.share("min_margin", 0.0) or 0.0,
            min_annotators=export.whole("min_annotators", 1, low=1, high=1000),
            min_agreement=export.share("min_agreement", 0.0) or 0.0,
            max_pairs_per_prompt=export.optional_whole("max_pairs_per_prompt"),
            include_refusals=export.switch("include_refusals", False),
        ),
        test_share=export.share("test_share", 0.1) or 0.0,
        seed=export.whole("seed", 0, low=0, high=2**63 - 1),
    )
    export.done()

    models = tuple(_model(table) for table in root.tables("models"))
    names = [model.name for model in models]
    if len(set(names)) < len(names):
        raise ConfigError(f"{where}: two [[models]] have the same name.", next_step="Give each model its own name.")
    root.done()
    return Config(folder, name, language, models, generate_config, dedupe_config, argilla_config, export_config)


def _is_name(text: str) -> bool:
    # Argilla's own rule for workspaces, the stricter of the two.
    return re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_-]*", text) is not None


def _model(table: _Table) -> ModelSpec:
    model = table.text("model", "")
    if not model:
        raise table.wrong("model", "the model's name at its endpoint")
    prompt_price, completion_price = table.money("price_prompt"), table.money("price_completion")
    if (prompt_price is None) != (completion_price is None):
        raise table.wrong("price_prompt", "given together with price_completion, in US dollars a million tokens")
    spec = ModelSpec(
        name=table.text("name", model),
        model=model,
        base_url=table.text("base_url", "https://api.openai.com/v1"),
        api_key_variable=table.text("api_key_variable", "OPENAI_API_KEY"),
        temperature=table.number("temperature"),
        top_p=table.share("top_p", None),
        max_tokens=table.whole("max_tokens", 1024, low=1, high=10**6),
        system_prompt=table.text("system_prompt", ""),
        samples=table.optional_whole("samples"),
        seed=table.optional_whole("seed"),
        prices=Prices.of(prompt_price, completion_price)
        if prompt_price is not None and completion_price is not None
        else None,
        concurrency=table.whole("concurrency", 8, low=1, high=1024),
        timeout=table.seconds("timeout", 120.0),
        retries=table.whole("retries", 6, low=0, high=50),
    )
    table.done()
    return spec


class _Table:
    """One TOML table: typed reads, and at the end a complaint about whatever nobody asked for."""

    def __init__(self, raw: Mapping[str, Any], path: str, where: str) -> None:
        self._raw = raw
        self._path = path
        self._where = where
        self._known: list[str] = []

    def wrong(self, key: str, wanted: str) -> ConfigError:
        value = f" (found {self._raw[key]!r})" if key in self._raw else ""
        return ConfigError(
            f"{self._where}: {self._path}{key} must be {wanted}{value}.", next_step="Correct it and run again."
        )

    def _get(self, key: str, wanted: str, accepts: Callable[[Any], bool]) -> Any:
        self._known.append(key)
        value = self._raw.get(key)
        if value is not None and not accepts(value):
            raise self.wrong(key, wanted)
        return value

    def text(self, key: str, default: str) -> str:
        value = self._get(key, "text in quotes", lambda v: isinstance(v, str))
        return default if value is None else str(value)

    def switch(self, key: str, default: bool) -> bool:
        value = self._get(key, "true or false", lambda v: isinstance(v, bool))
        return default if value is None else bool(value)

    def optional_whole(self, key: str, low: int = 0, high: int = 2**63 - 1) -> int | None:
        value = self._get(key, f"a whole number from {low} to {high}", lambda v: type(v) is int and low <= v <= high)
        return None if value is None else int(value)

    def whole(self, key: str, default: int, *, low: int, high: int) -> int:
        value = self.optional_whole(key, low, high)
        return default if value is None else value

    def number(self, key: str) -> float | None:
        value = self._get(key, "a number, zero or more", lambda v: type(v) in (int, float) and v >= 0)
        return None if value is None else float(value)

    def share(self, key: str, default: float | None) -> float | None:
        value = self._get(key, "a number from 0 to 1", lambda v: type(v) in (int, float) and 0 <= v <= 1)
        return default if value is None else float(value)

    def threshold(self, key: str) -> float | None:
        value = self._get(key, "a number over 0, up to 1", lambda v: type(v) in (int, float) and 0 < v <= 1)
        return None if value is None else float(value)

    def seconds(self, key: str, default: float) -> float:
        value = self._get(key, "a number of seconds over 0", lambda v: type(v) in (int, float) and v > 0)
        return default if value is None else float(value)

    def money(self, key: str) -> Decimal | None:
        value = self.number(key)
        return None if value is None else Decimal(str(self._raw[key]))

    def table(self, key: str) -> _Table:
        value = self._get(key, f"a table: [{key}]", lambda v: isinstance(v, dict))
        return _Table(value or {}, f"{self._path}{key}.", self._where)

    def tables(self, key: str) -> list[_Table]:
        value = self._get(
            key, f"a list of tables: [[{key}]]", lambda v: isinstance(v, list) and all(isinstance(t, dict) for t in v)
        )
        return [_Table(raw, f"{key}[{number}].", self._where) for number, raw in enumerate(value or [], 1)]

    def done(self) -> None:
        for key in self._raw:
            if key not in self._known:
                near = get_close_matches(key, self._known, n=1)
                hint = (
                    f"Did you mean {self._path}{near[0]}?" if near else f"Known here: {', '.join(sorted(self._known))}."
                )
                raise ConfigError(f"{self._where}: unknown key {self._path}{key}.", next_step=hint)
