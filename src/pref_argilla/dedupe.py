"""Duplicates: equal after normalisation, then near by embedding. Nothing is deleted; each says what it duplicates.

The rule is greedy, in input order: an item is a duplicate when one that was **kept** before it is near enough, and then
of the nearest kept one (of the earliest, where several are equally near). So order matters: pass items in the order they
were added. Appending items never changes what was decided about earlier ones; and where b is near a, and c is near b but
not near a, c is kept, because b was not.

Two texts are near when the cosine of their vectors reaches the threshold **and** their marks are equal: their numbers,
their words for yes and no, and their emoji, in order. Embeddings hardly see these ("14% of 47.50 is 6.50" and "… is 2.50"
have 0.98; "Yes, it is safe" and "No, it is not safe" have 0.99), and in preference data they are the whole difference.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pref_argilla.errors import EncoderError
from pref_argilla.text import normalise

Vectors = NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called with (done, total)."""

DEFAULT_PROMPT_THRESHOLD = 0.95
"""For MiniLM. Of 254 real English prompts (PandaLM, self-instruct), no two that have equal marks pass 0.73; hand-made
Turkish pairs: reworded ones lie between 0.83 and 0.998, different ones of one shape reach 0.946."""

DEFAULT_COMPLETION_THRESHOLD = 0.99
"""For MiniLM. PandaLM's annotators call 8% of answer pairs a tie where the cosine is below 0.97, 58% from 0.98 to 0.99,
and all 11 from 0.99: only there is a ranking not worth a person's time. Of 51 pairs from 0.9 to 0.99 whose marks differ,
they call none a tie."""

_TOLERANCE = 1e-6
"""Rows of length 1 in float32 are so exact: a cosine this little below the threshold counts as reaching it."""

_ROW_BLOCK = 1024
_COLUMN_BLOCK = 8192


class Encoder(Protocol):
    """Turns texts into vectors. ``encoders.load_encoder`` makes one."""

    @property
    def name(self) -> str:
        """Vectors of one name can be compared; they are stored under it."""
        ...

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """(n, d) float32, each row of length 1. Raises EncoderError."""
        ...


class Method(StrEnum):
    EXACT = "exact"
    NEAR = "near"


@dataclass(frozen=True, slots=True)
class Item:
    """What is compared. ``group`` matters only to ``dedupe_within_groups`` and ``exact_duplicates``."""

    id: str
    text: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """``id`` duplicates ``duplicate_of``, which was kept. ``score`` is their cosine, 1.0 where ``method`` is exact."""

    id: str
    duplicate_of: str
    score: float
    method: Method


def text_key(text: str) -> str:
    """What a text's vector is stored under: 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class RememberingEncoder:
    """An encoder that asks for stored vectors first, and stores each batch of new ones as soon as it is made.

    ``load(name, keys)`` gives the stored vectors (d float32 each) of those ``text_key`` it knows; ``save(name, vectors)``
    stores new ones. Equal texts are encoded once. Progress counts the distinct texts.
    """

    encoder: Encoder
    load: Callable[[str, Sequence[str]], Mapping[str, Vectors]]
    save: Callable[[str, Mapping[str, Vectors]], None]
    batch: int = 256

    @property
    def name(self) -> str:
        return self.encoder.name

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        keys = [text_key(text) for text in texts]
        distinct = dict(zip(keys, texts, strict=True))
        known = dict(self.load(self.name, list(distinct)))
        # Batches of like length waste no padding.
        missing = sorted((key for key in distinct if key not in known), key=lambda key: len(distinct[key]))
        total = len(distinct)
        if progress:
            progress(total - len(missing), total)
        for start in range(0, len(missing), self.batch):
            batch = missing[start : start + self.batch]
            vectors = dict(zip(batch, self.encoder.encode([distinct[key] for key in batch]), strict=True))
            self.save(self.name, vectors)
            known.update(vectors)
            if progress:
                progress(total - len(missing) + start + len(batch), total)
        if not keys:
            return self.encoder.encode([])
        widths = {known[key].shape for key in keys}
        if len(widths) > 1:
            raise EncoderError(
                f"The stored vectors of encoder {self.name!r} do not all have the same size.",
                cause="Another model was stored under this name.",
                next_step="Delete the stored embeddings, or give the model another name.",
            )
        return np.stack([known[key] for key in keys]).astype(np.float32, copy=False)


def exact_duplicates(items: Sequence[Item]) -> list[Duplicate]:
    """Items whose text equals (``text.normalise``) that of an earlier item of the same group, in input order."""
    first: dict[tuple[str, str], str] = {}
    duplicates = []
    for item in items:
        kept = first.setdefault((item.group, normalise(item.text)), item.id)
        if kept != item.id:
            duplicates.append(Duplicate(item.id, kept, 1.0, Method.EXACT))
    return duplicates


def dedupe(
    items: Sequence[Item], encoder: Encoder | None, threshold: float, progress: Progress | None = None
) -> list[Duplicate]:
    """Duplicates over the whole set, whatever the items' groups, in input order. ``encoder`` None: exact ones only.

    Raises EncoderError (vectors that are not finite, zero or not of length 1) and ValueError (a threshold outside (0, 1],
    an id that occurs twice).
    """
    return dedupe_within_groups([replace(item, group="") for item in items], encoder, threshold, progress)


def dedupe_within_groups(
    items: Sequence[Item], encoder: Encoder | None, threshold: float, progress: Progress | None = None
) -> list[Duplicate]:
    """As ``dedupe``, but an item is compared with those of its own group alone: the completions of one prompt."""
    if len({item.id for item in items}) != len(items):
        raise ValueError("An id occurs twice among the items to deduplicate.")
    _check_threshold(threshold)
    exact = exact_duplicates(items)
    if encoder is None:
        return exact
    dropped = {duplicate.id for duplicate in exact}
    survivors = [item for item in items if item.id not in dropped]
    buckets: dict[tuple[str, ...], list[int]] = {}
    for index, item in enumerate(survivors):
        buckets.setdefault((item.group, *_marks(item.text)), []).append(index)
    compared = [index for bucket in buckets.values() if len(bucket) > 1 for index in bucket]
    if not compared:
        return exact
    vectors = encoder.encode([survivors[index].text for index in compared], progress)
    _check(vectors, [survivors[index].id for index in compared])
    near: dict[str, Duplicate] = {}
    start = 0
    for bucket in buckets.values():
        if len(bucket) == 1:
            continue
        for row, kept, score in _greedy(vectors[start : start + len(bucket)], threshold, None):
            item_id = survivors[bucket[row]].id
            near[item_id] = Duplicate(item_id, survivors[bucket[kept]].id, score, Method.NEAR)
        start += len(bucket)
    return _in_order(items, exact, near)


def _in_order(items: Sequence[Item], exact: Sequence[Duplicate], near: Mapping[str, Duplicate]) -> list[Duplicate]:
    """All duplicates in input order, each of a kept item: what equals a near-duplicate is as near to the kept one."""
    found = dict(near)
    for duplicate in exact:
        beyond = near.get(duplicate.duplicate_of)
        found[duplicate.id] = duplicate if beyond is None else replace(beyond, id=duplicate.id)
    return [found[item.id] for item in items if item.id in found]


# Words that turn an answer round. Turkish also negates inside the verb, which no word list finds.
_POLARITY = (
    "yes no not never none nor neither cannot without true false correct incorrect right wrong "
    "evet hayır değil yok var asla hiç doğru yanlış"
)
_MARK = re.compile(r"\d+|n['’]t\b|\b(?:" + _POLARITY.replace(" ", "|") + r")\b")


def _marks(text: str) -> tuple[str, ...]:
    """Numbers, words for yes and no, and emoji, in their order."""
    folded = normalise(text)
    emoji = "".join(character for character in folded if unicodedata.category(character) == "So")
    return (*_MARK.findall(folded), emoji)


def duplicate_groups(ids: Iterable[str], duplicates: Iterable[Duplicate]) -> dict[str, str]:
    """Each id's group: the kept item that it duplicates, or itself. For ``splits``."""
    kept = {duplicate.id: duplicate.duplicate_of for duplicate in duplicates}
    groups = {}
    for item_id in ids:
        root = item_id
        while root in kept:
            root = kept[root]
        groups[item_id] = root
    return groups


def near_duplicates(
    vectors: Vectors, threshold: float, progress: Progress | None = None
) -> list[tuple[int, int, float]]:
    """(row, kept row, cosine) of each row that is near an earlier kept one, in row order; see the module's rule.

    ``vectors`` is (n, d), rows of length 1. A pair's cosine is computed from its two rows alone, in float64; the blocked
    float32 product only selects candidates, with room for its rounding, so block sizes never change a decision. The
    threshold is reached from ``threshold - 1e-6`` on. Memory: twice the vectors and 64 MB. Progress counts rows.

    Raises EncoderError for vectors that are not finite, zero or not of length 1; ValueError for a threshold outside (0, 1].
    """
    _check_threshold(threshold)
    _check(vectors, None)
    return _greedy(vectors, threshold, progress)


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise ValueError(f"The threshold is a cosine above 0 and up to 1, not {threshold}.")


def _check(vectors: Vectors, ids: Sequence[str] | None) -> None:
    if vectors.ndim != 2:
        raise EncoderError(f"The encoder returned an array of {vectors.ndim} dimensions; (texts, size) was expected.")
    if ids is not None and len(vectors) != len(ids):
        raise EncoderError(f"The encoder returned {len(vectors)} vectors for {len(ids)} texts.")
    # A squared length says all: a NaN or an infinity in a row makes it one, too.
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))
    if not len(wrong):
        return
    row = int(wrong[0])
    name = f"The vector of {ids[row]}" if ids is not None else f"Vector {row}"
    length = float(lengths[row])
    if not np.isfinite(length):
        problem = "holds a number that is not finite"
    elif length == 0:
        problem = "is zero"
    else:
        problem = f"has length {length:.4g}, not 1"
    raise EncoderError(
        f"{name} {problem} ({len(wrong)} of {len(vectors)} vectors are wrong).",
        cause="The encoder is broken, or stored vectors are damaged.",
        next_step="Try another encoder, or delete the stored embeddings.",
    )


def _greedy(
    vectors: Vectors,
    threshold: float,
    progress: Progress | None,
    row_block: int = _ROW_BLOCK,
    column_block: int = _COLUMN_BLOCK,
) -> list[tuple[int, int, float]]:
    count, size = vectors.shape
    # The largest rounding error of a float32 product of two rows of length 1: see Higham, Accuracy and Stability, 3.1.
    slack = size * 2.0**-23
    reach = threshold - _TOLERANCE
    kept_rows = np.empty(count, dtype=np.intp)
    kept_vectors = np.empty_like(vectors, dtype=np.float32, order="C")
    kept_count = 0
    result: list[tuple[int, int, float]] = []
    for start in range(0, count, row_block):
        block = np.ascontiguousarray(vectors[start : start + row_block], dtype=np.float32)
        best = _Best(len(block))
        for left in range(0, kept_count, column_block):
            right = min(left + column_block, kept_count)
            product = block @ kept_vectors[left:right].T
            rows, columns = _candidates(product, reach - slack, slack)
            best.offer(rows, kept_rows[left + columns], _cosines(block, rows, kept_vectors, left + columns))
        inside = np.tril(block @ block.T, -1)
        best.drop_below(reach)
        suspects = set(np.flatnonzero(inside.max(axis=1) >= reach - slack).tolist())
        alive = best.row < 0
        for row in range(len(block)):
            if row in suspects:
                columns = np.flatnonzero((inside[row, :row] >= reach - slack) & alive[:row])
                if len(columns):
                    scores = _cosines(block, np.full(len(columns), row), block, columns)
                    nearest = int(np.argmax(scores))
                    if scores[nearest] >= reach and scores[nearest] > best.score[row]:
                        best.row[row] = start + int(columns[nearest])
                        best.score[row] = scores[nearest]
                        alive[row] = False
        result += [
            (start + row, int(best.row[row]), min(1.0, float(best.score[row])))
            for row in np.flatnonzero(~alive).tolist()
        ]
        new = np.flatnonzero(alive)
        kept_rows[kept_count : kept_count + len(new)] = start + new
        kept_vectors[kept_count : kept_count + len(new)] = block[new]
        kept_count += len(new)
        if progress:
            progress(start + len(block), count)
    return result


class _Best:
    """The nearest kept row so far of each row of a block: its index (-1: none) and cosine."""

    __slots__ = ("row", "score")

    def __init__(self, count: int) -> None:
        self.row = np.full(count, -1, dtype=np.intp)
        self.score = np.full(count, -np.inf)

    def offer(self, rows: NDArray[np.intp], kept: NDArray[np.intp], scores: NDArray[np.float64]) -> None:
        """Kept rows that come later than all offered before: an equal cosine does not replace an earlier row."""
        order = np.lexsort((kept, -scores, rows))
        rows, kept, scores = rows[order], kept[order], scores[order]
        first = np.flatnonzero(np.diff(rows, prepend=-1))
        rows, kept, scores = rows[first], kept[first], scores[first]
        better = scores > self.score[rows]
        self.row[rows[better]] = kept[better]
        self.score[rows[better]] = scores[better]

    def drop_below(self, reach: float) -> None:
        far = self.score < reach
        self.row[far] = -1
        self.score[far] = -np.inf


def _candidates(product: Vectors, low: float, slack: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the products that may be their row's greatest, in rows whose greatest reaches ``low``."""
    greatest = product.max(axis=1)
    rows = np.flatnonzero(greatest >= low)
    index, columns = np.nonzero(product[rows] >= (greatest[rows] - 2 * slack)[:, None])
    return rows[index], columns


_CHUNK = 2**22


def _cosines(
    first: Vectors, first_rows: NDArray[np.intp], second: Vectors, second_rows: NDArray[np.intp]
) -> NDArray[np.float64]:
    step = max(1, _CHUNK // first.shape[1])
    scores = np.empty(len(first_rows))
    for start in range(0, len(first_rows), step):
        part = slice(start, start + step)
        scores[part] = (first[first_rows[part]].astype(np.float64) * second[second_rows[part]]).sum(axis=1)
    return scores
