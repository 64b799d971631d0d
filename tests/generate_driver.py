"""A process that generates into a SQLite file, for tests that kill it: ``python generate_driver.py JSON``.

The JSON object has ``base_url``, ``database``, ``prompts``, ``answers``, ``concurrency`` and ``path`` (sys.path). Prints
one line before the first question and one, the report, after the last.
"""

from __future__ import annotations

import json
import sqlite3
import sys


def main() -> None:
    wish = json.loads(sys.argv[1])
    sys.path[:0] = wish["path"]
    import random

    import openai  # noqa: F401 - before the line that says it begins

    from pref_argilla.generate import ExistingAnswer, Generated, generate, plan
    from pref_argilla.models import ModelSpec
    from pref_argilla.schema import Message, Prompt, Role

    prompts = [Prompt.of([Message(Role.USER, f"Question {number}?")]) for number in range(wish["prompts"])]
    spec = ModelSpec(
        "small", "small-1", base_url=wish["base_url"], api_key_variable="", concurrency=wish["concurrency"], retries=20
    )
    database = sqlite3.connect(wish["database"], check_same_thread=False, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(
        "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, prompt TEXT, fingerprint TEXT, sample INTEGER, text TEXT)"
    )

    def save(batch: list[Generated]) -> None:
        database.execute("BEGIN IMMEDIATE")
        # Not "or ignore": saving an answer twice must fail.
        database.executemany(
            "INSERT INTO answers VALUES (?, ?, ?, ?, ?)",
            [(answer.key, answer.prompt_id, answer.fingerprint, answer.sample, answer.text) for answer in batch],
        )
        database.execute("COMMIT")

    rows = database.execute("SELECT prompt, fingerprint, sample FROM answers").fetchall()
    existing = [ExistingAnswer(prompt, fingerprint, sample, usable=True) for prompt, fingerprint, sample in rows]
    requests = plan(prompts, [spec], wish["answers"], existing).requests
    print(f"begin {len(requests)}", flush=True)
    report = generate(requests, {}, save, is_refusal=lambda text: False, rng=random.Random(7), grace=5.0)
    print(
        json.dumps({"saved": report.saved, "interrupted": report.interrupted, "complete": report.complete}), flush=True
    )
    database.close()


if __name__ == "__main__":
    main()
