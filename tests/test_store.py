from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from pref_argilla.errors import StoreBusyError, StoreError, StoreFullError, StoreVersionError
from pref_argilla.schema import Annotator, Completion, Message, Prompt, Ranking, ResponseStatus, Role, Task
from pref_argilla.store import (
    MIGRATIONS,
    DatasetRow,
    DuplicateRow,
    GenerationRow,
    RankingChange,
    RecordRow,
    Store,
)


def prompt(text: str) -> Prompt:
    return Prompt.of([Message(Role.USER, text)], "test")


def generation(of: Prompt, sample: int, cost: Decimal | None = None, text: str = "an answer") -> GenerationRow:
    completion = Completion.of(of.id, "model", text, sample=sample)
    return GenerationRow(
        f"g{of.id}{sample}", of.id, "model", "m1", sample, "usable", "", completion, 10, 20, False, cost
    )


def run_script(body: str, folder: Path, **popen: object) -> subprocess.Popen[str]:
    code = "import sys\nfrom pathlib import Path\nfolder = Path(sys.argv[1])\n" + textwrap.dedent(body)
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen
    )


def test_adding_the_same_twice_changes_nothing(tmp_path: Path) -> None:
    prompts = [prompt("Nasıl gidiyor?"), prompt("How are you?")]
    completion = Completion.of(prompts[0].id, "human", "İyi.")
    with Store(tmp_path, writable=True) as store:
        assert store.add_prompts(prompts) == 2
        assert store.add_prompts(prompts) == 0
        assert store.add_completions([completion]) == 1
        assert store.add_completions([completion]) == 0
        store.add_generations([generation(prompts[1], 0, Decimal("0.0000003"))] * 2)
        store.add_generations([generation(prompts[1], 0, Decimal("0.0000003"))])
    with Store(tmp_path, writable=False) as store:
        assert list(store.prompts()) == prompts
        assert [(p, [c.text for c in cs]) for p, cs in store.prompts_with_completions()] == [
            (prompts[0], ["İyi."]),
            (prompts[1], ["an answer"]),
        ]
        totals = store.generation_totals()
        assert (totals.requests, totals.cost, totals.unpriced) == (1, Decimal("0.0000003"), 0)


def test_texts_come_back_exactly(tmp_path: Path) -> None:
    hostile = "a\r\nb\u2028c\x1b[31m \u202e \U0001f600 $& <script>\t" + "x" * 100_000
    one = prompt(hostile)
    with Store(tmp_path, writable=True) as store:
        store.add_prompts([one])
        store.add_completions([Completion.of(one.id, "o", hostile)])
        assert store.prompt(one.id) == one
        assert next(store.completions()).text == hostile


def test_paging_covers_every_row(tmp_path: Path) -> None:
    prompts = [prompt(f"prompt {n}") for n in range(2345)]
    with Store(tmp_path, writable=True) as store:
        store.add_prompts(prompts)
        assert [p.id for p in store.prompts()] == [p.id for p in prompts]
        assert sum(1 for _ in store.prompts_with_completions()) == 2345


def test_embeddings_are_kept_by_encoder_and_text(tmp_path: Path) -> None:
    vector = np.arange(4, dtype=np.float32)
    with Store(tmp_path, writable=True) as store:
        store.add_embeddings("a", {"h1": vector})
        found = store.embeddings("a", ["h1", "h2"])
        assert list(found) == ["h1"]
        assert (found["h1"] == vector).all()
        assert store.embeddings("b", ["h1"]) == {}


def test_duplicates_are_replaced_as_a_whole(tmp_path: Path) -> None:
    with Store(tmp_path, writable=True) as store:
        store.replace_duplicates([DuplicateRow("p1", "prompt", "p0", 1.0, "exact")])
        store.replace_duplicates([DuplicateRow("c2", "completion", "c0", 0.97, "near")])
        assert [row.id for row in store.duplicates()] == ["c2"]
        assert store.duplicates("prompt") == []


def test_slots_once_written_stay(tmp_path: Path) -> None:
    one = prompt("p")
    completions = [Completion.of(one.id, "o", str(n)) for n in range(3)]
    ids = tuple(c.id for c in completions)
    task = Task(Task.id_of(one.id, ids), one.id, ids)
    with Store(tmp_path, writable=True) as store:
        store.add_prompts([one])
        store.add_completions(completions)
        store.add_tasks([task])
        store.add_tasks([Task(task.id, one.id, ids[::-1])])
        assert list(store.tasks()) == [task]


def test_pull_is_one_transaction_with_its_history(tmp_path: Path) -> None:
    one = prompt("p")
    with Store(tmp_path, writable=True) as store:
        store.add_prompts([one])
        store.add_tasks([Task("t1", one.id, ())])
        dataset = DatasetRow("d1", "http://x", "w", "n", 3)
        store.save_dataset(dataset)
        store.save_records("d1", [RecordRow("t1", "r1", "h")])
        first = Ranking(
            "t1", "u1", ResponseStatus.SUBMITTED, (1, 2, 2), "resp", "2026-01-01T00:00:00", ("unsafe",), "hm"
        )
        edited = Ranking("t1", "u1", ResponseStatus.SUBMITTED, (2, 1, 1), "resp", "2026-01-02T00:00:00")
        marked = DatasetRow("d1", "http://x", "w", "n", 3, "2026-01-02", 1, "2026-01-03T00:00:00+00:00")
        store.save_pull(marked, [Annotator("u1", "one")], [RankingChange("new", first)])
        store.save_pull(marked, [], [RankingChange("edited", edited)])
        assert store.rankings("d1") == [edited]
        assert [(c.change, c.ranking) for c in store.ranking_history()] == [("new", first), ("edited", edited)]
        store.save_dataset(dataset)
        assert store.datasets() == [marked], "saving the dataset again must not lose the mark"
        with pytest.raises(sqlite3.IntegrityError):
            store.save_pull(marked, [], [RankingChange("new", Ranking("t-unknown", "u1", ResponseStatus.DRAFT, ()))])
        assert store.rankings("d1") == [edited]


def test_secret_is_random_and_stays(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    secrets = []
    for folder in ("a", "a", "b"):
        with Store(tmp_path / folder, writable=True) as store:
            secrets.append(store.secret)
    assert secrets[0] == secrets[1] != secrets[2]


def test_a_second_writer_is_told_and_readers_are_not_held_up(tmp_path: Path) -> None:
    with Store(tmp_path, writable=True):
        script = """
            from pref_argilla.store import Store
            from pref_argilla.errors import StoreBusyError
            Store(folder, writable=False).close()
            try:
                Store(folder, writable=True)
            except StoreBusyError as exc:
                print(exc)
        """
        process = run_script(script, tmp_path)
        out, err = process.communicate(timeout=30)
        assert "Another pref-argilla command is writing" in out, err
    Store(tmp_path, writable=True).close()


def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    script = """
        import time
        from pref_argilla.store import Store
        store = Store(folder, writable=True)
        print("open", flush=True)
        time.sleep(60)
    """
    process = run_script(script, tmp_path)
    assert process.stdout is not None and process.stdout.readline() == "open\n"
    with pytest.raises(StoreBusyError):
        Store(tmp_path, writable=True)
    process.kill()
    process.communicate()
    Store(tmp_path, writable=True).close()


def test_a_newer_store_is_left_alone(tmp_path: Path) -> None:
    Store(tmp_path, writable=True).close()
    with sqlite3.connect(tmp_path / "store.db") as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    for writable in (True, False):
        with pytest.raises(StoreVersionError, match="newer pref-argilla"):
            Store(tmp_path, writable=writable)


def test_messages_for_what_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No store in"):
        Store(tmp_path, writable=False)
    with pytest.raises(StoreError, match="does not exist"):
        Store(tmp_path / "missing", writable=True)
    (tmp_path / "store.db").write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(StoreError, match="not a pref-argilla store"):
        Store(tmp_path, writable=True)


def test_an_interrupted_creation_is_finished_by_the_next_writer(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "store.db").close()
    with pytest.raises(StoreError, match="interrupted"):
        Store(tmp_path, writable=False)
    Store(tmp_path, writable=True).close()
    Store(tmp_path, writable=False).close()


def test_a_full_disk_is_named_and_loses_nothing_saved(tmp_path: Path) -> None:
    script = """
        from pref_argilla.errors import StoreFullError
        from pref_argilla.schema import Message, Prompt, Role
        from pref_argilla.store import Store
        store = Store(folder, writable=True)
        done = 0
        try:
            for n in range(10_000):
                store.add_prompts([Prompt.of([Message(Role.USER, f"{n} " + "x" * 5000)])])
                done = n + 1
        except StoreFullError as exc:
            print(done, exc.what)
    """

    def limit() -> None:
        # A write past this size fails as on a full disk; the signal that comes with it is ignored, as Python does.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))

    process = run_script(script, tmp_path, preexec_fn=limit)
    out, err = process.communicate(timeout=60)
    assert "the disk is full" in out, err
    done = int(out.split()[0])
    assert done > 10
    with Store(tmp_path, writable=True) as store:
        assert store.count("prompts") >= done


def test_sqlite_full_is_the_same_error(tmp_path: Path) -> None:
    with Store(tmp_path, writable=True) as store:
        store._db.execute("PRAGMA max_page_count = 60")
        with pytest.raises(StoreFullError):
            store.add_prompts([prompt("y" * 1_000_000)])
        assert store.count("prompts") == 0


def test_threads_share_a_store(tmp_path: Path) -> None:
    prompts = [prompt(str(n)) for n in range(200)]
    with Store(tmp_path, writable=True) as store:
        store.add_prompts(prompts)

        def save(part: int) -> None:
            for one in prompts[part::4]:
                store.add_generations([generation(one, 0)])

        threads = [threading.Thread(target=save, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.count("completions") == 200


@pytest.mark.slow
def test_kill_in_the_middle_of_writing_leaves_whole_transactions(tmp_path: Path) -> None:
    script = """
        from pref_argilla.schema import Message, Prompt, Role
        from pref_argilla.store import Store
        store = Store(folder, writable=True)
        start = store.count("prompts") // 7
        for n in range(start, 100_000):
            store.add_prompts([Prompt.of([Message(Role.USER, f"{n} {m}")]) for m in range(7)])
            print(n, flush=True)
    """
    acknowledged = -1
    for attempt in range(8):
        process = run_script(script, tmp_path)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05 + 0.03 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        lines = [line for line in out.splitlines() if line.isdigit()]
        acknowledged = int(lines[-1]) if lines else acknowledged
        with Store(tmp_path, writable=True) as store:
            count = store.count("prompts")
            assert count % 7 == 0
            assert count >= 7 * (acknowledged + 1)
