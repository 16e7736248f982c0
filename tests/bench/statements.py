"""Just enough about the text of SQL to count statements and to replay them."""

from __future__ import annotations

import re

# What a semicolon, a colon or an id may hide in: literals, quoted names, comments. Dollar quotes do not occur.
_PIECES = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|;|[^'";/-]+|.""", re.DOTALL
)
_CONTROL = re.compile(
    r"\s*(?:BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|START\s+TRANSACTION|SET\s+CONSTRAINTS)\b",
    re.IGNORECASE,
)


def split(sql: str) -> list[str]:
    """Return the statements of a batch, without their semicolons."""
    if ";" not in sql:
        return [sql] if sql.strip() else []
    statements, current = [], ""
    for piece in _PIECES.findall(sql):
        if piece == ";":
            statements.append(current)
            current = ""
        else:
            current += piece
    statements.append(current)
    return [statement for statement in statements if statement.strip()]


def is_control(statement: str) -> bool:
    """Say whether a statement only begins, ends or marks a transaction."""
    return _CONTROL.match(statement) is not None
