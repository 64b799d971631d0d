"""``server up|down|status|logs|credentials``: the embedded Argilla."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from pref_argilla.cli.options import HERE, JsonOption, ProjectOption, QuietOption, command
from pref_argilla.cli.output import Output

app = typer.Typer(help="The embedded Argilla: no Docker, no Elasticsearch.", no_args_is_help=True)


@app.command()
def up(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the UI listens.")] = 6900,
    host: Annotated[
        str, typer.Option(help="127.0.0.1 keeps it on this machine; 0.0.0.0 opens it to the network.")
    ] = "127.0.0.1",
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Start Argilla; returns when its page answers. The first time, its environment is made (a minute)."""
    from pref_argilla.cli.environment import embedded_server
    from pref_argilla.config import load_config

    output = Output(as_json, quiet)
    load_config(project)
    running = embedded_server(project).up(host, port, progress=output.say)
    if running.already_running:
        output.line(f"Argilla runs already at {running.url}")
    else:
        output.line(f"Argilla runs at {running.url}")
        if host not in ("127.0.0.1", "localhost", "::1"):
            output.warn(
                f"It listens on {host}: everyone who reaches this machine can open its sign-in page, without TLS."
            )
    output.say(
        f"Next: {command('team add NAME…', project)}   (the owner's password: {command('server credentials', project)})"
    )
    output.done({"url": running.url, "already_running": running.already_running})


@app.command()
def down(project: ProjectOption = HERE, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Stop Argilla. Everything in it stays."""
    from pref_argilla.cli.environment import embedded_server

    output = Output(as_json, quiet)
    stopped = embedded_server(project).down(progress=output.say)
    output.line("Argilla is stopped; its data stays." if stopped else "Argilla was not running.")
    output.done({"stopped": stopped})


@app.command()
def status(project: ProjectOption = HERE, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Say whether Argilla runs, where, and what is wrong if something is."""
    from pref_argilla.cli.environment import embedded_server
    from pref_argilla.server import ServerState

    output = Output(as_json, quiet)
    found = embedded_server(project).status()
    output.line(f"{found.state.value}{f' at {found.url}' if found.url else ''}")
    if found.processes:
        output.table(
            "",
            ("process", "pid", "state"),
            [(p.name, p.pid, "running" if p.alive else "dead") for p in found.processes],
        )
    if found.detail:
        output.warn(f"{found.detail} {found.next_step}")
    output.done(asdict(found))
    if found.state is ServerState.DEGRADED:
        raise typer.Exit(1)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="server, worker, redis or setup.")] = "server",
    lines: Annotated[int, typer.Option(min=1, help="How many of the last lines.")] = 100,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show the last lines of one of Argilla's logs."""
    from pref_argilla.cli.environment import embedded_server

    output = Output(as_json, quiet)
    found = embedded_server(project).log_lines(lines, name)
    for line in found:
        output.line(line)
    output.done({"log": name, "lines": found})


@app.command()
def credentials(project: ProjectOption = HERE, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Show the owner's user name, password and API key. The only command that shows a key."""
    from pref_argilla.cli.environment import embedded_server

    output = Output(as_json, quiet)
    server = embedded_server(project)
    found = server.credentials()
    url = server.status().url
    output.line(
        f"url       {url or '(not running)'}\nusername  {found.username}\npassword  {found.password}\napi key   {found.api_key}"
    )
    output.done({"url": url, "username": found.username, "password": found.password, "api_key": found.api_key})
