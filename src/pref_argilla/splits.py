"""Train and test by prompt group, so that no prompt, and none of its near-duplicates, is in both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from enum import StrEnum


class Split(StrEnum):
    TRAIN = "train"
    TEST = "test"


def assign(group_id: str, *, test_share: float, seed: int) -> Split:
    """The group's split, from a hash of the seed and its id alone: the same on every machine, whatever else is there.

    A greater ``test_share`` (0 to 1) only moves groups from train to test. Raises ValueError for another share.
    """
    if not 0 <= test_share <= 1:
        raise ValueError(f"The test share is from 0 to 1, not {test_share}.")
    digest = hashlib.sha256(f"{seed}:{group_id}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    return Split.TEST if place < test_share else Split.TRAIN


def split_prompts(
    prompt_ids: Iterable[str], groups: Mapping[str, str] | None = None, *, test_share: float, seed: int
) -> dict[str, Split]:
    """Each prompt's split. ``groups`` maps a prompt to its group's id (``dedupe.duplicate_groups``), itself if absent.

    Adding prompts never moves an old one, as long as old ones keep their groups: they do when new prompts come after them.
    The share holds on average over many groups; of a handful, all may fall on one side.
    """
    of = groups or {}
    return {prompt: assign(of.get(prompt, prompt), test_share=test_share, seed=seed) for prompt in prompt_ids}
