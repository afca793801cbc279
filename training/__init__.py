"""From a file of series to a published forecaster: data, segments, fit, export, parity, backtest, publish."""
