"""GluonTS' DeepAR on a job of `benchmarks.accuracy.peers`; runs in the peers' environment alone."""

import json
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch
from gluonts.torch import DeepAREstimator


class Budget(lightning.Callback):
    """Ends the training once it has taken so many seconds of the processor."""

    def __init__(self, seconds: float) -> None:
        self._end = time.process_time() + seconds

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        if time.process_time() > self._end:
            trainer.should_stop = True


def main(job: dict[str, Any]) -> None:
    """Fit with the defaults, the best epoch by the validation loss, in the budget; sample the test part."""
    torch.set_num_threads(job["threads"])
    lightning.seed_everything(job["seed"], verbose=False)
    series = {
        str(name): (pd.Period(rows["ds"].iloc[0], job["freq"]), rows["y"].to_numpy(np.float32))
        for name, rows in pd.read_parquet(job["data"]).groupby("unique_id")
    }
    held_out = max(job["validation"], job["horizon"])
    estimator = DeepAREstimator(
        freq=job["freq"],
        prediction_length=job["horizon"],
        trainer_kwargs={
            "max_epochs": 100_000,
            "accelerator": "cpu",
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "logger": False,
            "callbacks": [
                lightning.pytorch.callbacks.EarlyStopping("val_loss", patience=20),
                Budget(job["budget_s"]),
            ],
        },
    )
    start, busy = time.perf_counter(), time.process_time()
    predictor = estimator.train(
        entries(series, lambda num: [num - job["test"] - held_out]),
        validation_data=entries(
            series, lambda num: range(num - job["test"], num - job["test"] - held_out, -job["horizon"])
        ),
        cache_data=True,
    )
    trained, busy = time.perf_counter(), time.process_time() - busy
    # The first of them has seen no test row, the last one all but a horizon.
    origins = entries(series, lambda num: range(num - job["test"], num - job["horizon"] + 1, job["stride"]))
    levels = np.array(job["levels"])
    found = [
        np.quantile(forecast.samples, levels, axis=0).T.astype(np.float32)
        for forecast in predictor.predict(origins)
    ]
    np.save(job["output"], np.stack(found).reshape(len(series), -1, job["horizon"], len(levels)))
    took = {
        "training_s": trained - start,
        "processor_s": busy,
        "forecast_s": time.perf_counter() - trained,
        "budget_s": job["budget_s"],
        "version": version("gluonts"),
    }
    print(json.dumps(took))


def entries(series: dict[str, Any], ends: Callable[[int], Iterable[int]]) -> list[dict[str, Any]]:
    """Each series up to each of the rows that `ends` names for its length."""
    return [
        {"start": start, "target": target[:end], "item_id": name}
        for name, (start, target) in series.items()
        for end in ends(len(target))
    ]


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text("utf-8")))
