"""
`make bench`: what a request to this shop costs, beside what it would cost to do nothing and to do only the SQL.

The shop is served as in production (granian, two workers) with data of its own; three things are measured in turn, in
one run: the shop, a constant view of the same server, and the shop's own statements replayed by pgbench. Absolute
figures belong to the machine; the ratios between the three survive a noisy one. `docs/performance.md` says more.
"""
