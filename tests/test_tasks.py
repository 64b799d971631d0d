from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pref_argilla.schema import Completion, FinishReason, Message, Prompt, Role, Task
from pref_argilla.tasks import MAX_CHARACTERS, Defect, HeldBack, HeldReason, build_task, shuffled

PROMPT = Prompt.of([Message(Role.USER, "Why?")])


def completion(text: str, origin: str = "m", **more: object) -> Completion:
    return Completion.of(PROMPT.id, origin, text, **more)  # type: ignore[arg-type]


def build(
    completions: list[Completion], duplicates: set[str] | None = None, slots: int = 3, seed: str = "s"
) -> Task | HeldBack:
    return build_task(PROMPT, completions, slots=slots, duplicates=duplicates or set(), seed=seed)


def test_every_defect_is_counted_and_nothing_is_padded() -> None:
    bad = [
        completion(" \n"),
        completion("half", finish_reason=FinishReason.LENGTH),
        completion("filtered", finish_reason=FinishReason.CONTENT_FILTER),
        completion("no", refusal=True),
        completion("x\0y"),
        completion("x" * (MAX_CHARACTERS + 1)),
        completion("twin"),
    ]
    good = [completion("one"), completion("two")]
    held = build(bad + good, {bad[-1].id})
    assert held == HeldBack(
        PROMPT.id,
        HeldReason.TOO_FEW,
        2,
        tuple(
            sorted(
                [
                    (Defect.EMPTY, 1),
                    (Defect.CUT_OFF, 1),
                    (Defect.FILTERED, 1),
                    (Defect.REFUSAL, 1),
                    (Defect.UNFIT, 2),
                    (Defect.DUPLICATE, 1),
                ]
            )
        ),
    )
    task = build([*bad, *good, completion("three")], {bad[-1].id})
    assert isinstance(task, Task)
    assert not {c.id for c in bad} & set(task.completion_ids)


def test_duplicate_prompts_and_prompts_without_answers_wait() -> None:
    full = [completion(str(n)) for n in range(3)]
    assert build(full, {PROMPT.id}) == HeldBack(PROMPT.id, HeldReason.DUPLICATE_PROMPT)
    assert build([]) == HeldBack(PROMPT.id, HeldReason.NO_COMPLETIONS)


@given(st.lists(st.sampled_from("abcd"), min_size=3, max_size=12), st.integers(2, 5))
def test_origins_share_the_slots(origins: list[str], slots: int) -> None:
    completions = [completion(str(n), origin) for n, origin in enumerate(origins)]
    task = build(completions, slots=slots)
    if len(completions) < slots:
        assert isinstance(task, HeldBack)
        return
    assert isinstance(task, Task)
    assert len(set(task.completion_ids)) == slots
    shown = Counter(c.origin for c in completions if c.id in task.completion_ids)
    available = Counter(origins)
    for origin in available:
        # Nobody has two more slots than an origin that still had answers to give.
        assert shown[origin] == available[origin] or max(shown.values()) - shown[origin] <= 1


@given(st.permutations([completion(str(n), o) for n, o in enumerate("abc")]))
def test_the_order_shown_depends_on_seed_and_task_alone(order: list[Completion]) -> None:
    reference = build([completion(str(n), o) for n, o in enumerate("abc")])
    assert build(order) == reference


def test_slots_are_uniform_over_tasks() -> None:
    first = Counter(shuffled(["a", "b", "c"], "seed", f"t{n}") for n in range(6000))
    assert len(first) == 6
    # Six orders, 1000 expected each; five standard deviations.
    assert all(abs(count - 1000) < 5 * (6000 * (1 / 6) * (5 / 6)) ** 0.5 for count in first.values())


def test_seeds_differ() -> None:
    orders = {shuffled(list("abcdefgh"), str(seed), "t1") for seed in range(20)}
    assert len(orders) > 15


def test_refusals_are_usable_on_request_and_unfit_prompts_wait() -> None:
    completions = [completion("I cannot help.", refusal=True), completion("one"), completion("two")]
    assert isinstance(build(completions), HeldBack)
    asked = build_task(PROMPT, completions, slots=3, duplicates=set(), seed="s", refusals=True)
    assert isinstance(asked, Task)
    long = Prompt.of([Message(Role.USER, "x" * (MAX_CHARACTERS + 1))])
    assert build_task(long, completions, slots=3, duplicates=set(), seed="s") == HeldBack(long.id, HeldReason.UNFIT)
