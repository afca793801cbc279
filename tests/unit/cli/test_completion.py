"""Words as bash takes them apart, and values of options."""

import pytest

from cli.completion import joined, values_of
from training.settings import TrainSettings


@pytest.mark.parametrize(
    ("words", "cursor", "typed", "at", "stands"),
    [
        (["statecast", "str"], 1, ["statecast", "str"], 1, ""),
        # Elsewhere on the line.
        (["x", "--server", "host", ":", "50051", ""], 5, ["x", "--server", "host:50051", ""], 3, ""),
        (["x", "--server", "=", "host", ":", "1", "a"], 6, ["x", "--server=host:1", "a"], 2, ""),
        # In the word at hand: bash replaces what comes after the last break.
        (["x", "site", ":", "7"], 3, ["x", "site:7"], 1, "site:"),
        (["x", "site", ":"], 2, ["x", "site:"], 1, "site:"),
        (["x", "a", ":", "b", "@", "c"], 5, ["x", "a:b@c"], 1, "a:b@"),
        (["x", "--model", "=", "lo"], 3, ["x", "--model=lo"], 1, ""),
        (["x", "--model", "="], 2, ["x", "--model="], 1, ""),
        (["x", "--session", "=", "a", ":", "b"], 5, ["x", "--session=a:b"], 1, "a:"),
        # A new word after one that ends in a break.
        (["x", "site", ":", ""], 3, ["x", "site:", ""], 2, ""),
    ],
)
def test_words_that_bash_took_apart(words, cursor, typed, at, stands):
    """They are as they were typed, the cursor is in the same word, and what stays of it is known."""
    assert joined(words, cursor) == (typed, at, stands)


def test_several_values_with_commas():
    """The last one is completed; those before it stay."""
    complete = values_of(["tensorboard", "mlflow"])
    assert complete("t") == ["tensorboard"]
    assert complete("tensorboard,m") == ["tensorboard,mlflow"]
    assert complete("x") == []


def test_names_that_train_completes_are_those_there_are():
    """Cells, heads and decoders stand beside their option, where no torch is needed to complete them."""
    from models.cells import CELLS
    from models.decoders import DECODERS
    from models.heads import HEADS

    examples = {name: field.examples for name, field in TrainSettings.model_fields.items()}
    assert examples["cell"] == list(CELLS)
    assert examples["head"] == list(HEADS)
    assert examples["decoder"] == list(DECODERS)
