"""Once its scores are taken, a model may learn from the part that it was scored on."""

from pathlib import Path

import pytest

from models.manifest import Manifest
from tests.unit.training.series_files import settings_for, write_csv
from training.dataset import SeriesData, read_dataset
from training.fit import fit, fit_to_all
from training.learned_epochs import LearnedEpochs
from training.segments import TrainingSegments
from training.settings import SettingsError
from training.train import train


def _manifest(data: Path, **options: object) -> Manifest:
    return train(settings_for(data, **options)).manifest


def test_its_scores_are_those_of_the_fit_before(tmp_path: Path) -> None:
    """Published is another graph, with the scores that are honest, and it says so."""
    data = write_csv(tmp_path / "data.csv")
    before, after = _manifest(data), _manifest(data, refit=True)
    assert after.backtest == before.backtest
    assert after.digest != before.digest
    assert (before.training.refit, after.training.refit) == (False, True)
    assert after.training.model_copy(update={"refit": False}) == before.training


def test_it_learns_for_as_long_as_each_member_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each member its own number of epochs, over every row, though the last are kept from the first fit."""
    settings = settings_for(write_csv(tmp_path / "data.csv"), members=2, max_epochs=3, patience=1)
    dataset, learned = read_dataset(settings), LearnedEpochs()
    fit(settings, dataset, watchers=[learned])
    assert len(learned.num_epochs) == 2
    seen: list[tuple[int, int]] = []
    walk = TrainingSegments.__init__

    def note(self: TrainingSegments, series: tuple[SeriesData, ...], **options: int) -> None:
        seen.append((series[0].validation_start, options["epoch"]))
        walk(self, series, **options)

    monkeypatch.setattr(TrainingSegments, "__init__", note)
    fit_to_all(settings, dataset, [1, 3])
    assert seen == [(240, 0), (240, 0), (240, 1), (240, 2)]


def test_processes_that_share_a_run_refuse_it(tmp_path: Path) -> None:
    """The option and what was expected are named."""
    with pytest.raises(SettingsError, match="refit: expected no, with several devices"):
        settings_for(tmp_path / "data.csv", refit=True, devices=2)
