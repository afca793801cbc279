"""Rows of features with categories."""

import numpy as np
import pytest

from models.manifest import FeatureSpec
from service.errors import InvalidRequest
from service.rpc.validation import bad_rows, check_values
from tests.sum_service import manifest

MIXED = manifest(num_features=2).model_copy(
    update={
        "features": (
            FeatureSpec(name="y"),
            FeatureSpec(name="day", categories=("work", "rest"), required=False),
        )
    }
)


def test_a_value_is_the_index_of_a_category_or_missing():
    """Numbers beyond the categories, and those between two, make a row bad; NaN does not."""
    values = np.array(
        [[5.0, 0.0], [5.0, 1.0], [5.0, np.nan], [5.0, 2.0], [5.0, -1.0], [5.0, 0.5], [np.nan, 1.0]]
    )
    assert bad_rows(values, MIXED).tolist() == [False, False, False, True, True, True, False]
    check_values(values[:3], MIXED, "rows: values")


@pytest.mark.parametrize("value", [2.0, -1.0, 0.5])
def test_the_refusal_names_the_feature_and_its_range(value):
    """The error says which row and feature, what was found and what was expected."""
    with pytest.raises(InvalidRequest) as caught:
        check_values(np.array([[1.0, 0.0], [1.0, value]]), MIXED, "rows: values")
    assert caught.value.field == "rows: values of row 1, feature 'day'"
    assert "the index of a category, 0 to 1, or NaN where missing" in str(caught.value)
    assert str(value) in str(caught.value)
