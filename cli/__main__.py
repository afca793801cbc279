"""`python -m cli` is `statecast`."""

from cli.main import app

app(prog_name="statecast")
