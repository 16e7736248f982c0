"""
Connections that have died are found without asking the server.

Django's check sends an empty statement before each request and waits for the answer: as long as the whole of a small
read. A server that ends a connection (a restart, an administrator, a proxy's time limit) says so, and what it said lies
in the socket: where nothing was asked, there is nothing to read. So a quiet socket is taken as a live one, and only one
that has something to read is asked. What no check before use can find either way, a network that swallows everything,
ends at the statement's own time limit, and the caller is told to come again.
"""

from __future__ import annotations

import select
from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection, Error
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

IDLE = TransactionStatus.IDLE


def is_gone(connection: Connection[Any]) -> bool:
    """Tell whether the server has ended an idle connection; a round trip only where it has sent something."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if not poll.poll(0):
        return False
    try:  # a notice, perhaps
        ConnectionPool.check_connection(connection)
    except Error:
        return True
    return False


class DatabaseWrapper(base.DatabaseWrapper):
    """For a pool `CONN_HEALTH_CHECKS` has to be off: it would ask the server as well. Without one it has to be on."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """
        Return a live connection, from the pool where there is one.

        :raises OperationalError: if the pool has none in time (`PoolTimeout`), or the server takes none
        """
        connection = super().get_new_connection(conn_params)
        while self.pool and is_gone(connection):
            connection.close()  # the pool puts a new one into its place
            self.pool.putconn(connection)
            connection = super().get_new_connection(conn_params)
        return connection

    def is_usable(self) -> bool:
        if self.connection is None or self.connection.info.transaction_status != IDLE:
            return super().is_usable()  # within a transaction more can be wrong
        return not is_gone(self.connection)
