"""Where the embedded engines keep their files, and the addresses that follow from it."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

DATABASE = "holdfast"
SECRETS = ("SECRET_KEY", "JWT_SIGNING_KEY", "CART_RECOVERY_HMAC_SECRET")

# A socket's path lives in a fixed field of 108 bytes, the last one zero.
LONGEST_SOCKET_PATH = 107


@dataclass(frozen=True)
class Layout:
    """The files of one set of engines. Two layouts never meet, so tests run beside a running shop."""

    var: Path

    @property
    def postgres_data(self) -> Path:
        return self.var / "postgres"

    @property
    def valkey_data(self) -> Path:
        return self.var / "valkey"

    @property
    def logs(self) -> Path:
        return self.var / "log"

    @property
    def lock(self) -> Path:
        return self.var / "up.lock"

    @property
    def run(self) -> Path:
        """The directory of the sockets: under `var`, or a short one where the checkout's path is too long."""
        here = self.var / "run"
        if len(os.fsencode(here / "pg" / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH:
            return here
        name = f"holdfast-{os.getuid()}-{self.digest}"
        short = Path(tempfile.gettempdir()) / name
        fallback = Path("/tmp")  # noqa: S108 - the owner of what is made in it is checked
        return short if len(os.fsencode(short)) < 80 else fallback / name

    @property
    def elsewhere(self) -> Path:
        """A place outside the checkout, for when the user that PostgreSQL runs as cannot enter it."""
        return Path("/var/tmp") / f"holdfast-{self.digest}"  # noqa: S108 - the owner is checked

    @property
    def digest(self) -> str:
        """A short name of this layout, the same on each start."""
        return hashlib.sha256(os.fsencode(self.var.absolute())).hexdigest()[:10]

    @property
    def postgres_socket(self) -> Path:
        """The directory in which PostgreSQL makes its socket."""
        return self.run / "pg"

    @property
    def valkey_socket(self) -> Path:
        return self.run / "valkey.sock"

    @property
    def database_url(self) -> str:
        return f"postgres://postgres@/{DATABASE}?host={quote(str(self.postgres_socket))}"

    @property
    def redis_url(self) -> str:
        return f"unix://{quote(str(self.valkey_socket))}?db=0"

    def make_directories(self) -> None:
        """
        Create what the engines expect to find.

        :raises PermissionError: if somebody else owns the directory of the sockets
        """
        for directory in (self.var, self.logs, self.valkey_data):
            directory.mkdir(parents=True, exist_ok=True)
        # Others may pass through (PostgreSQL runs as another user when we are root) but neither list nor write.
        self.run.mkdir(mode=0o711, parents=True, exist_ok=True)
        if self.run.is_symlink() or self.run.lstat().st_uid != os.getuid():
            raise PermissionError(
                f"{self.run} belongs to somebody else; remove it and start again."
            )
        self.run.chmod(0o711)

    def secrets(self) -> dict[str, str]:
        """
        Return this checkout's own secrets; make them on first use.

        They stay on this machine in a file that only its owner reads. Whoever removes it signs everybody out.
        """
        path = self.var / "secrets.env"
        known = _read(path)
        missing = [key for key in SECRETS if key not in known]
        if not missing:
            return known
        known |= {key: secrets.token_urlsafe(48) for key in missing}
        self.var.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=self.var, prefix=".secrets-")  # 0600 from birth
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{key}={value}\n" for key, value in known.items())
        try:
            if path.exists():
                os.replace(draft, path)
            else:
                os.link(draft, path)  # fails if another process was first: its secrets win
        except FileExistsError:
            return _read(path)
        finally:
            Path(draft).unlink(missing_ok=True)
        return known


def _read(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
