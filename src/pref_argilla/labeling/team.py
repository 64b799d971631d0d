"""The people of a workspace: Argilla users, created with random passwords that are shown once and kept nowhere."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pref_argilla.errors import LabelingDataError, UsageError
from pref_argilla.labeling.connection import Connection, translated
from pref_argilla.labeling.dataset import ensure_workspace, find_workspace

if TYPE_CHECKING:
    import argilla

ROLES = ("annotator", "admin")


@dataclass(frozen=True, slots=True)
class Member:
    username: str
    role: str


@dataclass(frozen=True, slots=True)
class NewMember:
    """``password`` is None for a user who was there before: theirs stays as it is."""

    username: str
    role: str
    password: str | None = field(repr=False)


def add_members(
    connection: Connection,
    workspace_name: str,
    names: list[str],
    role: str,
    on_member: Callable[[NewMember], None] | None = None,
) -> list[NewMember]:
    """Create the users that are missing and add all of them to the workspace.

    ``on_member`` hears of each as soon as the user exists, since the password is known nowhere else: what fails after
    that cannot lose it.
    """
    import argilla as rg

    if role not in ROLES:
        raise UsageError(f"Role {role!r} is not known.", next_step=f"Use one of: {', '.join(ROLES)}.")
    for name in names:
        # Argilla's own rule, checked before the first user is made.
        if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", name):
            raise UsageError(
                f"User name {name!r} cannot be used.",
                cause="It may hold letters a-z, digits, '-', '_' and '.', and begins with a letter or digit.",
            )
    workspace = ensure_workspace(connection, workspace_name)
    result: list[NewMember] = []
    with translated(connection.url):
        inside = {user.username for user in workspace.users}
        known = {user.username: user for user in connection.sdk.users}
        for name in dict.fromkeys(names):
            user = known.get(name)
            password: str | None = None
            if user is None:
                password = _random_password()
                user = rg.User(
                    username=name, first_name=name, role=role, password=password, client=connection.sdk
                ).create()
            member = NewMember(name, user.role.value, password)
            result.append(member)
            if on_member is not None:
                on_member(member)
            if name not in inside:
                user.add_to_workspace(workspace)
    return result


def new_password(connection: Connection, workspace_name: str, name: str) -> NewMember:
    """Give a user of the workspace a new random password. Needs an owner's key; rankings and API key stay."""
    with translated(connection.url):
        user = _member(connection, workspace_name, name)[1]
        if user.role.value not in ROLES:
            # The embedded server's own credentials would be wrong after that.
            raise UsageError(
                f"{name!r} is an owner of the server.",
                cause="Only the passwords of annotators and admins are set here.",
                next_step="Run 'pref-argilla server credentials' for the embedded server's owner.",
            )
        member = NewMember(name, user.role.value, _random_password())
        connection.request("PATCH", f"/users/{user.id}", json={"password": member.password})
    return member


def list_members(connection: Connection, workspace_name: str) -> list[Member]:
    with translated(connection.url):
        workspace = find_workspace(connection, workspace_name)
        if workspace is None:
            return []
        return [Member(user.username, user.role.value) for user in workspace.users]


def remove_member(connection: Connection, workspace_name: str, name: str) -> None:
    """Take a user out of the workspace. The user stays: deleting one would delete every ranking they gave."""
    with translated(connection.url):
        workspace, user = _member(connection, workspace_name, name)
        user.remove_from_workspace(workspace)


def _member(connection: Connection, workspace_name: str, name: str) -> tuple[argilla.Workspace, argilla.User]:
    workspace = find_workspace(connection, workspace_name)
    user = next((u for u in workspace.users if u.username == name), None) if workspace is not None else None
    if workspace is None or user is None:
        raise LabelingDataError(
            f"No user {name!r} in the workspace {workspace_name!r}.", next_step="Run 'pref-argilla team list'."
        )
    return workspace, user


def _random_password() -> str:
    # 96 bits; Argilla wants 8 to 100 characters.
    return secrets.token_urlsafe(12)
