"""Django's PostgreSQL backend, with connections that are looked at rather than asked before a request gets one."""
