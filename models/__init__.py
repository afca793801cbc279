"""What a forecaster is: its contract (`manifest`, `frequency`: no torch) and its torch modules."""
