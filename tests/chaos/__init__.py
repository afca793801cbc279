"""Real servers, killed, paused, cut off and upgraded at random moments under load; every row must count once.

`make chaos` runs all rounds; `make test` runs a short version of each.
"""
