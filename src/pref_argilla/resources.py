"""Where the files that come with pref-argilla are: those of ``argilla_setup/`` and the code of ``argilla_embedded``."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from pref_argilla.errors import ServerError


def setup_file(*parts: str) -> Path:
    """A file of ``argilla_setup/``: packaged as ``pref_argilla/_setup`` in a wheel, the repository's in an editable install.

    Raises ``ServerError`` if this installation lacks it.
    """
    package = Path(__file__).resolve().parent
    candidates = [package / "_setup", package.parents[1] / "argilla_setup"]
    for folder in candidates:
        path = folder.joinpath(*parts)
        if path.exists():
            return path
    raise ServerError(
        f"The packaged file {'/'.join(parts)} is missing.",
        cause="This installation of pref-argilla is incomplete.",
        next_step="Install it again: pip install --force-reinstall --no-deps pref-argilla",
    )


def embedded_code() -> Path:
    """The folder of the package ``argilla_embedded``, without importing it (its imports live in another environment)."""
    spec = importlib.util.find_spec("argilla_embedded")
    if spec is None or spec.origin is None:
        raise ServerError(
            "The package argilla_embedded is missing.",
            cause="This installation of pref-argilla is incomplete.",
            next_step="Install it again: pip install --force-reinstall --no-deps pref-argilla",
        )
    return Path(spec.origin).parent
