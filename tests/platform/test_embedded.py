"""The embedded engines and their supervisor, as real processes: they start, restart, stop and leave nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from config.environment import BASE_DIR
from config.platform.embedded import accounts, engines
from config.platform.embedded.layout import LONGEST_SOCKET_PATH, Layout
from tests.ports import free_port

EMBEDDED = [sys.executable, "-m", "config.platform.embedded"]
ASK_BOTH = """
import os, environ, psycopg, redis
database = environ.Env.db_url_config(os.environ["DATABASE_URL"])
with psycopg.connect(host=database["OPTIONS"]["host"], user="postgres", dbname=database["NAME"]) as connection:
    print("postgres", connection.execute("SELECT 40 + 2").fetchone()[0])
print("redis", redis.Redis.from_url(os.environ["REDIS_URL"]).ping())
"""


@pytest.fixture
def var() -> Iterator[Path]:
    """A place for one set of engines, which others may pass through, unlike pytest's own."""
    parent = BASE_DIR / "var" / "test"
    parent.mkdir(parents=True, exist_ok=True)
    directory = parent / f"embedded-{os.getpid()}-{time.monotonic_ns()}"
    directory.mkdir()
    yield directory
    for pid in processes_of(directory):
        os.kill(pid, signal.SIGKILL)
    subprocess.run(["rm", "-rf", str(directory)], check=True)


def environment(var: Path, **more: str) -> dict[str, str]:
    """What a newcomer's shell would hold: nothing of ours but the place for the data."""
    ours = (
        "DATABASE_URL",
        "REDIS_URL",
        "DJANGO_SETTINGS_MODULE",
        "MAKELEVEL",
        "HOST",
        "PORT",
        "SECRET_KEY",
    )
    ours += (
        "ENVIRONMENT",
        "JWT_SIGNING_KEY",
        "CART_RECOVERY_HMAC_SECRET",
        "STOREFRONT_URL",
        "ALLOWED_HOSTS",
    )
    ours += (
        "PAYMENT_TEST_PROVIDER",
        "DEV_MAILBOX",
        "DEMO_LOGINS",
        "RATE_LIMITS",
        "DB_POOL",
        "LOG_LEVEL",
        "LOG_FORMAT",
    )
    rest = {key: value for key, value in os.environ.items() if key not in ours}
    return {**rest, "ENV_FILE": "/dev/null", "VAR_DIR": str(var), **more}


def run(var: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*EMBEDDED, *arguments],
        cwd=BASE_DIR,
        env=environment(var, **more),
        capture_output=True,
        text=True,
        timeout=300,
    )


def processes_of(var: Path) -> list[int]:
    """Return the processes that were started over `var`, found by their environment or command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            text = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
        except OSError:
            continue
        if state != "Z" and os.fsencode(var) in text:
            found.append(int(entry.name))
    return found


def eventually(condition: Callable[[], object], *, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds:.0f} s still not: {what}"
        time.sleep(0.1)


# --- throw-away engines -----------------------------------------------------------------------


def test_run_gives_a_command_real_engines_and_its_own_exit_status_and_leaves_nothing(var):
    done = run(var, "run", "--", sys.executable, "-c", ASK_BOTH + "raise SystemExit(7)")

    assert "postgres 42" in done.stdout
    assert "redis True" in done.stdout
    assert done.returncode == 7
    assert processes_of(var) == []
    assert list((var / "test").iterdir()) == []


def test_run_killed_outright_leaves_no_process(var):
    runner = subprocess.Popen(
        [*EMBEDDED, "run", "--", "sleep", "60"],
        cwd=BASE_DIR,
        env=environment(var),
        stdout=subprocess.DEVNULL,
    )
    eventually(lambda: len(processes_of(var)) >= 4, seconds=120, what="engines and command run")

    runner.kill()
    runner.wait()

    eventually(lambda: not processes_of(var), seconds=120, what="all gone")


def test_run_uses_the_servers_that_the_environment_names(var):
    show = "import os; print(os.environ['DATABASE_URL'], os.environ['REDIS_URL'])"

    done = run(
        var,
        "run",
        "--",
        sys.executable,
        "-c",
        show,
        DATABASE_URL="postgres://db/x",
        REDIS_URL="redis://cache",
    )

    assert done.stdout.split() == ["postgres://db/x", "redis://cache"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_run_works_for_root_where_nobody_else_may_enter(var):
    var.chmod(0o700)
    closed = var / "closed"
    closed.mkdir(mode=0o700)

    done = run(closed, "run", "--", sys.executable, "-c", ASK_BOTH)

    assert "postgres 42" in done.stdout, done.stderr
    assert done.returncode == 0
    eventually(lambda: not processes_of(closed), seconds=120, what="all gone")


# --- what is found and where it goes ----------------------------------------------------------


def test_engines_fall_back_to_the_programs_of_the_system(monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    monkeypatch.setattr(engines.shutil, "which", lambda name: None)
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))

    if installed:
        assert engines.postgres_binaries() in [path.parent for path in installed]
    else:
        with pytest.raises(engines.Refusal, match="DATABASE_URL"):
            engines.postgres_binaries()


def test_engines_say_what_to_do_where_no_server_is_found(monkeypatch):
    monkeypatch.setattr(engines, "_runs", lambda binary: False)

    with pytest.raises(engines.Refusal, match="DATABASE_URL"):
        engines.postgres_binaries()
    with pytest.raises(engines.Refusal, match="REDIS_URL"):
        engines.valkey_binary()


def test_account_of_an_ordinary_user_is_the_user(monkeypatch, tmp_path):
    monkeypatch.setattr(accounts.os, "geteuid", lambda: 1000)

    account = accounts.choose(Layout(tmp_path), tmp_path / "bin")

    assert account.become == {}
    assert account.data == tmp_path / "postgres"


@pytest.mark.parametrize("depth", [1, 12])
def test_layout_keeps_sockets_within_what_the_system_allows(tmp_path, depth):
    layout = Layout(tmp_path.joinpath(*["a-directory-name"] * depth) / "var")

    assert len(os.fsencode(layout.postgres_socket / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH
    assert len(os.fsencode(layout.valkey_socket)) <= LONGEST_SOCKET_PATH


def test_layout_refuses_a_socket_directory_that_is_a_link(tmp_path):
    layout = Layout(tmp_path / "var")
    (tmp_path / "elsewhere").mkdir()
    layout.var.mkdir()
    layout.run.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PermissionError, match="somebody else"):
        layout.make_directories()


def test_secrets_are_made_once_per_checkout_and_only_the_owner_reads_them(tmp_path):
    here, there = Layout(tmp_path / "here"), Layout(tmp_path / "there")

    first = here.secrets()

    assert here.secrets() == first
    assert there.secrets() != first
    assert {len(value) >= 32 for value in first.values()} == {True}
    assert len(set(first.values())) == 3
    assert stat.S_IMODE((tmp_path / "here" / "secrets.env").stat().st_mode) == 0o600


# --- the shop under its supervisor ------------------------------------------------------------


def test_up_names_the_variable_where_the_port_is_taken(var):
    with socket.socket() as rival:
        rival.bind(("127.0.0.1", 0))
        rival.listen()
        port = rival.getsockname()[1]

        done = run(var, "up", PORT=str(port))

    assert done.returncode == 1
    assert f"Port {port} is taken" in done.stderr
    assert f"make up PORT={port + 1}" in done.stderr
    assert "Traceback" not in done.stderr
    assert processes_of(var) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [("PORT", "http"), ("PORT", "0"), ("PORT", "70000"), ("HOST", "no.such.host.invalid")],
)
def test_up_names_the_variable_that_makes_no_sense(var, key, value):
    done = run(var, "up", **{key: value})

    assert done.returncode == 1
    assert key in done.stderr
    assert value in done.stderr
    assert "Traceback" not in done.stderr


class Shop:
    """A shop under its supervisor, as `make up` runs it."""

    def __init__(self, var: Path, port: int) -> None:
        self.var = var
        self.port = port
        self.output = var / "up.txt"
        with self.output.open("wb") as output:
            self.supervisor = subprocess.Popen(
                [*EMBEDDED, "up", "--no-seed"],
                cwd=BASE_DIR,
                env=environment(var, PORT=str(port)),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        return self.output.read_text()

    def wait(self, *, seconds: float) -> None:
        """Wait until it says that it is ready."""

        def ready() -> bool:
            assert self.supervisor.poll() is None, self.said
            return "Ready in" in self.said

        eventually(ready, seconds=seconds, what=f"ready; it said\n{self.said}")

    def answers(self) -> bool:
        try:
            return (
                httpx.get(f"http://127.0.0.1:{self.port}/api/health", timeout=2).status_code < 500
            )
        except httpx.HTTPError:
            return False

    def pid(self, words: str) -> int | None:
        """Return the child of the supervisor whose command line contains `words`."""
        children = (
            Path(f"/proc/{self.supervisor.pid}/task/{self.supervisor.pid}/children")
            .read_text()
            .split()
        )
        for child in children:
            try:
                if words in (Path("/proc") / child / "cmdline").read_text().replace("\0", " "):
                    return int(child)
            except OSError:
                continue
        return None


CHILDREN = {
    "web": "embedded web",
    "worker": "celery -A config worker",
    "beat": "celery -A config beat",
    "valkey": "valkey",
    "postgres": "bin/postgres",
}


@pytest.mark.slow
def test_up_runs_a_shop_that_restarts_what_dies_keeps_its_data_and_leaves_no_orphan(var):
    shop = Shop(var, free_port())
    try:
        shop.wait(seconds=600)
        assert shop.answers()
        for words in (
            "/admin/",
            "/api/docs",
            "admin@example.com / admin",
            "customer@example.com / customer",
        ):
            assert words in shop.said

        # A second start over the same data is refused, naming the process that runs.
        second = run(var, "up", PORT=str(free_port()))
        assert second.returncode == 1
        assert f"runs already, as process {shop.supervisor.pid}" in second.stderr

        # Whatever is killed comes back, and its last lines are shown.
        killed = {name: shop.pid(words) for name, words in CHILDREN.items()}
        assert None not in killed.values(), killed
        for name, pid in killed.items():
            os.kill(pid, signal.SIGKILL)
            eventually(
                lambda name=name, pid=pid: shop.pid(CHILDREN[name]) not in (None, pid),
                seconds=120,
                what=f"{name} is back",
            )
            assert re.search(
                rf"! {name} was killed by SIGKILL. The end of .*{name}.log:", shop.said
            )
        eventually(shop.answers, seconds=120, what="the shop answers again")

        # Killed outright, the supervisor takes all of them with it.
        shop.supervisor.kill()
        shop.supervisor.wait()
        again = Shop(var, shop.port)
        shop = again
        again.wait(seconds=600)
        assert "migrations applied" not in again.said
        assert again.answers()

        # Ctrl-C ends everything, in order.
        again.supervisor.send_signal(signal.SIGINT)
        assert again.supervisor.wait(timeout=120) == 0
        eventually(lambda: not processes_of(var), seconds=120, what="all gone")
        assert "database system is shut down" in (var / "log" / "postgres.log").read_text()
    finally:
        if shop.supervisor.poll() is None:
            shop.supervisor.kill()
