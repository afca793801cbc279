"""How fast the server is, against limits measured in the same run: `python -m benchmarks`."""
