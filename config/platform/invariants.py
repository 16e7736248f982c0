"""What must be true of the data, as SQL that returns the rows that break it. Each app lists its own `CHECKS`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """
    One invariant: `sql` selects the violating rows, so no rows means that it holds.

    Class "S" (safety) holds in every snapshot. Class "L" (liveness) holds once `%(grace)s`, an interval, has passed
    with everything running.
    """

    id: str
    klass: Literal["S", "L"]
    text: str
    sql: str
