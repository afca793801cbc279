"""Rows of features with categories."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.manifest import FeatureSpec
from service.errors import InvalidRequest
from service.rpc.validation import are_categories, bad_rows, categories_of, check_values
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


AHEAD = manifest(num_features=2).model_copy(
    update={
        "features": (
            FeatureSpec(name="y", categories=("a", "b", "c")),
            FeatureSpec(name="day", role="future", categories=("work", "rest")),
        )
    }
)
INDEX = st.sampled_from([0.0, 1.0, 2.0, 3.0, -1.0, -0.0, 0.5, 1e300, 5e-324])


@given(st.lists(INDEX, min_size=2, max_size=2) | st.lists(INDEX, min_size=4, max_size=4))
def test_a_row_by_itself_is_held_to_what_many_are(values):
    """With what is known ahead and without."""
    assert are_categories(values, categories_of(AHEAD)) is not bool(bad_rows(np.array([values]), AHEAD)[0])
