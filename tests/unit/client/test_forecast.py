"""Results of a call."""

import numpy as np
import pytest

from statecast.forecast import from_response
from statecast.v1 import forecast_pb2


def _result(num_forecasts=2):
    forecasts = [
        forecast_pb2.Forecast(position=10 + i, values=np.arange(6) + 10 * i) for i in range(num_forecasts)
    ]
    return from_response(
        forecast_pb2.ForecastResponse(
            position=12, num_skipped=1, num_late=2, num_missing_steps=3, forecasts=forecasts,
            quantile_levels=[0.1, 0.5, 0.9], model_version=4,
        )
    )  # fmt: skip


def test_a_result_holds_what_the_reply_said():
    """Counts, position and version are the reply's."""
    result = _result()
    assert (result.position, result.model_version) == (12, 4)
    assert (result.num_skipped, result.num_late, result.num_missing_steps) == (1, 2, 3)


def test_the_forecast_is_the_last_one():
    """Steps are rows and levels columns, in float32 that nobody changes by accident."""
    forecast = _result().forecast
    assert forecast.position == 11
    assert forecast.horizon == 2
    assert forecast.values.dtype == np.float32
    np.testing.assert_array_equal(forecast.values, [[10, 11, 12], [13, 14, 15]])
    np.testing.assert_array_equal(forecast.median, [11, 14])
    np.testing.assert_array_equal(forecast.quantile(0.9), [12, 15])
    with pytest.raises(ValueError, match="read-only"):
        forecast.values[0, 0] = 1


def test_a_level_the_model_has_not_is_named_with_those_it_has():
    """Quantiles are not invented between levels."""
    with pytest.raises(ValueError, match=r"expected one of \[0.1, 0.5, 0.9\], found 0.4"):
        _result().forecast.quantile(0.4)


def test_no_forecast_where_none_was_asked_for():
    """The error says why there is none."""
    with pytest.raises(ValueError, match="reply='none'"):
        _ = _result(0).forecast


def _classified():
    probabilities = [0.25, 0.75, 0.5, 0.5]
    forecast = forecast_pb2.Forecast(position=1, values=probabilities)
    return from_response(forecast_pb2.ForecastResponse(position=1, forecasts=[forecast]), ("dry", "rain"))


def test_a_classifier_gives_probabilities_and_the_likeliest_label():
    """Columns are the model's labels, and of a tie the first is the likeliest."""
    forecast = _classified().forecast
    np.testing.assert_array_equal(forecast.probabilities, [[0.25, 0.75], [0.5, 0.5]])
    np.testing.assert_array_equal(forecast.probability("rain"), [0.75, 0.5])
    assert forecast.likeliest == ("rain", "dry")
    assert forecast.label == "rain"


def test_labels_and_levels_are_not_mixed_up():
    """Asking a classifier for quantiles, or a regression for probabilities, says what the model has."""
    with pytest.raises(ValueError, match="has labels and no levels"):
        _ = _classified().forecast.median
    with pytest.raises(ValueError, match=r"label: expected one of \['dry', 'rain'\], found 'snow'"):
        _classified().forecast.probability("snow")
    with pytest.raises(ValueError, match="has quantile levels and no labels"):
        _ = _result().forecast.probabilities
