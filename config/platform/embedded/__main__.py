"""The command line of the embedded engines; `manage.py up` and the Makefile come here."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from config.environment import BASE_DIR, VAR_DIR, text
from config.platform.embedded import engines, process
from config.platform.embedded.console import Refusal
from config.platform.embedded.layout import Layout
from config.platform.embedded.process import die_with_parent
from config.platform.embedded.supervisor import Supervisor, only_one, running


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands; return its exit status. A refusal is one clear message, never a traceback."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except (Refusal, ImproperlyConfigured, PermissionError) as error:
        sys.stdout.flush()
        sys.stderr.write(f"\n{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m config.platform.embedded")
    commands = parser.add_subparsers(required=True)

    up = commands.add_parser("up", help="run the shop until Ctrl-C")
    add_up_arguments(up)
    up.set_defaults(run=run_up)

    run = commands.add_parser("run", help="run a command with throw-away engines")
    run.add_argument("--durable", action="store_true", help="write to disk as in production")
    run.add_argument("command", nargs=argparse.REMAINDER)
    run.set_defaults(run=_run_throw_away)

    with_ = commands.add_parser("with", help="run a command with the shop's own engines")
    with_.add_argument("command", nargs=argparse.REMAINDER)
    with_.set_defaults(run=_run_with)

    forget = commands.add_parser("forget", help="remove the shop's data and secrets")
    forget.set_defaults(run=_forget)

    prepare = commands.add_parser("prepare", help="migrate, seed and collect static files")
    prepare.add_argument("--no-seed", dest="seed", action="store_false")
    prepare.set_defaults(run=_prepare)

    web = commands.add_parser("web", help="serve HTTP and /ws on one port")
    web.add_argument("--host", default="127.0.0.1")
    web.add_argument("--port", type=int, default=8000)
    web.add_argument("--fd", type=int)
    web.set_defaults(run=_web)
    return parser


def add_up_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `up` understands, here and in `manage.py up`."""
    parser.add_argument(
        "--production-serving",
        action="store_true",
        help="serve HTTP by granian, as in production, for measurements",
    )
    parser.add_argument(
        "--no-seed", dest="seed", action="store_false", help="do not fill an empty shop"
    )


def run_up(options: argparse.Namespace) -> int:
    """Run the shop. HOST and PORT come from the environment, like everything else that differs between machines."""
    port = text("PORT", default="8000")
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise Refusal(f"PORT must be a number from 1 to 65535, not {port!r}.")
    return Supervisor(
        layout=Layout(VAR_DIR),
        checkout=BASE_DIR,
        host=text("HOST", default="127.0.0.1"),
        port=int(port),
        production_serving=options.production_serving,
        seed=options.seed,
    ).run()


def _run_throw_away(options: argparse.Namespace) -> int:
    """
    Start empty engines in a directory of their own, run the command, remove all of it.

    They do not wait for the disk, unless the command measures something and asks them to.
    """
    parent = VAR_DIR / "test"
    parent.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(dir=parent))
    directory.chmod(0o711)  # PostgreSQL passes through as another user when we are root
    layout = Layout(directory)
    _as_interrupt()
    try:
        children, addresses = engines.start(layout, throw_away=not options.durable)
        try:
            return _call(options.command, addresses)
        finally:
            process.stop(children)
    finally:
        for place in (directory, layout.run, layout.elsewhere):
            shutil.rmtree(place, ignore_errors=True)


def _run_with(options: argparse.Namespace) -> int:
    """Run the command on the engines of `make up`; start them for its duration where the shop does not run."""
    layout = Layout(VAR_DIR)
    if running(layout) is not None:
        return _call(options.command, {})
    _as_interrupt()
    with only_one(layout) as lock_fd:
        children, addresses = engines.start(layout, lock_fd=lock_fd)
        try:
            return _call(options.command, addresses)
        finally:
            process.stop(list(reversed(children)))


def _call(command: list[str], addresses: dict[str, str]) -> int:
    words = command[1:] if command[:1] == ["--"] else command
    if not words:
        raise Refusal("Name the command to run after --.")
    sys.stdout.flush()
    try:
        child = subprocess.Popen(
            words,
            env={**os.environ, **addresses},
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
    except OSError as error:
        raise Refusal(f"{words[0]}: {error.strerror}") from None
    while True:
        try:
            status = child.wait()
            return status if status >= 0 else 128 - status
        except KeyboardInterrupt as interrupt:
            # The command decides how it ends. Ctrl-C at a terminal has reached it already.
            number = interrupt.args[0] if interrupt.args else signal.SIGINT
            if number != signal.SIGINT or not sys.stdin.isatty():
                child.send_signal(number)


def _as_interrupt() -> None:
    def interrupt(number: int, _frame: object) -> None:
        raise KeyboardInterrupt(number)

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, interrupt)


def _forget(_options: argparse.Namespace) -> None:
    """Remove everything the embedded shop ever wrote, wherever PostgreSQL had to keep it."""
    layout = Layout(VAR_DIR)
    with only_one(layout):
        for place in (layout.elsewhere, layout.run, layout.var):
            shutil.rmtree(place, ignore_errors=True)


def _prepare(options: argparse.Namespace) -> None:
    from config.platform.embedded.prepare import prepare

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
    prepare(seed=options.seed)


def _web(options: argparse.Namespace) -> None:
    from config.platform.embedded.web import serve

    serve(host=options.host, port=options.port, fd=options.fd)


if __name__ == "__main__":
    sys.exit(main())
