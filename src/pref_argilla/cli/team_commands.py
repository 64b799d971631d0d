"""``team add|list|remove``: the people who rank."""

from __future__ import annotations

from typing import Annotated

import typer

from pref_argilla.cli.options import HERE, JsonOption, ProjectOption, QuietOption
from pref_argilla.cli.output import Output

app = typer.Typer(help="The people who rank.", no_args_is_help=True)


@app.command()
def add(
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="User names: letters, digits, - _ and .")],
    role: Annotated[str, typer.Option(help="annotator, or admin of the workspace.")] = "annotator",
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Create users with random passwords (shown this once) and let them into the project's workspace."""
    from pref_argilla.cli.environment import argilla_address
    from pref_argilla.config import load_config
    from pref_argilla.labeling.connection import Connection
    from pref_argilla.labeling.team import add_members

    output = Output(as_json, quiet)
    config = load_config(project)
    with Connection(argilla_address(config)) as connection:
        members = add_members(connection, config.workspace, names, role)
        url = connection.url
    output.table("", ("user", "role", "password"), [(m.username, m.role, m.password or "(unchanged)") for m in members])
    output.say(f"Passwords are shown this once and stored nowhere in the project. Sign in at {url}")
    output.done(
        {"url": url, "members": [{"username": m.username, "role": m.role, "password": m.password} for m in members]}
    )


@app.command("list")
def list_(project: ProjectOption = HERE, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Show who is in the project's workspace."""
    from pref_argilla.cli.environment import argilla_address
    from pref_argilla.config import load_config
    from pref_argilla.labeling.connection import Connection
    from pref_argilla.labeling.team import list_members

    output = Output(as_json, quiet)
    config = load_config(project)
    with Connection(argilla_address(config)) as connection:
        members = list_members(connection, config.workspace)
    output.table("", ("user", "role"), [(m.username, m.role) for m in members])
    output.done({"workspace": config.workspace, "members": [{"username": m.username, "role": m.role} for m in members]})


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="The user name.")],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Take a user out of the workspace. Their rankings stay, and so does the user."""
    from pref_argilla.cli.environment import argilla_address
    from pref_argilla.config import load_config
    from pref_argilla.labeling.connection import Connection
    from pref_argilla.labeling.team import remove_member

    output = Output(as_json, quiet)
    config = load_config(project)
    with Connection(argilla_address(config)) as connection:
        remove_member(connection, config.workspace, name)
    output.line(f"{name} is no longer in the workspace {config.workspace}; rankings given stay.")
    output.done({"removed": name, "workspace": config.workspace})
