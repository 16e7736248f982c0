"""
Drawings of numbers, as plain SVG from the server.

Not the theme's chart: that one needs a script and a canvas, says nothing to those who cannot see it, and does not print.
Here words and numbers stay text; only the shapes are drawn, stretched to the width there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 600.0, 160.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a bar list; `width` is a percentage of the longest."""

    label: Any
    value: Any
    width: float
    url: str = ""
    note: Any = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a column chart, in the drawing's units; `rows` of its table say the same."""

    x: float
    y: float
    width: float
    height: float
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing over days: columns or a line, the highest value, and the same as a table."""

    title: Any
    summary: Any
    top: Any
    first: Any
    last: Any
    table: Sequence[tuple[Any, ...]]
    heads: Sequence[Any]
    columns: Sequence[Column] = ()
    line: str = ""
    area: str = ""

    @property
    def view_box(self) -> str:
        return f"0 0 {WIDTH:g} {HEIGHT:g}"


def widths(numbers: Sequence[float]) -> list[float]:
    """Return each number as a percentage of the greatest, at least a sliver where it is not zero."""
    most = max(numbers, default=0)
    return [max(round(100 * number / most, 1), 1.0) if number > 0 else 0.0 for number in numbers]


def columns(numbers: Sequence[float], most: float, words: Sequence[str]) -> list[Column]:
    """Return a column for each number, `most` being as high as the drawing."""
    step = WIDTH / max(len(numbers), 1)
    made = []
    for index, (number, said) in enumerate(zip(numbers, words, strict=True)):
        height = HEIGHT * number / most if most else 0
        made.append(
            Column(
                round(index * step + step * 0.15, 2),
                round(HEIGHT - height, 2),
                round(step * 0.7, 2),
                round(height, 2),
                said,
            )
        )
    return made


def stairs(numbers: Sequence[float], most: float) -> tuple[str, str]:
    """Return the points of a stepped line, and of the area under it: stock stays what it is until it changes."""
    step = WIDTH / max(len(numbers), 1)
    points = []
    for index, number in enumerate(numbers):
        y = round(HEIGHT - (HEIGHT * number / most if most else 0), 2)
        points += [f"{index * step:.2f},{y}", f"{(index + 1) * step:.2f},{y}"]
    line = " ".join(points)
    return line, f"0,{HEIGHT:g} {line} {WIDTH:g},{HEIGHT:g}"
