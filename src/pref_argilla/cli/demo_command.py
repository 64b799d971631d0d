"""``demo``: the main job from nothing to annotators, on the project's own sample prompts or yours."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Annotated

import typer

from pref_argilla.cli.options import JsonOption, QuietOption, command, storable
from pref_argilla.cli.output import Output

# So many sample prompts keep the demo under six minutes on two slow cores with the bundled model.
PROMPTS_WITH_LOCAL_MODEL = 12
ANNOTATORS = ("annotator-1", "annotator-2")


def demo(
    prompts: Annotated[
        str | None,
        typer.Option("--prompts", metavar="FILE", help="Your prompts instead of the samples.", show_default=False),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="How many prompts; default: 12 with the bundled model, else all.", show_default=False),
    ] = None,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Where Argilla listens; another one is taken if it is in use.")
    ] = 6900,
    project: Annotated[Path, typer.Option("--project", metavar="DIR", help="The demo's folder.")] = Path("demo"),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Start Argilla, have models answer, remove duplicates, push, add two annotators. Run again, it goes on."""
    from itertools import chain, islice

    from pref_argilla.cli.answer_commands import ask, mark_duplicates, open_encoder
    from pref_argilla.cli.environment import argilla_address, embedded_server, variables
    from pref_argilla.cli.sync_commands import push_tasks
    from pref_argilla.cli.team_commands import create_and_show
    from pref_argilla.config import CONFIG_FILE, load_config
    from pref_argilla.errors import ModelUnavailableError
    from pref_argilla.labeling.connection import Connection
    from pref_argilla.models import LOCAL_ENDPOINT
    from pref_argilla.resources import setup_file
    from pref_argilla.sources import read_prompts
    from pref_argilla.steps.add import add_prompts
    from pref_argilla.steps.project import init_project
    from pref_argilla.store import Store

    output = Output(as_json, quiet)
    environment = variables(project)
    rows = iter(
        read_prompts(
            prompts or setup_file("samples", "prompts.jsonl"),
            source=storable(Path(prompts).name) if prompts else "pref-argilla samples",
        )
    )
    # Read before anything is made or started: a missing file must leave nothing behind.
    rows = chain(list(islice(rows, 1)), rows)
    if not (project / CONFIG_FILE).exists():
        init_project(project, config_text=_config_text(environment))
        output.say(f"Made the project {project}")
    config = load_config(project)
    remote = all(model.base_url != LOCAL_ENDPOINT for model in config.models)
    wanted = count if count is not None else None if remote or prompts else PROMPTS_WITH_LOCAL_MODEL
    with Store(project, writable=True) as store:
        added = add_prompts(store, islice(rows, wanted))
        for sentence in added.examples:
            output.warn(sentence)
        output.line(f"{added.new_prompts} new prompts of {added.rows}")
        # Before asking, so that no duplicate prompt is paid for; after it, so that equal answers are replaced.
        encoder = open_encoder(config, output)
        # Before the answers: nothing is spent where Argilla cannot run.
        running = embedded_server(project).up(port=_port(port), progress=output.say)
        output.say(f"Argilla runs at {running.url}")
        mark_duplicates(store, config, output, encoder, show=5)
        for _ in range(config.generate.max_attempts):
            asked = ask(store, config, output)
            if asked.report is None:
                break
            if asked.report.interrupted:
                raise typer.Exit(130)
            if not asked.report.saved:
                raise ModelUnavailableError(
                    "No model answered.",
                    cause=", ".join(asked.report.failed),
                    next_step=f"Run '{command('generate', project)}' for the details.",
                )
            mark_duplicates(store, config, output, encoder, show=0)
        with Connection(argilla_address(config)) as connection:
            pushed = push_tasks(store, config, connection, output)
            output.line(f"Sign in at    {running.url}")
            members = create_and_show(output, connection, config.workspace, list(ANNOTATORS), "annotator")

    output.line(f"Rank at       {pushed.page}")
    output.line(f"Then run      {command('sync pull', project)}")
    output.line(f"and           {command('export --out pairs', project)}")
    output.say(f"Stop Argilla with '{command('server down', project)}'; everything in it stays.")
    output.say(f"A lost password: {command('team password NAME', project)}")
    output.done(
        {
            "project": str(project),
            "url": running.url,
            "page": pushed.page,
            "prompts": added.rows,
            "pushed": pushed.pushed,
            "unchanged": pushed.unchanged,
            "annotators": [{"username": m["username"], "password": m["password"]} for m in members],
        }
    )


def _config_text(environment: dict[str, str]) -> str:
    """The template; its model is replaced where the environment names an endpoint."""
    from pref_argilla.resources import setup_file

    text = setup_file("pref-argilla.toml").read_text(encoding="utf-8")
    key, address = environment.get("OPENAI_API_KEY"), environment.get("OPENAI_BASE_URL")
    if not key and not address:
        return text
    model = environment.get("OPENAI_MODEL") or "gpt-4o-mini"
    table = "\n".join(
        (
            "[[models]]",
            f"name = {_toml_text('OPENAI_MODEL', model)}",
            f"model = {_toml_text('OPENAI_MODEL', model)}",
            f"base_url = {_toml_text('OPENAI_BASE_URL', address or 'https://api.openai.com/v1')}",
            f'api_key_variable = "{"OPENAI_API_KEY" if key else ""}"',
            "temperature = 1.0",
            "max_tokens = 800",
            "",
            "",
        )
    )
    # From the template's own table to the example behind it, both at the beginning of a line.
    replaced, count = re.subn(r"^\[\[models\]\].*?(?=^# \[\[models\]\])", lambda _: table, text, flags=re.M | re.S)
    if count != 1:
        raise ValueError("the template of pref-argilla.toml has not one [[models]] table before its example")
    return replaced


def _toml_text(variable: str, value: str) -> str:
    from pref_argilla.errors import ConfigError

    if not value.isprintable():
        raise ConfigError(f"{variable} holds characters that cannot be shown.", next_step="Correct it.")
    # What is printable needs the same two escapes in TOML as in JSON.
    return json.dumps(value, ensure_ascii=False)


def _port(wanted: int) -> int:
    """``wanted`` if it is free on this machine, else one that is."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return wanted
