"""Every cell on two real series: `python -m benchmarks.cells` writes docs/cells.md."""
