"""Rolling origins over the exported file: what it forecast, row by row, against what came.

`run.backtest` streams the series and adds up a `tally.Tally`; `result.Backtest` is what is known then;
`charts`, `report` and `picture` show it.
"""
