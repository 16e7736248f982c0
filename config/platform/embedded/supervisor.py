"""`make up`: engines, preparation, web, worker and beat, until Ctrl-C."""

from __future__ import annotations

import errno
import fcntl
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from config.environment import text
from config.platform.embedded import engines, process
from config.platform.embedded.console import Refusal, say, step
from config.platform.embedded.layout import Layout
from config.platform.embedded.process import Child, die_with_parent, follow_parent

LONGEST_PAUSE = 15.0
# A child that lived this long was healthy: its next end is a new trouble, not the old one again.
HEALTHY_SECONDS = 30.0
EARLY_DEATHS = 4
WEB_START_SECONDS = 90
# What to call to reach a server that listens on all addresses.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - the reader's choice, not ours


@dataclass
class Watched:
    """A child and how patient the supervisor still is with it."""

    child: Child
    failures: int = 0
    restart_at: float | None = None


@dataclass
class Supervisor:
    """
    Keeps a shop running.

    One thread, no pipes: children write to files, so that a supervisor that is stopped or killed never blocks them.
    """

    layout: Layout
    checkout: Path
    host: str
    port: int
    production_serving: bool = False
    seed: bool = True
    stages: list[list[Watched]] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)
    _ready: bool = False
    _stop_now: bool = False

    def run(self) -> int:
        """Start everything, watch it until a signal asks to stop, then stop it in reverse; return the exit status."""
        # Also SIGINT: a shell starts what it runs in the background with that signal ignored.
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, _interrupt)
        if "MAKELEVEL" in os.environ:
            follow_parent(signal.SIGTERM)  # a killed `make` takes the shop with it
        started = time.monotonic()
        say("Holdfast")
        try:
            with only_one(self.layout) as lock_fd, self._listen() as listener:
                try:
                    children, self.addresses = engines.start(self.layout, lock_fd=lock_fd)
                    self.stages += [[Watched(child)] for child in children]
                    self._prepare()
                    self._start_shop(listener, lock_fd)
                    self._ready = True
                    self._greet(time.monotonic() - started)
                    self._watch()
                finally:
                    self._stop()
        except KeyboardInterrupt:
            say("Stopped.")
        return 0

    def _listen(self) -> socket.socket:
        """
        Take the port before anything else.

        The socket stays with the supervisor, so that a browser that asks while the web process restarts waits for
        it instead of being refused.
        """
        try:
            family, _, _, _, address = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except socket.gaierror:
            raise Refusal(
                f"{self.host} is no address of this machine. Set HOST, for example: make up HOST=127.0.0.1"
            ) from None
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            # Two sockets may be bound to a port with SO_REUSEADDR as long as none listens: only this finds out.
            listener.listen(1024)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                advice = f"make up PORT={self.port + 1}"
                raise Refusal(
                    f"Port {self.port} is taken by another program. Set PORT, for example: {advice}"
                ) from None
            if error.errno == errno.EACCES:
                raise Refusal(
                    f"Port {self.port} is reserved to root. Set PORT, for example: make up PORT=8000"
                ) from None
            raise Refusal(
                f"Cannot listen on {self.host}: {error.strerror}. Set HOST, for example: make up HOST=127.0.0.1"
            ) from None
        return listener

    @property
    def environment(self) -> dict[str, str]:
        """What the shop's processes find in their environment besides our own."""
        return {
            "DJANGO_SETTINGS_MODULE": text(
                "DJANGO_SETTINGS_MODULE", default="config.settings.local"
            ),
            "HOST": self.host,
            "PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
            **self.addresses,
        }

    def _prepare(self) -> None:
        """Migrate, seed and collect in one process, which shows its own progress."""
        command = [sys.executable, "-m", "config.platform.embedded", "prepare"]
        if not self.seed:
            command.append("--no-seed")
        preparation = subprocess.Popen(
            command,
            cwd=self.checkout,
            stdin=subprocess.DEVNULL,
            env={
                **os.environ,
                **self.environment,
                "DB_POOL": "off",
                "DB_STATEMENT_TIMEOUT_MS": "0",
            },
            process_group=0,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
        try:
            status = preparation.wait()
        except BaseException:
            preparation.terminate()
            with suppress(subprocess.TimeoutExpired):
                preparation.wait(timeout=5)
            preparation.kill()
            raise
        if status != 0:
            raise Refusal("The database could not be prepared; see above.")

    def _start_shop(self, listener: socket.socket, lock_fd: int) -> None:
        shop = self._web(listener, lock_fd) + [
            self._child(
                "worker",
                [sys.executable, "-m", "celery", "-A", "config", "worker"]
                + [
                    "--loglevel=INFO",
                    "--concurrency=2",
                    "--hostname=worker@holdfast",
                    "--without-gossip",
                    "--without-mingle",
                ],
                {"DB_POOL": "off"},
                stop_seconds=20,
            ),
            self._child(
                "beat",
                [
                    sys.executable,
                    "-m",
                    "celery",
                    "-A",
                    "config",
                    "beat",
                    "--loglevel=INFO",
                    "--pidfile=",
                ],
                {"DB_POOL": "off"},
            ),
        ]
        stage = [Watched(child) for child in shop]
        self.stages.append(stage)
        with step("Shop") as line:
            line.update("starting web, worker and beat")
            for watched in stage:
                watched.child.start()
            deadline = time.monotonic() + WEB_START_SECONDS
            while not self._web_answers():
                if time.monotonic() > deadline:
                    raise Refusal(
                        f"The web process does not answer; see {self.layout.logs / 'web.log'}."
                    )
                self._look_after(stage)
                line.update("starting web, worker and beat")
                time.sleep(0.1)
            line.update("web, worker and beat run")

    def _web(self, listener: socket.socket, lock_fd: int) -> list[Child]:
        if not self.production_serving:
            return [
                self._child(
                    "web",
                    [
                        sys.executable,
                        "-m",
                        "config.platform.embedded",
                        "web",
                        "--fd",
                        str(listener.fileno()),
                    ],
                    # With the lock, so that the next supervisor waits until the port is free as well.
                    pass_fds=(listener.fileno(), lock_fd),
                )
            ]
        # granian opens the port itself; the next one is for the sockets, which a proxy would put under the same name.
        listener.close()
        return [
            self._child(
                "web",
                [
                    sys.executable,
                    *("-m", "config.serve"),
                    *("--host", self.host),
                    *("--port", str(self.port)),
                ],
            ),
            self._child(
                "sockets",
                [
                    sys.executable,
                    "-m",
                    "config.platform.embedded",
                    "web",
                    "--host",
                    self.host,
                    "--port",
                    str(self.port + 1),
                ],
            ),
        ]

    def _child(
        self,
        name: str,
        command: list[str],
        environment: Mapping[str, str] | None = None,
        *,
        stop_seconds: float = 10,
        pass_fds: tuple[int, ...] = (),
    ) -> Child:
        return Child(
            name=name,
            command=command,
            log=self.layout.logs / f"{name}.log",
            environment={**self.environment, **(environment or {})},
            stop_seconds=stop_seconds,
            pass_fds=pass_fds,
            become={"cwd": self.checkout},
        )

    def _web_answers(self) -> bool:
        host = EVERYWHERE.get(self.host, self.host)
        connection = http.client.HTTPConnection(host, self.port, timeout=1)
        try:
            connection.request("GET", "/api/health", headers={"Host": "localhost"})
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True

    def _greet(self, seconds: float) -> None:
        name = "localhost" if self.host in {*EVERYWHERE, *EVERYWHERE.values()} else self.host
        if self.host in EVERYWHERE:
            say(
                "\n  Others can reach this shop, and its log-ins are public: for a trusted network only."
            )
        shop = f"http://{f'[{name}]' if ':' in name else name}:{self.port}"
        say(f"""
  Ready in {seconds:.1f} s.

  Storefront     {shop}/
  Admin          {shop}/admin/       admin@example.com / admin
  Account        {shop}/account/     customer@example.com / customer
  API docs       {shop}/api/docs
  Mailbox        {shop}/dev/mail/
  Payments       {shop}/dev/payments/

  Logs: {self.layout.logs}/*.log, or `make logs`.  Ctrl-C stops everything; the data stays.
""")

    def _watch(self) -> None:
        everything = [watched for stage in self.stages for watched in stage]
        while True:
            self._look_after(everything)
            time.sleep(0.2)

    def _look_after(self, stage: list[Watched]) -> None:
        """Restart what has died, after a pause that grows while it keeps dying."""
        now = time.monotonic()
        for watched in stage:
            child = watched.child
            if watched.restart_at is not None:
                if now >= watched.restart_at:
                    watched.restart_at = None
                    child.start()
                continue
            if child.running:
                continue
            child.kill_group()  # a pool's processes outlive a killed parent for a moment: not beside the new ones
            watched.failures = 1 if child.age > HEALTHY_SECONDS else watched.failures + 1
            pause = min(0.5 * 2 ** (watched.failures - 1), LONGEST_PAUSE)
            say(f"\n! {child.name} {child.ending()}. The end of {child.log}:")
            for said in child.last_lines():
                say(f"    {said}")
            if watched.failures >= EARLY_DEATHS and not self._ready:
                raise Refusal(f"{child.name} does not stay up; see {child.log}.")
            say(f"! {child.name} starts again in {pause:.1f} s.")
            watched.restart_at = now + pause

    def _stop(self) -> None:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, self._hurry)
        if not self.stages:
            return
        say("\nStopping (Ctrl-C again kills) …")
        for stage in reversed(self.stages):
            process.stop([watched.child for watched in stage], hurry=lambda: self._stop_now)

    def _hurry(self, *_: object) -> None:
        self._stop_now = True


@contextmanager
def only_one(layout: Layout) -> Iterator[int]:
    """
    Hold the lock of `layout`; yield its file descriptor.

    The engines inherit it, so it is free only when they are gone: after a supervisor was killed, the next one waits
    here until its engines have shut down, instead of starting a second server over the same data.

    :raises Refusal: if another supervisor runs, or its engines do not go away
    """
    layout.var.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = running(layout)
                if holder is not None:
                    raise Refusal(
                        f"The shop of this checkout runs already, as process {holder}."
                    ) from None
                if time.monotonic() > deadline:
                    raise Refusal(
                        f"Engines of an earlier start still hold {layout.lock}."
                    ) from None
                time.sleep(0.1)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def running(layout: Layout) -> int | None:
    """Return the process id of the supervisor that runs `layout`, if there is one."""
    try:
        pid = int(layout.lock.read_text())
        os.kill(pid, 0)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    except PermissionError:
        return pid
    return pid


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
