"""
Creates `.venv` and installs a lock file into it, hash by hash, wheels only.

Run as a script by the interpreter the environment is to have, before any package is there: standard library only.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
VENV = CHECKOUT / ".venv"
PYTHON = str(VENV / "bin" / "python")
OLDEST = (3, 11)


def main(lock: str) -> int:
    """Install `lock`; return the exit status. Shows how far it is, because the first time takes half a minute."""
    if sys.version_info < OLDEST:
        return refuse(
            f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed; this is {sys.version.split()[0]}."
        )
    if not Path(PYTHON).exists() or not _has_pip():
        if (
            importlib.util.find_spec("ensurepip") is None
            or importlib.util.find_spec("venv") is None
        ):
            return refuse(
                f"{sys.executable} comes without venv. On Debian and Ubuntu install it once:\n\n"
                f"    sudo apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv\n"
            )
        show(f"Creating {VENV}")
        made = subprocess.run(
            [sys.executable, "-m", "venv", "--clear", VENV], stdout=subprocess.DEVNULL
        )
        if made.returncode != 0:
            return refuse("The virtual environment could not be made; see above.")
    return _install(CHECKOUT / lock)


def _has_pip() -> bool:
    return subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True).returncode == 0


def _install(lock: Path) -> int:
    names = [line.split("==")[0].lower() for line in lock.read_text().splitlines() if "==" in line]
    title = f"Installing {lock.relative_to(CHECKOUT)}"
    command = [
        PYTHON,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
    ]
    command += [
        "--progress-bar",
        "off",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "-r",
        str(lock),
    ]
    lines: list[str] = []
    done = 0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            lines.append(line)
            if line.startswith(("Collecting", "Requirement already satisfied", "Ignoring")):
                done += 1
                show(f"{title}: {min(done, len(names))} of {len(names)}", again=True)
            elif line.startswith("Installing"):
                show(f"{title}: unpacking {len(names)} packages", again=True)
    if pip.returncode != 0:
        sys.stderr.write("\n" + "".join(lines[-25:]))
        return refuse("The packages could not be installed; see above.")
    show(f"{title}: done", again=True)
    sys.stdout.write("\n" if sys.stdout.isatty() else "")
    return 0


def show(text: str, *, again: bool = False) -> None:
    """Print a line; on a terminal `again` rewrites the last one, elsewhere only ends are printed."""
    if sys.stdout.isatty() and again:
        sys.stdout.write(f"\r  {text:<70}")
    elif not again or text.endswith("done"):
        sys.stdout.write(f"  {text}\n")
    sys.stdout.flush()


def refuse(text: str) -> int:
    sys.stderr.write(f"\n{text}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
