"""Page tokens: they come back as they went, to the list they are of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidRequest
from service.rpc.page_token import from_token, to_token

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(NAMES, NAMES, NAMES.filter(bool))
def test_a_token_is_what_it_was_made_of(model, prefix, after):
    """Whatever a store gives for the next page; the last page has no token, the first none either."""
    assert from_token(to_token(model, prefix, after), model, prefix) == after
    assert from_token(to_token(model, prefix, ""), model, prefix) == ""


@given(NAMES, NAMES, NAMES, NAMES, NAMES.filter(bool))
def test_a_token_is_of_one_list(model, prefix, other_model, other_prefix, after):
    """Of another model or prefix it is refused, however their names run together."""
    token = to_token(model, prefix, after)
    if (model, prefix) == (other_model, other_prefix):
        return
    with pytest.raises(InvalidRequest, match="page_token"):
        from_token(token, other_model, other_prefix)


@given(NAMES.filter(bool), st.data())
def test_a_changed_token_is_refused(after, data):
    """Any other character in any place, and any shorter one."""
    token = to_token("m", "p", after)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABab01-_+/=. é").filter(lambda character: character != token[place]))
    for wrong in (token[:place] + other + token[place + 1 :], token[:place] or "A"):
        try:
            found = from_token(wrong, "m", "p")
        except InvalidRequest:
            continue
        # The last character of base64 has bits that say nothing.
        assert found == after


@pytest.mark.parametrize("wrong", ["A", "AAAA", "x" * 1000, "é", "\n", "AAAAAAAAAAA="])
def test_what_is_no_token_is_refused(wrong):
    """The error does not repeat all of a long one."""
    with pytest.raises(InvalidRequest) as refused:
        from_token(wrong, "m", "")
    assert len(str(refused.value)) < 200
