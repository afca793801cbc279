"""The `statecast` command."""
