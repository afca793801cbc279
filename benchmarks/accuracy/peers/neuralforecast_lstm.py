"""NeuralForecast's LSTM on a job of `benchmarks.accuracy.peers`; runs in the peers' environment alone."""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as lightning
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MQLoss
from neuralforecast.models import LSTM


class Budget(lightning.Callback):
    """Ends the training once it has taken so many seconds of the processor."""

    def __init__(self, seconds: float) -> None:
        self._end = time.process_time() + seconds

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        if time.process_time() > self._end:
            trainer.should_stop = True


def main(job: dict[str, Any]) -> None:
    """Fit with the defaults, early stopping and the budget; forecast after each origin of the test part."""
    torch.set_num_threads(job["threads"])
    frame = pd.read_parquet(job["data"])
    from_end = frame.groupby("unique_id").cumcount(ascending=False)
    model = LSTM(
        h=job["horizon"],
        loss=MQLoss(quantiles=list(job["levels"])),
        # Until the validation loss stops falling or the time is up.
        max_steps=1_000_000,
        early_stop_patience_steps=5,
        random_seed=job["seed"] + 1,
        callbacks=[Budget(job["budget_s"])],
        accelerator="cpu",
        enable_progress_bar=False,
        logger=False,
    )
    forecaster = NeuralForecast(models=[model], freq=job["freq"])
    start, busy = time.perf_counter(), time.process_time()
    forecaster.fit(frame[from_end >= job["test"]], val_size=max(job["validation"], job["horizon"]))
    trained, busy = time.perf_counter(), time.process_time() - busy
    found = forecaster.cross_validation(
        frame,
        n_windows=None,
        test_size=job["test"],
        step_size=job["stride"],
        refit=False,
        use_fitted=True,
    ).sort_values(["unique_id", "cutoff", "ds"], kind="stable")
    columns = [name for name in found.columns if name not in ("unique_id", "ds", "cutoff", "y")]
    num, horizon = found["unique_id"].nunique(), job["horizon"]
    forecast = found[columns].to_numpy(np.float32).reshape(num, -1, horizon, len(columns))
    np.save(job["output"], np.sort(forecast, axis=-1))
    took = {
        "training_s": trained - start,
        "processor_s": busy,
        "forecast_s": time.perf_counter() - trained,
        "budget_s": job["budget_s"],
        "version": version("neuralforecast"),
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text("utf-8")))
