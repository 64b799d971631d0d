"""``team add|list|password|remove``: the people who rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pref_argilla.cli.options import HERE, JsonOption, ProjectOption, QuietOption
from pref_argilla.cli.output import Output, failure

if TYPE_CHECKING:
    from pref_argilla.labeling.connection import Connection

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

    output = Output(as_json, quiet)
    config = load_config(project)
    with Connection(argilla_address(config)) as connection:
        members = create_and_show(output, connection, config.workspace, names, role)
        url = connection.url
    output.say(f"Passwords are shown this once and stored nowhere in the project. Sign in at {url}")
    output.done({"url": url, "members": members})


def create_and_show(
    output: Output, connection: Connection, workspace: str, names: list[str], role: str
) -> list[dict[str, str | None]]:
    """Each user with the password, shown as soon as the user exists; with --json, in the object even when a later one
    fails."""
    from pref_argilla.labeling.team import NewMember, add_members

    members: list[dict[str, str | None]] = []
    width = max(map(len, names), default=0)

    def show(member: NewMember) -> None:
        members.append({"username": member.username, "role": member.role, "password": member.password})
        output.line(f"{member.username:<{width}}  {member.role}  password: {member.password or '(unchanged)'}")

    try:
        add_members(connection, workspace, names, role, show)
    except BaseException as exc:
        # The object is printed once: who catches this further up says the rest on stderr only.
        output.done({**failure(exc), "members": members})
        raise
    return members


@app.command()
def password(
    name: Annotated[str, typer.Argument(help="The user name.")],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Give a user a new random password, shown this once. The old one ends; rankings stay."""
    from pref_argilla.cli.environment import argilla_address
    from pref_argilla.config import load_config
    from pref_argilla.labeling.connection import Connection
    from pref_argilla.labeling.team import new_password

    output = Output(as_json, quiet)
    config = load_config(project)
    with Connection(argilla_address(config)) as connection:
        member = new_password(connection, config.workspace, name)
        url = connection.url
    output.line(f"{member.username}  {member.role}  password: {member.password}")
    output.say(f"The password is shown this once and stored nowhere in the project. Sign in at {url}")
    output.done({"url": url, "username": member.username, "role": member.role, "password": member.password})


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
