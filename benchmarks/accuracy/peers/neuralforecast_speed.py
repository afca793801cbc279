"""Times NeuralForecast's training steps on a job of `benchmarks.accuracy.training_speed`."""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MQLoss
from neuralforecast.models import LSTM
from torch.optim.optimizer import register_optimizer_step_post_hook


def main(job: dict[str, Any]) -> None:
    """The same cell, size, batch, windows and loss; a linear read-out, the least that its decoder can be."""
    torch.set_num_threads(job["threads"])
    ends: list[float] = []
    register_optimizer_step_post_hook(lambda *_: ends.append(time.perf_counter()))
    model = LSTM(
        h=job["horizon"],
        input_size=job["window"],
        encoder_n_layers=job["num_layers"],
        encoder_hidden_size=job["hidden_size"],
        decoder_layers=1,
        loss=MQLoss(quantiles=list(job["levels"])),
        max_steps=job["steps"],
        batch_size=job["batch"],
        windows_batch_size=job["batch"],
        random_seed=1,
        accelerator="cpu",
        enable_progress_bar=False,
        logger=False,
    )
    NeuralForecast(models=[model], freq=job["freq"]).fit(pd.read_parquet(job["data"]))
    print(json.dumps({"ends": ends, "version": version("neuralforecast"), "torch": torch.__version__}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text("utf-8")))
