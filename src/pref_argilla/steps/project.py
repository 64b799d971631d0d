"""A new project: a folder with a commented configuration and guidelines for annotators."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pref_argilla.config import CONFIG_FILE, LANGUAGES, parse_config
from pref_argilla.errors import ConfigError, UsageError
from pref_argilla.resources import setup_file


@dataclass(frozen=True, slots=True)
class NewProject:
    folder: Path
    name: str
    written: tuple[Path, ...]


def init_project(folder: Path, *, language: str = "en", config_text: str | None = None) -> NewProject:
    """Write ``pref-argilla.toml`` and ``guidelines.md`` into ``folder``. Refuses a folder that is a project already.

    ``config_text`` replaces the template. Raises ConfigError, with nothing written, where it is no valid configuration.
    """
    if language not in LANGUAGES:
        raise UsageError(f"Language {language!r} is not known.", next_step=f"Use one of: {', '.join(LANGUAGES)}.")
    config = folder / CONFIG_FILE
    name = _project_name(folder.resolve().name)
    text = config_text if config_text is not None else setup_file("pref-argilla.toml").read_text(encoding="utf-8")
    text = text.replace('name = "my-project"', f'name = "{name}"').replace(
        'language = "en"', f'language = "{language}"'
    )
    try:
        parse_config(tomllib.loads(text), folder, str(config))
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(
            f"{config} would not be valid TOML: {exc}.", next_step="Correct the text that was to be written."
        ) from exc
    guidelines = folder / "guidelines.md"
    written = []
    try:
        if config.exists():
            raise ConfigError(
                f"{config} exists already.",
                cause="The folder is a project.",
                next_step="Edit it, or choose another folder.",
            )
        folder.mkdir(parents=True, exist_ok=True)
        # The configuration last: it is what makes the folder a project.
        if not guidelines.exists():
            guidelines.write_text(
                setup_file("guidelines", f"{language}.md").read_text(encoding="utf-8"), encoding="utf-8"
            )
            written.append(guidelines)
        config.write_text(text, encoding="utf-8")
        written.append(config)
    except OSError as exc:
        raise ConfigError(
            f"{folder} cannot be written: {exc.strerror}.", next_step="Choose a folder that you may write to."
        ) from exc
    return NewProject(folder, name, tuple(written))


def _project_name(folder_name: str) -> str:
    # Argilla's names: Latin letters, digits, - and _; Turkish letters keep their base letter.
    plain = folder_name.translate(str.maketrans("çğıöşüÇĞİÖŞÜ", "cgiosuCGIOSU"))
    return re.sub(r"^[^a-zA-Z0-9]+|[^a-zA-Z0-9_-]+", "-", plain).strip("-") or "project"
