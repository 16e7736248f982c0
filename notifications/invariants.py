"""What must be true of messages in every snapshot (S), or soon after (L)."""

from __future__ import annotations

from config.platform.invariants import Check

CHECKS = [
    Check(
        "N01",
        "S",
        "at most one message per event, channel and recipient",
        """
        select split_part(dedupe_key, ':', 1) as event, channel, type, recipient, count(*)
        from notifications group by 1, 2, 3, 4 having count(*) > 1
        """,
    ),
    Check(
        "N02",
        "L",
        "nothing is stuck between claim and send",
        """
        select id, status from notifications
        where status in ('PENDING', 'SENDING') and type = 'EMAIL' and next_attempt_at < now() - %(grace)s
        """,
    ),
]
