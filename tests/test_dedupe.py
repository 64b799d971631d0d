"""dedupe.py: exactly the greedy definition, whatever the blocks; groups, marks, bad vectors, remembered vectors."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pref_argilla.dedupe import (
    Duplicate,
    Item,
    Method,
    Progress,
    RememberingEncoder,
    Vectors,
    _greedy,
    dedupe,
    dedupe_within_groups,
    duplicate_groups,
    exact_duplicates,
    near_duplicates,
    text_key,
)
from pref_argilla.errors import EncoderError


def rows_of_length_one(values: np.ndarray) -> Vectors:
    rows = values.astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def clustered(seed: int, count: int, size: int, clusters: int, spread: float) -> Vectors:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(clusters, size))
    return rows_of_length_one(
        centres[random.integers(clusters, size=count)] + spread * random.normal(size=(count, size))
    )


def by_definition(vectors: Vectors, threshold: float) -> list[tuple[int, int, float]]:
    kept: list[int] = []
    found = []
    for row in range(len(vectors)):
        nearest = None
        for other in kept:
            score = float((vectors[row : row + 1].astype(np.float64) * vectors[other : other + 1]).sum(axis=1)[0])
            if score >= threshold - 1e-6 and (nearest is None or score > nearest[1]):
                nearest = (other, score)
        if nearest is None:
            kept.append(row)
        else:
            found.append((row, nearest[0], min(1.0, nearest[1])))
    return found


class FakeEncoder:
    """Vectors from a table; counts what it is asked."""

    def __init__(self, vectors: Mapping[str, Sequence[float]], name: str = "fake") -> None:
        self._vectors = vectors
        self._name = name
        self.asked: list[str] = []

    @property
    def name(self) -> str:
        return self._name

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        self.asked += texts
        if progress:
            progress(len(texts), len(texts))
        return np.array([self._vectors[text] for text in texts], dtype=np.float32).reshape(len(texts), -1)


def at(degrees: float) -> tuple[float, float]:
    return float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))


@pytest.mark.parametrize("blocks", [(1, 1), (7, 13), (64, 3), (1024, 8192)])
@pytest.mark.parametrize(
    ("vectors", "threshold"),
    [
        (clustered(0, 200, 8, 20, 0.3), 0.9),
        (clustered(1, 200, 3, 50, 0.1), 0.95),
        (clustered(2, 150, 384, 30, 0.2), 0.97),
        (clustered(3, 100, 4, 1, 0.0), 0.9999),
        (clustered(4, 150, 16, 150, 0.0), 0.2),
    ],
    ids=["clusters", "chains", "384 numbers", "all the same", "random, low threshold"],
)
def test_equals_the_definition_for_every_block_shape(
    vectors: Vectors, threshold: float, blocks: tuple[int, int]
) -> None:
    expected = by_definition(vectors, threshold)
    assert expected, "the case must hold duplicates"
    assert _greedy(vectors, threshold, None, *blocks) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(-3, 3)] * 3).filter(any), min_size=1, max_size=25),
    st.sampled_from([0.5, 0.8, 0.95, 1.0]),
    st.integers(1, 6),
    st.integers(1, 6),
)
def test_equals_the_definition_with_exact_ties(
    points: list[tuple[int, int, int]], threshold: float, rows: int, columns: int
) -> None:
    vectors = rows_of_length_one(np.array(points))
    assert _greedy(vectors, threshold, None, rows, columns) == by_definition(vectors, threshold)


def test_the_real_blocks_are_crossed() -> None:
    # 2,500 rows: three row blocks; the definition by brute force over the kept ones only.
    vectors = clustered(5, 2500, 8, 60, 0.05)
    assert near_duplicates(vectors, 0.98) == by_definition(vectors, 0.98)


def test_a_chain_is_cut_at_what_was_dropped() -> None:
    # 0, 10, 20 degrees at a threshold of cos 15: b duplicates a; c is near b only, and b was not kept.
    vectors = np.array([at(0), at(10), at(20)], dtype=np.float32)
    assert [pair[:2] for pair in near_duplicates(vectors, float(np.cos(np.radians(15))))] == [(1, 0)]


def test_the_nearest_kept_one_is_named_and_the_earliest_of_equals() -> None:
    threshold = float(np.cos(np.radians(25)))
    nearest = np.array([at(0), at(30), at(20)], dtype=np.float32)
    assert [pair[:2] for pair in near_duplicates(nearest, threshold)] == [(2, 1)]
    equal = rows_of_length_one(np.array([[1, 1, 0], [1, -1, 0], [1, 0, 0]]))
    assert [pair[:2] for pair in near_duplicates(equal, 0.7)] == [(2, 0)]


def test_the_threshold_itself_counts_as_near() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6]], dtype=np.float32)
    assert [pair[:2] for pair in near_duplicates(vectors, 0.8)] == [(1, 0)]
    assert near_duplicates(vectors, 0.8001) == []
    same = np.repeat(rows_of_length_one(np.random.default_rng(0).normal(size=(1, 384))), 2, axis=0)
    assert near_duplicates(same, 1.0) == [(1, 0, 1.0)] or near_duplicates(same, 1.0)[0][2] > 1 - 1e-6


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_appending_never_changes_earlier_decisions(seed: int, cut: int) -> None:
    vectors = clustered(seed, 40, 4, 8, 0.2)
    whole = near_duplicates(vectors, 0.93)
    assert near_duplicates(vectors[:cut], 0.93) == [pair for pair in whole if pair[0] < cut]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.0, 0.0], "is zero"),
        ([float("nan"), 0.0], "not finite"),
        ([float("inf"), 0.0], "not finite"),
        ([0.5, 0.0], "length 0.5"),
    ],
)
def test_bad_vectors_are_refused_by_name(row: list[float], message: str) -> None:
    vectors = np.array([[1.0, 0.0], row], dtype=np.float32)
    with pytest.raises(EncoderError, match=f"Vector 1.*{message}"):
        near_duplicates(vectors, 0.9)
    with pytest.raises(EncoderError, match=f"The vector of second.*{message}"):
        dedupe([Item("first", "a"), Item("second", "b")], FakeEncoder({"a": [1, 0], "b": row}), 0.9)


def test_bad_shapes_and_thresholds_are_refused() -> None:
    with pytest.raises(EncoderError, match="1 dimensions"):
        near_duplicates(np.ones(3, dtype=np.float32), 0.9)
    for threshold in (0.0, -1.0, 1.1, float("nan")):
        with pytest.raises(ValueError, match="threshold"):
            near_duplicates(np.ones((1, 1), dtype=np.float32), threshold)
    with pytest.raises(ValueError, match="twice"):
        dedupe([Item("a", "x"), Item("a", "y")], None, 0.9)


def test_nothing_gives_nothing() -> None:
    assert near_duplicates(np.empty((0, 384), dtype=np.float32), 0.9) == []
    assert dedupe([], FakeEncoder({}), 0.9) == []


def test_progress_reaches_the_end() -> None:
    calls: list[tuple[int, int]] = []
    near_duplicates(clustered(6, 2500, 4, 9, 0.1), 0.99, lambda done, total: calls.append((done, total)))
    assert calls[-1] == (2500, 2500)
    assert all(before[0] < after[0] for before, after in pairwise(calls))


def test_exact_duplicates_are_found_after_normalisation_and_by_group() -> None:
    items = [Item("1", "Işık nedir?", "p"), Item("2", "ışık  NEDİR?", "p"), Item("3", "Işık nedir?", "q")]
    assert exact_duplicates(items) == [Duplicate("2", "1", 1.0, Method.EXACT)]
    assert [d.id for d in dedupe(items, None, 0.9)] == ["2", "3"]


def test_every_duplicate_points_at_a_kept_item() -> None:
    # 3 equals 2, and 2 is near 1: both are duplicates of 1.
    vectors = {"one": at(0), "two": at(5)}
    items = [Item("1", "one"), Item("2", "two"), Item("3", "TWO")]
    found = dedupe(items, FakeEncoder(vectors), 0.99)
    assert [(d.id, d.duplicate_of, d.method) for d in found] == [("2", "1", Method.NEAR), ("3", "1", Method.NEAR)]
    assert found[0].score == pytest.approx(np.cos(np.radians(5)), abs=1e-6)
    assert duplicate_groups(["1", "2", "3", "4"], found) == {"1": "1", "2": "1", "3": "1", "4": "4"}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from("abcde"), st.booleans()), max_size=14))
def test_kept_and_dropped_partition_the_items(rows: list[tuple[str, str, bool]]) -> None:
    vectors = {letter: at(index * 12) for index, letter in enumerate("abcde")}
    items = [
        Item(str(i), letter.upper() if capital else letter, group) for i, (group, letter, capital) in enumerate(rows)
    ]
    encoder = FakeEncoder({**vectors, **{k.upper(): v for k, v in vectors.items()}})
    found = dedupe_within_groups(items, encoder, float(np.cos(np.radians(15))))
    dropped = {duplicate.id for duplicate in found}
    group_of = {item.id: item.group for item in items}
    assert [d.id for d in found] == [item.id for item in items if item.id in dropped]
    assert all(d.duplicate_of not in dropped and group_of[d.duplicate_of] == group_of[d.id] for d in found)
    kept = [item for item in items if item.id not in dropped]
    for item in kept:
        for other in kept:
            if item.id != other.id and item.group == other.group:
                assert abs("abcde".index(item.text.lower()) - "abcde".index(other.text.lower())) > 1


def test_items_of_other_groups_and_single_ones_are_not_encoded() -> None:
    encoder = FakeEncoder({"a": at(0), "b": at(1)})
    items = [Item("1", "a", "p"), Item("2", "b", "q"), Item("3", "a", "r"), Item("4", "b", "r")]
    assert [d.id for d in dedupe_within_groups(items, encoder, 0.9)] == ["4"]
    assert encoder.asked == ["a", "b"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("14% of 47.50 is 6.50", "14% of 47.50 is 2.50"),
        ("Yes, it is safe", "No, it is not safe"),
        ("It is safe", "It isn't safe"),
        ("Evet, güvenlidir", "Hayır, güvenlidir"),
        ("Guess the movie 🧙🚪", "Guess the movie 🦅⚡"),
    ],
)
def test_texts_with_other_numbers_polarity_or_emoji_are_never_near(first: str, second: str) -> None:
    encoder = FakeEncoder({first: at(0), second: at(0)})
    assert dedupe([Item("1", first), Item("2", second)], encoder, 0.9) == []


def test_many_small_groups_are_quick() -> None:
    random = np.random.default_rng(0)
    texts = [f"text {chr(97 + i % 26)}{i}" for i in range(40_000)]
    vectors = rows_of_length_one(random.normal(size=(len(texts), 16)))

    class Table:
        name = "table"

        def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
            return vectors[: len(texts)]

    items = [
        Item(str(i), "same marks " + text.rstrip("0123456789") * (i % 4 + 1), str(i // 4))
        for i, text in enumerate(texts)
    ]
    start = time.perf_counter()
    dedupe_within_groups(items, Table(), 0.9)
    assert time.perf_counter() - start < 20


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.05, 10.0], ids=["clustered", "random"])
def test_fifty_thousand_prompts(spread: float) -> None:
    # Seconds mean nothing on a busy machine: the yardstick is the half matrix product, timed right before.
    vectors = clustered(7, 50_000, 384, 1_000, spread)
    start = time.perf_counter()
    for row in range(0, len(vectors), 1024):
        vectors[row : row + 1024] @ vectors[: row + 1024].T
    yardstick = time.perf_counter() - start
    tracemalloc.start()
    start = time.perf_counter()
    found = near_duplicates(vectors, 0.95)
    seconds = time.perf_counter() - start
    peak = tracemalloc.get_traced_memory()[1] + vectors.nbytes
    tracemalloc.stop()
    assert bool(found) == (spread < 1)
    assert peak < 500e6
    assert seconds < 4 * yardstick
    rows = {row for row, _, _ in found}
    sample = np.random.default_rng(0).choice(len(vectors), 200, replace=False)
    kept = np.array([row for row in range(len(vectors)) if row not in rows])
    decided = {row: other for row, other, _ in found}
    for row in sorted(sample.tolist()):
        earlier = kept[kept < row]
        scores = vectors[earlier].astype(np.float64) @ vectors[row]
        near = len(earlier) > 0 and float(scores.max()) >= 0.95
        assert decided.get(row) == (int(earlier[scores.argmax()]) if near else None)


class Memory:
    """A store of vectors."""

    def __init__(self) -> None:
        self.saved: dict[tuple[str, str], Vectors] = {}

    def load(self, name: str, keys: Sequence[str]) -> Mapping[str, Vectors]:
        return {key: self.saved[name, key] for key in keys if (name, key) in self.saved}

    def save(self, name: str, vectors: Mapping[str, Vectors]) -> None:
        self.saved.update({(name, key): vector for key, vector in vectors.items()})


def test_a_second_run_encodes_only_what_is_new() -> None:
    memory = Memory()
    encoder = FakeEncoder({"a": at(0), "b": at(90), "c": at(180)})
    calls: list[tuple[int, int]] = []
    remembering = RememberingEncoder(encoder, memory.load, memory.save, batch=1)
    first = remembering.encode(["a", "b", "a"], lambda done, total: calls.append((done, total)))
    assert calls == [(0, 2), (1, 2), (2, 2)]
    second = remembering.encode(["c", "a", "b"])
    assert encoder.asked == ["a", "b", "c"]
    assert np.array_equal(first[0], second[1])
    assert np.array_equal(first[0], first[2])
    assert second.shape == (3, 2)
    other = FakeEncoder({"a": at(45)}, name="other")
    RememberingEncoder(other, memory.load, memory.save).encode(["a"])
    assert other.asked == ["a"], "vectors of another model are not taken"


def test_what_was_encoded_before_a_failure_is_kept() -> None:
    memory = Memory()
    encoder = FakeEncoder({"a": at(0)})
    with pytest.raises(KeyError):
        RememberingEncoder(encoder, memory.load, memory.save, batch=1).encode(["a", "unknown"])
    assert list(memory.saved) == [("fake", text_key("a"))]


def test_stored_vectors_of_two_sizes_are_refused() -> None:
    memory = Memory()
    memory.save("fake", {text_key("a"): np.ones(3, dtype=np.float32)})
    with pytest.raises(EncoderError, match="same size"):
        RememberingEncoder(FakeEncoder({"b": at(0)}), memory.load, memory.save).encode(["a", "b"])
