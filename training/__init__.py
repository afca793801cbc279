"""From a file of series to an exported forecaster."""
