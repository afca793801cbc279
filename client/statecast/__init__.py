"""Client for statecast."""
