"""Limits on scores: how they are written, and what fails them."""

import math
from pathlib import Path

import pytest

from training import baselines, score_names
from training.gates import Gate, GateError, check_gates
from training.settings import SettingsError, TrainSettings

SCORES = {
    "mase": 0.9,
    "coverage": 0.8,
    "weighted_quantile_loss": 0.04,
    "seasonal_naive_mase": 1.1,
    "seasonal_naive_weighted_quantile_loss": 0.05,
    "crps": math.nan,
}


def _settings(*gates: str, **more: object) -> TrainSettings:
    given = {"data": "a.csv", "output": "repository/m", "freq": "h", "horizon": 3, "gate": gates}
    return TrainSettings.build(given | more)


@pytest.mark.parametrize(
    "text",
    [
        "mase<1",
        " mase <= 0.9 ",
        "coverage>0.75",
        "coverage>=8e-1",
        "mase<seasonal_naive_mase",
        "wql<0.85*seasonal_naive_wql",
        "weighted_quantile_loss < 0.85 * seasonal_naive_weighted_quantile_loss",
        "mase>-1",
    ],
)
def test_limits_that_are_kept(text: str) -> None:
    """A number, another score or a share of one; the short name too."""
    check_gates([Gate.parse(text, labels=False)], SCORES)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("mase<0.9", "mase<0.9: mase is 0.9, the limit 0.9"),
        ("coverage>0.85", "coverage>0.85: coverage is 0.8, the limit 0.85"),
        (
            "wql<0.5*seasonal_naive_wql",
            "weighted_quantile_loss is 0.04, the limit 0.025 "
            "(0.5 x seasonal_naive_weighted_quantile_loss 0.05)",
        ),
        ("crps<1", "crps<1: crps has no value"),
        ("mae<1", "mae<1: mae has no value"),
        ("mase<arima_mase", "arima_mase has no value"),
    ],
)
def test_limits_that_are_broken(text: str, why: str) -> None:
    """The sentence has score, value and limit; what has no value keeps no limit."""
    with pytest.raises(GateError) as caught:
        check_gates([Gate.parse("mase<1", labels=False), Gate.parse(text, labels=False)], SCORES)
    assert len(caught.value.failures) == 1
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("mase=1", "gate: expected SCORE<LIMIT"),
        ("mase<", "gate: expected SCORE<LIMIT"),
        ("mase<nan", "no score 'nan'"),
        ("mase<1e", "gate: expected SCORE<LIMIT"),
        ("maze<1", "no score 'maze': near are"),
        ("mase<1*x", "no score 'x': expected one of mae, mse, rmse, mase, "),
        ("accuracy>0.5", "no score 'accuracy'"),
        ("seasonal_naive_coverage>0.5", "no score"),
    ],
)
def test_a_limit_is_checked_before_training(text: str, why: str) -> None:
    """The options say what is wrong with it and which scores there are."""
    with pytest.raises(SettingsError) as caught:
        _settings(text)
    assert why in str(caught.value)


def test_limits_fit_the_other_options() -> None:
    """Labels have other scores; one level has no coverage; a limit of ARIMA has it fitted."""
    assert _settings("accuracy>0.5", task="next-symbol").gates[0].score == "accuracy"
    with pytest.raises(SettingsError, match="two quantile_levels"):
        _settings("coverage>0.5", quantile_levels=(0.5,))
    with pytest.raises(SettingsError, match="baselines is quick"):
        _settings("mase<arima_mase", baselines="quick")
    assert _settings("mase<arima_mase").fits_baselines(1_000)
    assert not _settings("mase<naive_mase").fits_baselines(1_000)
    assert Path("a.csv") == _settings().data


def test_names_are_those_of_the_baselines() -> None:
    """What options may name is what there is."""
    assert {*baselines.QUICK, baselines.CHAIN} == {*score_names.QUICK_BASELINES}
    assert {*baselines.FITTED} == {*score_names.FITTED_BASELINES}
