"""
A shop at its worst hour: everybody at once over HTTP, staff in between, processes killed outright, and a checker each second.

`make chaos` runs it for a minute, the suite for some seconds.
"""
