"""What is asked, and what is not asked again: plans from a store."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from endpoint import running_endpoint
from pref_argilla.config import Config, GenerateConfig
from pref_argilla.generate import GenerateReport
from pref_argilla.models import ModelSpec, Prices
from pref_argilla.schema import Completion, FinishReason, Message, Prompt, Role
from pref_argilla.steps.answer import answer, lost_cost, plan_answers
from pref_argilla.steps.deduplicate import deduplicate
from pref_argilla.steps.sync import new_tasks
from pref_argilla.store import Store

PROMPTS = [Prompt.of([Message(Role.USER, f"Question {n}?")]) for n in range(3)]


def config(folder: Path, spec: ModelSpec, answers: int = 2, max_attempts: int = 2) -> Config:
    return Config(folder, "p", models=(spec,), generate=GenerateConfig(answers, max_attempts=max_attempts))


def spec(url: str, **more: object) -> ModelSpec:
    made = ModelSpec("m", "m", base_url=url, api_key_variable="", prices=Prices.of(1, 1), max_tokens=50)
    return replace(made, **more)  # type: ignore[arg-type]


def ask(store: Store, settings: Config) -> GenerateReport:
    return answer(store, plan_answers(store, settings, settings.models).requests, {})


def test_the_same_text_from_other_settings_is_not_paid_for_again(tmp_path: Path) -> None:
    """A model that always refuses in the same words, asked under two system prompts: each run ends, and so does paying."""
    with running_endpoint() as endpoint, Store(tmp_path, writable=True) as store:
        refusal = {"kind": "ok", "content": "I'm sorry, but I can't help with that."}
        endpoint.play(by_text={"Question": refusal})
        store.add_prompts(PROMPTS)
        for system in ("A", "B"):
            settings = config(tmp_path, spec(endpoint.base_url, system_prompt=system))
            for _ in range(5):
                if not plan_answers(store, settings, settings.models).requests:
                    break
                ask(store, settings)
            else:
                raise AssertionError("it goes on asking")
        stats = endpoint.stats()
        assert stats["billed_most_for_one_key"] == 1
        assert stats["billed"] == store.generation_totals().requests == 2 * 2 * len(PROMPTS)


def test_a_good_answer_is_no_duplicate_of_one_that_was_cut_off(tmp_path: Path) -> None:
    with Store(tmp_path, writable=True) as store:
        store.add_prompts(PROMPTS[:1])
        text = "The answer is forty-two."
        cut = Completion.of(PROMPTS[0].id, "m", text, finish_reason=FinishReason.LENGTH)
        whole = Completion.of(PROMPTS[0].id, "m", text, sample=1, finish_reason=FinishReason.STOP)
        store.add_completions([cut, whole, Completion.of(PROMPTS[0].id, "n", "Another one.")])
        assert deduplicate(store, None).completion_duplicates == ()
        tasks, held = new_tasks(store, config(tmp_path, spec("http://127.0.0.1:1")))
        assert (len(tasks), held) == (1, [])


def test_nothing_is_asked_for_a_prompt_that_people_have_seen(tmp_path: Path) -> None:
    settings = config(tmp_path, spec("http://127.0.0.1:1"))
    with Store(tmp_path, writable=True) as store:
        store.add_prompts(PROMPTS[:1])
        store.add_completions([Completion.of(PROMPTS[0].id, "a", "one"), Completion.of(PROMPTS[0].id, "b", "two")])
        tasks, _ = new_tasks(store, settings)
        store.add_tasks(tasks)
        three = config(tmp_path, settings.models[0], answers=3)
        assert plan_answers(store, settings, settings.models).requests == ()
        # Another K is another task: there one answer is missing.
        assert len(plan_answers(store, three, three.models).requests) == 1
        store.add_completions([Completion.of(PROMPTS[0].id, "c", "three")])
        assert len(new_tasks(store, three)[0]) == 1


def test_what_was_lost_counts_against_the_limit_also_after_an_error(tmp_path: Path) -> None:
    with running_endpoint() as endpoint, Store(tmp_path, writable=True) as store:
        wrong_key = {"kind": "status", "status": 401}
        endpoint.play(sequence=[{"kind": "half"}, {"kind": "half"}, wrong_key, wrong_key, wrong_key])
        store.add_prompts(PROMPTS[:1])
        settings = config(tmp_path, spec(endpoint.base_url, concurrency=1, retries=5))
        try:
            ask(store, settings)
        except Exception as exc:  # noqa: BLE001 - any error must leave the same mark
            assert "401" in str(exc) or "key" in str(exc)
        else:
            raise AssertionError("a wrong key must stop the run")
        assert lost_cost(store) > Decimal(0)


def test_a_nul_in_an_answer_is_replaced(tmp_path: Path) -> None:
    with running_endpoint() as endpoint, Store(tmp_path, writable=True) as store:
        endpoint.play(by_text={"Question": {"kind": "ok", "content": "a\0b"}})
        store.add_prompts(PROMPTS[:1])
        ask(store, config(tmp_path, spec(endpoint.base_url), answers=1))
        assert next(store.completions()).text == "a\ufffdb"
