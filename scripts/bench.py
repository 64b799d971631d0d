"""Speeds of the main job, each beside something measured in the same run: a machine's own speed drops out of the ratios.

    python scripts/bench.py [--only NAME]... [--list] [--json]

The table goes to stdout (with --json one object instead), progress to stderr. Everything is made in a temporary folder and
removed; the embedded Argilla is stopped at the end, also after Ctrl+C. Other work on the machine disturbs: each figure is a
median or minimum of alternating repetitions, and the load that was there before a benchmark began is shown with it. The
exit code does not depend on the speeds. Run it in the checkout: the endpoint that plays the language model is
``tests/endpoint.py``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import random
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pref_argilla.config import Config
    from pref_argilla.labeling.connection import ArgillaAddress, Connection
    from pref_argilla.schema import Completion, Prompt

CHECKOUT = Path(__file__).resolve().parents[1]
COMMAND = Path(sys.executable).with_name("pref-argilla")

PUSH_RECORDS, PUSH_ROUNDS = 1000, 4
PULL_RECORDS, PULL_ROUNDS = 5000, 5
REQUESTS, AT_ONCE, LATENCY, GENERATE_ROUNDS = 1000, 64, 0.5, 3
VECTORS, SIZE, THRESHOLD, DEDUPE_ROUNDS = 50_000, 384, 0.95, 3
HELP_ROUNDS = 15
SERVER_ROUNDS = 3
WORDS = (
    "the answer depends on how many people use it because each request waits for its turn önce dosyayı açın sonra "
    "satırları tek tek okuyun and check that value before you return the result yani kısa bir örnek yeterli olur"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """``ratio`` is what ``ratio_of`` says. ``measured`` holds the figures behind it; their names carry the units."""

    ratio: float
    ratio_of: str
    target: str
    met: bool
    measured: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Result:
    """``load`` is how many processes wanted a core in the minute before the benchmark began."""

    name: str
    load: float
    finding: Finding


@dataclass(slots=True)
class Workshop:
    """Where benchmarks work: a temporary folder, and one embedded server for those that need it."""

    folder: Path
    stack: ExitStack
    _address: ArgillaAddress | None = field(default=None)

    def new_folder(self, name: str) -> Path:
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        folder.chmod(0o700)
        return folder

    @property
    def environments(self) -> Path:
        """Where the command makes them when XDG_DATA_HOME is ``data_home``."""
        return self.data_home / "pref-argilla" / "server"

    @property
    def data_home(self) -> Path:
        return self.folder / "data"

    def argilla(self) -> ArgillaAddress:
        from pref_argilla.labeling.connection import ArgillaAddress

        if self._address is None:
            server = self.stack.enter_context(embedded_server(self.new_folder("argilla"), self.environments))
            self._address = ArgillaAddress(server.up(port=free_port(), progress=say).url, server.credentials().api_key)
        return self._address


# -- pure helpers -------------------------------------------------------------------------------------------------------


def ideal_seconds(requests: int, at_once: int, latency: float) -> float:
    """Full waves of ``at_once`` requests, each as long as the latency."""
    return math.ceil(requests / at_once) * latency


def median_ratio(pairs: Iterable[tuple[float, float]]) -> float:
    """The median of first / second: each pair was measured side by side, under the same load."""
    return statistics.median(first / second for first, second in pairs)


def alternating(rounds: int) -> Iterator[tuple[int, int]]:
    """(0, 1), (1, 0), …: who goes first changes, so that a machine or database that slows down favours nobody."""
    for number in range(rounds):
        yield (0, 1) if number % 2 == 0 else (1, 0)


def answer_text(rng: random.Random) -> str:
    """About 700 characters as a model writes them: paragraphs, a list, often code, sometimes mathematics."""
    words = WORDS.split()

    def sentence() -> str:
        chosen = " ".join(rng.choices(words, k=rng.randint(8, 18)))
        return f"{chosen[0].upper()}{chosen[1:]}."

    def paragraph() -> str:
        return " ".join(sentence() for _ in range(rng.randint(2, 4)))

    parts = [paragraph(), "\n".join(f"{n}. **{rng.choice(words)}**: {sentence()}" for n in range(1, 4))]
    if rng.random() < 0.5:
        parts.append(f"```java\nList<String> {rng.choice(words)} = new ArrayList<>();\nx < {rng.randint(1, 99)};\n```")
    if rng.random() < 0.3:
        parts.append(f"So $x^2 < {rng.randint(1, 99)}$ and `a<b>`.")
    parts.append(paragraph())
    return "\n\n".join(parts)


def by_definition(vectors: NDArray[np.float32], threshold: float) -> dict[int, int]:
    """Near-duplicates one row at a time: of each row that is near an earlier kept one, the nearest (then earliest)."""
    import numpy as np

    exact = vectors.astype(np.float64)
    kept: list[int] = []
    duplicates: dict[int, int] = {}
    for row in range(len(exact)):
        cosines = exact[kept] @ exact[row]
        if kept and cosines.max() >= threshold:
            duplicates[row] = kept[int(np.argmax(cosines))]
        else:
            kept.append(row)
    return duplicates


def table(results: Sequence[Result]) -> str:
    """One line a benchmark, and below it the figures that it measured."""
    rows = [("benchmark", "ratio", "of", "target", "met", "load before")]
    rows += [
        (r.name, f"{r.finding.ratio:.2f}", r.finding.ratio_of, r.finding.target, _yes(r.finding.met), f"{r.load:.1f}")
        for r in results
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines: list[str] = []
    for number, row in enumerate(rows):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if number:
            figures = results[number - 1].finding.measured.items()
            lines.append("    " + ", ".join(f"{name} {value:,.4g}" for name, value in figures))
    return "\n".join(lines)


def _yes(met: bool) -> str:
    return "yes" if met else "NO"


# -- small tools --------------------------------------------------------------------------------------------------------


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """A second Ctrl+C must not leave a server behind."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def embedded_server(data_dir: Path, environments: Path) -> Iterator[Any]:
    """An EmbeddedServer that is not running afterwards, whatever happened."""
    from pref_argilla.server import EmbeddedServer

    server = EmbeddedServer(data_dir, environments, base_environ=os.environ)
    try:
        yield server
    finally:
        with uninterrupted():
            server.down()


def example_config(folder: Path, name: str) -> Config:
    from pref_argilla.config import ArgillaConfig, Config

    return Config(folder, name, argilla=ArgillaConfig(workspace="bench"))


def example_tasks(count: int, seed: int) -> tuple[list[Prompt], list[Completion]]:
    """``count`` prompts with three completions each; another seed gives others."""
    from pref_argilla.schema import Completion, Message, Prompt, Role

    rng = random.Random(seed)
    prompts = [Prompt.of([Message(Role.USER, f"Question {seed}-{n}: why? Neden?")]) for n in range(count)]
    completions = [Completion.of(p.id, f"model-{m}", answer_text(rng)) for p in prompts for m in range(3)]
    return prompts, completions


# -- push and pull ------------------------------------------------------------------------------------------------------


def bench_push(workshop: Workshop) -> Finding:
    """``steps.sync.push`` of new tasks, against PUT requests with the same records in the same batches, made beforehand.

    Both write to an empty dataset that exists when the clock starts.
    """
    from pref_argilla.labeling.connection import Connection

    address = workshop.argilla()
    pairs: list[tuple[float, float]] = []
    with Connection(address) as connection:
        _push_once(workshop, connection, 100, "warm-up")
        _raw_push_once(workshop, connection, address, 100, "warm-up-raw")
        for number, order in enumerate(alternating(PUSH_ROUNDS)):
            seconds = [0.0, 0.0]
            for which in order:
                seconds[which] = (
                    _raw_push_once(workshop, connection, address, PUSH_RECORDS, f"raw-{number}")
                    if which == 0
                    else _push_once(workshop, connection, PUSH_RECORDS, f"ours-{number}")
                )
            say(f"push {number + 1}/{PUSH_ROUNDS}: raw {seconds[0]:.2f} s, ours {seconds[1]:.2f} s")
            pairs.append((seconds[0], seconds[1]))
    ratio = median_ratio(pairs)
    ours = statistics.median(pair[1] for pair in pairs)
    measured = {
        "records": PUSH_RECORDS,
        "raw s": statistics.median(pair[0] for pair in pairs),
        "ours s": ours,
        "ours records/s": PUSH_RECORDS / ours,
    }
    return Finding(ratio, "raw HTTP time / ours", "at least 0.9", ratio >= 0.9, measured)


def _push_once(workshop: Workshop, connection: Connection, count: int, name: str) -> float:
    from pref_argilla.steps.sync import push
    from pref_argilla.store import Store

    folder = workshop.new_folder("project")
    config = example_config(folder, name)
    with Store(folder, writable=True) as store:
        push(store, config, connection, "")
        prompts, completions = example_tasks(count, seed=1)
        store.add_prompts(prompts)
        store.add_completions(completions)
        started = time.perf_counter()
        report = push(store, config, connection, "")
        seconds = time.perf_counter() - started
    assert report.pushed == count and not report.unfit, report
    return seconds


def _raw_push_once(workshop: Workshop, connection: Connection, address: ArgillaAddress, count: int, name: str) -> float:
    import httpx

    from pref_argilla.labeling.push import batches
    from pref_argilla.labeling.records import RecordBody, record_body
    from pref_argilla.steps.sync import new_tasks, push
    from pref_argilla.store import Store

    folder = workshop.new_folder("project")
    config = example_config(folder, name)
    with Store(folder, writable=True) as store:
        dataset_id = push(store, config, connection, "").dataset_id
        prompts, completions = example_tasks(count, seed=1)
        store.add_prompts(prompts)
        store.add_completions(completions)
        prompt_of = {prompt.id: prompt for prompt in prompts}
        completion_of = {completion.id: completion for completion in completions}
        bodies: list[RecordBody] = []
        for task in new_tasks(store, config)[0]:
            texts = [completion_of[c] for c in task.completion_ids]
            body = record_body(task, prompt_of[task.prompt_id], texts, secret=store.secret, chat=True)
            assert isinstance(body, RecordBody), body
            bodies.append(body)
    requests = [{"items": [body.json for body in batch]} for batch in batches(bodies)]
    headers = {"X-Argilla-Api-Key": address.api_key}
    with httpx.Client(base_url=f"{address.url}/api/v1", headers=headers, timeout=120, trust_env=False) as client:
        # The connection is open when the clock starts, as ours is.
        client.get("/me").raise_for_status()
        started = time.perf_counter()
        made = 0
        for request in requests:
            answer = client.put(f"/datasets/{dataset_id}/records/bulk", json=request)
            answer.raise_for_status()
            made += len(answer.json()["items"])
        seconds = time.perf_counter() - started
    assert made == count
    return seconds


def bench_pull(workshop: Workshop) -> Finding:
    """``steps.sync.pull`` of everything into an empty ledger on disk, against going through the SDK's records.

    The ratio is for one response a record. A second one is then added to each and both are measured again, because most of
    what is left is the server's own work on a response, which both sides wait for.
    """
    from pref_argilla.labeling.connection import Connection
    from pref_argilla.labeling.team import add_members
    from pref_argilla.steps.sync import push
    from pref_argilla.store import Store

    address = workshop.argilla()
    origin = workshop.new_folder("project")
    config = example_config(origin, "pull")
    with Connection(address) as connection:
        say(f"pull: making {PULL_RECORDS} records with responses")
        with Store(origin, writable=True) as store:
            prompts, completions = example_tasks(PULL_RECORDS, seed=2)
            store.add_prompts(prompts)
            store.add_completions(completions)
            dataset_id = push(store, config, connection, "").dataset_id
            external_ids = [row.external_id for row in store.records(dataset_id).values()]
        people = ["person-1", "person-2"]
        add_members(connection, "bench", people, "annotator")
        ids = {user["username"]: user["id"] for user in connection.request("GET", "/users")["items"]}
        _answer_everything(connection, dataset_id, external_ids, ids[people[0]])
        one = _pull_pairs(workshop, connection, address, origin, config, responses=PULL_RECORDS)
        _answer_everything(connection, dataset_id, external_ids, ids[people[1]])
        two = _pull_pairs(workshop, connection, address, origin, config, responses=2 * PULL_RECORDS)
    ratio = median_ratio(one)
    measured = {
        "records": PULL_RECORDS,
        "SDK s": statistics.median(pair[0] for pair in one),
        "ours s": statistics.median(pair[1] for pair in one),
        "two responses each: ratio": median_ratio(two),
        "SDK with two s": statistics.median(pair[0] for pair in two),
        "ours with two s": statistics.median(pair[1] for pair in two),
    }
    return Finding(ratio, "SDK iteration time / ours", "at least 2", ratio >= 2, measured)


def _pull_pairs(
    workshop: Workshop, connection: Connection, address: ArgillaAddress, origin: Path, config: Config, *, responses: int
) -> list[tuple[float, float]]:
    import argilla

    from pref_argilla.steps.sync import pull
    from pref_argilla.store import Store

    # A client as the SDK makes it, without what our Connection adds.
    sdk = argilla.Argilla(api_url=address.url, api_key=address.api_key)
    dataset = sdk.datasets(config.dataset, workspace="bench")
    assert isinstance(dataset, argilla.Dataset)

    def through_the_sdk() -> float:
        started = time.perf_counter()
        records = found = 0
        for record in dataset.records(with_responses=True):
            records += 1
            found += len(record.responses)
        seconds = time.perf_counter() - started
        assert (records, found) == (PULL_RECORDS, responses), (records, found)
        return seconds

    def ours() -> float:
        folder = workshop.new_folder("copy")
        shutil.copy(origin / "store.db", folder)
        with Store(folder, writable=True) as store:
            started = time.perf_counter()
            report = pull(store, config, connection, datetime.now(UTC))
            seconds = time.perf_counter() - started
        assert (report.records, report.count("new")) == (PULL_RECORDS, responses), report
        return seconds

    through_the_sdk()
    ours()
    pairs: list[tuple[float, float]] = []
    for number, order in enumerate(alternating(PULL_ROUNDS)):
        seconds = [0.0, 0.0]
        for which in order:
            seconds[which] = through_the_sdk() if which == 0 else ours()
        say(f"pull {number + 1}/{PULL_ROUNDS}, {responses} responses: SDK {seconds[0]:.2f} s, ours {seconds[1]:.2f} s")
        pairs.append((seconds[0], seconds[1]))
    return pairs


def _answer_everything(connection: Connection, dataset_id: str, external_ids: Sequence[str], user_id: str) -> None:
    """One user's submitted ranking of each record."""
    rng = random.Random(user_id)
    for start in range(0, len(external_ids), 500):
        items = []
        for external_id in external_ids[start : start + 500]:
            ranks = [{"value": option, "rank": rng.randint(1, 3)} for option in "abc"]
            response = {"user_id": user_id, "status": "submitted", "values": {"ranking": {"value": ranks}}}
            items.append({"external_id": external_id, "responses": [response]})
        connection.request("PUT", f"/datasets/{dataset_id}/records/bulk", json={"items": items})


# -- generate -----------------------------------------------------------------------------------------------------------


def bench_generate(workshop: Workshop) -> Finding:
    """Planning, asking and saving 1,000 answers in a store on disk, against full waves of the endpoint's latency.

    The endpoint is a process of its own and takes some of the same cores.
    """
    sys.path.insert(0, str(CHECKOUT / "tests"))
    from endpoint import running_endpoint

    ideal = ideal_seconds(REQUESTS, AT_ONCE, LATENCY)
    runs: list[float] = []
    with running_endpoint("--latency", str(LATENCY)) as endpoint:
        _generate_once(workshop, endpoint.base_url, AT_ONCE)
        for number in range(GENERATE_ROUNDS):
            endpoint.play(latency=LATENCY)
            runs.append(_generate_once(workshop, endpoint.base_url, REQUESTS))
            assert endpoint.stats()["billed"] == REQUESTS
            say(f"generate {number + 1}/{GENERATE_ROUNDS}: {runs[-1]:.2f} s, ideal {ideal:.2f} s")
    seconds = statistics.median(runs)
    ratio = ideal / seconds
    measured = {"requests": REQUESTS, "at once": AT_ONCE, "ideal s": ideal, "ours s": seconds, "best s": min(runs)}
    return Finding(ratio, "ideal time / ours", "at least 0.9", ratio >= 0.9, measured)


def _generate_once(workshop: Workshop, base_url: str, count: int) -> float:
    from pref_argilla.config import Config, GenerateConfig
    from pref_argilla.models import ModelSpec
    from pref_argilla.schema import Message, Prompt, Role
    from pref_argilla.steps.answer import answer, plan_answers
    from pref_argilla.store import Store

    folder = workshop.new_folder("project")
    model = ModelSpec("model", "model", base_url, api_key_variable="", concurrency=AT_ONCE)
    config = Config(folder, "bench", models=(model,), generate=GenerateConfig(answers=1))
    with Store(folder, writable=True) as store:
        store.add_prompts(Prompt.of([Message(Role.USER, f"Question {n}")]) for n in range(count))
        started = time.perf_counter()
        report = answer(store, plan_answers(store, config, config.models).requests, {})
        seconds = time.perf_counter() - started
        assert report.complete and store.count("completions") == count, report
    return seconds


# -- dedupe -------------------------------------------------------------------------------------------------------------


def bench_dedupe(workshop: Workshop) -> Finding:
    """``dedupe.near_duplicates`` in a process of its own, beside half of the product of the vectors with themselves."""
    del workshop
    command = [sys.executable, str(Path(__file__).resolve()), "--dedupe-child"]
    child = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    measured: dict[str, float] = json.loads(child.stdout)
    fine = measured["ours s"] < 15 and measured["peak MB"] < 1000
    return Finding(measured.pop("ratio"), "ours / half a matrix product", "under 15 s and 1 GB", fine, measured)


def dedupe_child() -> None:
    """Prints the figures as JSON; the peak is this process's, with Python, numpy and the vectors in it."""
    import numpy as np

    from pref_argilla.dedupe import near_duplicates

    vectors = example_vectors(VECTORS)
    pairs: list[tuple[float, float]] = []
    found: list[tuple[int, int, float]] = []
    peak = 0.0
    for number, order in enumerate(alternating(DEDUPE_ROUNDS)):
        seconds = [0.0, 0.0]
        for which in order:
            started = time.perf_counter()
            if which == 0:
                found = near_duplicates(vectors, THRESHOLD)
                peak = peak or peak_megabytes()
            else:
                half_product(vectors)
            seconds[which] = time.perf_counter() - started
        say(f"dedupe {number + 1}/{DEDUPE_ROUNDS}: ours {seconds[0]:.2f} s, half a product {seconds[1]:.2f} s")
        pairs.append((seconds[0], seconds[1]))

    kept_by = {row: kept for row, kept, _ in found}
    subset = 5000
    assert {row: kept for row, kept in kept_by.items() if row < subset} == by_definition(vectors[:subset], THRESHOLD)
    # What was decided about any row follows from the rows kept before it: look at some far down.
    kept_rows = np.setdiff1d(np.arange(VECTORS), list(kept_by))
    for row in random.Random(0).sample(range(subset, VECTORS), 300):
        before = kept_rows[kept_rows < row]
        cosines = vectors[before].astype(np.float64) @ vectors[row].astype(np.float64)
        nearest = int(before[np.argmax(cosines)]) if cosines.max() >= THRESHOLD else None
        assert kept_by.get(row) == nearest, (row, kept_by.get(row), nearest)
    figures = {
        "ratio": median_ratio(pairs),
        "vectors": VECTORS,
        "duplicates": len(found),
        "ours s": min(pair[0] for pair in pairs),
        "half product s": min(pair[1] for pair in pairs),
        "peak MB": peak,
        "rows checked by definition": subset + 300,
    }
    print(json.dumps(figures))


def example_vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Random directions, every fifth one a copy of an earlier one with noise: cosines from about 0.85 to 1."""
    import numpy as np

    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, SIZE), dtype=np.float32)
    copies = np.arange(5, count, 5)
    origins = (rng.random(len(copies)) * copies).astype(np.intp)
    noise = rng.uniform(0.0, 0.6, (len(copies), 1)).astype(np.float32)
    vectors[copies] = vectors[origins] + noise * vectors[copies]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def half_product(vectors: NDArray[np.float32]) -> None:
    """Each row's products with all rows before it, block by block: what any exact comparison has to compute."""
    for start in range(0, len(vectors), 1024):
        block = vectors[start : start + 1024]
        for left in range(0, start + len(block), 8192):
            block @ vectors[left : min(left + 8192, start + len(block))].T


def peak_megabytes() -> float:
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux it begins with the size of the process that started this one.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


# -- start-up -----------------------------------------------------------------------------------------------------------


def bench_help(workshop: Workshop) -> Finding:
    """``pref-argilla --help``, beside a Python that does nothing."""
    del workshop
    pairs: list[tuple[float, float]] = []
    ours, nothing = [str(COMMAND), "--help"], [sys.executable, "-c", "pass"]
    for number, order in enumerate(alternating(HELP_ROUNDS + 1)):
        seconds = [0.0, 0.0]
        for which in order:
            command = (ours, nothing)[which]
            started = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            seconds[which] = time.perf_counter() - started
        # The first round reads the files from the disk.
        if number:
            pairs.append((seconds[0], seconds[1]))
    help_seconds = statistics.median(pair[0] for pair in pairs)
    measured = {
        "ours s": help_seconds,
        "slowest s": max(pair[0] for pair in pairs),
        "python -c pass s": statistics.median(pair[1] for pair in pairs),
    }
    return Finding(median_ratio(pairs), "ours / python -c pass", "under 0.3 s", help_seconds < 0.3, measured)


def bench_server_up(workshop: Workshop) -> Finding:
    """The command ``server up`` for a new project (its database is made, too), the environment being there."""
    from pref_argilla.steps.project import init_project

    runs: list[float] = []
    again: list[float] = []
    making = 0.0
    environ = {**os.environ, "XDG_DATA_HOME": str(workshop.data_home)}
    for number in range(SERVER_ROUNDS + 1):
        folder = workshop.new_folder("project") / "served"
        init_project(folder)
        with embedded_server(folder / ".argilla", workshop.environments) as server:
            seconds = _server_up(folder, environ)
            if number == 0:
                making = seconds
                continue
            server.down()
            runs.append(seconds)
            again.append(_server_up(folder, environ))
            say(f"server-up {number}/{SERVER_ROUNDS}: {seconds:.2f} s, again {again[-1]:.2f} s")
    seconds = statistics.median(runs)
    measured = {
        "new project s": seconds,
        "slowest s": max(runs),
        "known project s": statistics.median(again),
        "with the environment to make s": making,
    }
    return Finding(seconds / 30, "ours / 30 s", "under 30 s", seconds < 30, measured)


def _server_up(folder: Path, environ: Mapping[str, str]) -> float:
    command = [str(COMMAND), "server", "up", "--port", str(free_port()), "--project", str(folder), "--quiet"]
    started = time.perf_counter()
    subprocess.run(command, env=dict(environ), stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


# -- the run ------------------------------------------------------------------------------------------------------------

BENCHMARKS: Mapping[str, Callable[[Workshop], Finding]] = {
    "help": bench_help,
    "dedupe": bench_dedupe,
    "generate": bench_generate,
    "server-up": bench_server_up,
    "push": bench_push,
    "pull": bench_pull,
}


def summary(benchmark: Callable[[Workshop], Finding]) -> str:
    return (benchmark.__doc__ or "").strip().split("\n")[0]


def run(names: Sequence[str]) -> list[Result]:
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="pref-argilla-bench-") as folder, ExitStack() as stack:
        workshop = Workshop(Path(folder), stack)
        for name in names:
            load = os.getloadavg()[0]
            say(f"{name}: {summary(BENCHMARKS[name])}")
            results.append(Result(name, load, BENCHMARKS[name](workshop)))
    return results


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=list(BENCHMARKS), help="a benchmark to run; all by default")
    parser.add_argument("--list", action="store_true", help="name the benchmarks and end")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--dedupe-child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.dedupe_child:
        return dedupe_child()
    if given.list:
        for name, benchmark in BENCHMARKS.items():
            print(f"{name:10} {summary(benchmark)}")
        return None
    # A polite kill ends as Ctrl+C does: with the server stopped and the folder removed.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        results = run([name for name in BENCHMARKS if given.only is None or name in given.only])
    except KeyboardInterrupt:
        say("Interrupted; nothing is left running.")
        sys.exit(130)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    if given.json:
        print(json.dumps({"machine": machine, "benchmarks": [asdict(result) for result in results]}))
    else:
        print(table(results))
        print(f"{machine['cores']} cores, Python {machine['python']}, {machine['system']}")
    return None


if __name__ == "__main__":
    main()
