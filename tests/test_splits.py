"""splits.py: no group in two splits, nothing moves, the share holds, the same everywhere."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pref_argilla.splits import Split, assign, split_prompts

IDS = st.text("abcdef", min_size=1, max_size=4)


@given(st.dictionaries(IDS, IDS, max_size=30), st.floats(0, 1), st.integers())
def test_no_group_is_in_two_splits(groups: dict[str, str], share: float, seed: int) -> None:
    splits = split_prompts(groups, groups, test_share=share, seed=seed)
    for first, group in groups.items():
        for second, other in groups.items():
            if group == other:
                assert splits[first] is splits[second]


@given(st.lists(IDS, unique=True), st.lists(IDS, unique=True), st.integers(0, 99))
def test_adding_prompts_never_moves_an_old_one(old: list[str], new: list[str], seed: int) -> None:
    before = split_prompts(old, test_share=0.3, seed=seed)
    after = split_prompts([*new, *old], test_share=0.3, seed=seed)
    assert all(after[prompt] is before[prompt] for prompt in old)


@given(IDS, st.floats(0, 1), st.floats(0, 1), st.integers())
def test_a_greater_share_only_moves_to_test(group: str, one: float, two: float, seed: int) -> None:
    small, great = sorted((one, two))
    if assign(group, test_share=small, seed=seed) is Split.TEST:
        assert assign(group, test_share=great, seed=seed) is Split.TEST


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.5, 1.0])
def test_the_share_is_about_right(share: float) -> None:
    splits = split_prompts((f"p{i}" for i in range(20_000)), test_share=share, seed=7)
    tests = sum(split is Split.TEST for split in splits.values())
    assert abs(tests / 20_000 - share) < 0.01


def test_another_seed_gives_another_split() -> None:
    prompts = [f"p{i}" for i in range(200)]
    assert split_prompts(prompts, test_share=0.5, seed=1) != split_prompts(prompts, test_share=0.5, seed=2)


def test_the_same_in_another_process_and_for_ever() -> None:
    prompts = [f"p{i}" for i in range(50)]
    here = [split.value for split in split_prompts(prompts, test_share=0.4, seed=3).values()]
    code = (
        "from pref_argilla.splits import split_prompts;"
        "print(*split_prompts([f'p{i}' for i in range(50)], test_share=0.4, seed=3).values())"
    )
    there = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "5", "PYTHONPATH": _src()},
    )
    assert there.stdout.split() == here
    # Written down, so that a change of the hash, which would move prompts of old data sets, is seen.
    assert [i for i in range(20) if here[i] == "test"] == [3, 12, 13, 15, 17, 18, 19]


def _src() -> str:
    import pref_argilla

    return str(next(iter(pref_argilla.__path__)).rsplit("/", 1)[0])


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="test share"):
        assign("g", test_share=share, seed=0)
