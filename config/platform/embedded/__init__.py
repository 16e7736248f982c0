"""
Everything the shop needs, run from the checkout: PostgreSQL, Valkey, web, worker and beat under one supervisor.

    python -m config.platform.embedded up             the shop, until Ctrl-C
    python -m config.platform.embedded run -- CMD     throw-away engines for one command
    python -m config.platform.embedded with -- CMD    the shop's own engines for one command

The engines come as binaries inside Python packages, or from the system where those are missing, and listen on unix
sockets under `var/`. Nothing here imports an app or needs Django to be set up, so that a broken app cannot keep the
engines from being started, looked at and stopped.
"""
