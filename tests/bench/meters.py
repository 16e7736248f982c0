"""What processes cost, read from /proc: processor time and memory of whole process trees."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Stat:
    parent: int
    own: int
    reaped: int  # of children that have ended


def _stats() -> dict[int, Stat]:
    found = {}
    for place in _PROC.iterdir():
        if not place.name.isdecimal():
            continue
        try:
            text = (place / "stat").read_text()
        except OSError:  # it ended while we looked
            continue
        fields = text.rpartition(")")[2].split()
        utime, stime, cutime, cstime = (int(value) for value in fields[11:15])
        found[int(place.name)] = Stat(int(fields[1]), utime + stime, cutime + cstime)
    return found


def _tree(root: int, stats: dict[int, Stat]) -> list[int]:
    children: dict[int, list[int]] = defaultdict(list)
    for pid, stat in stats.items():
        children[stat.parent].append(pid)
    tree, todo = [], [root]
    while todo:
        pid = todo.pop()
        if pid in stats:
            tree.append(pid)
            todo += children[pid]
    return tree


def cpu_seconds(*roots: int | None) -> list[float]:
    """Return the processor time that each process and all its descendants have used so far, also those that ended."""
    stats = _stats()
    return [
        sum(stats[pid].own + stats[pid].reaped for pid in _tree(root, stats)) / _TICK
        if root
        else 0.0
        for root in roots
    ]


def memory_mb(root: int) -> float:
    """Return the memory of a process tree, shared pages divided among those that share them (PSS)."""
    total = 0
    for pid in _tree(root, _stats()):
        try:
            lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def parent_of(pid: int, name: str) -> int | None:
    """Return the parent of a process if it is one of ours to see and is called `name`, else None."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        command = (_PROC / fields[1] / "comm").read_text().strip()
    except OSError:
        return None
    return int(fields[1]) if command == name else None


def called(pid: int, *names: str) -> int | None:
    """Return `pid` if a process of one of these names runs under it here, else None."""
    try:
        command = (_PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return None
    return pid if command in names else None
