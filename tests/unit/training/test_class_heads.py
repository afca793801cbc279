"""Heads that give probabilities."""

import pytest
import torch

from models.heads import HEADS, heads_for

HORIZON, NUM_LABELS = 2, 4


def test_binary_is_a_sigmoid_and_its_cross_entropy() -> None:
    """Two columns that sum to one, the second the sigmoid; the loss is that of the label that came."""
    head = HEADS["binary"](3, HORIZON, (), 2)
    numbers = 3 * torch.randn(5, 6, HORIZON, 1)
    probabilities = head.answer(numbers, None)
    torch.testing.assert_close(probabilities[..., 1], torch.sigmoid(numbers[..., 0]))
    torch.testing.assert_close(probabilities.sum(dim=-1), torch.ones(5, 6, HORIZON))
    targets = torch.randint(2, (5, 6, HORIZON)).double()
    expected = -probabilities.gather(-1, targets.long()[..., None]).log()[..., 0]
    targets[0, 0, 0] = torch.nan
    loss, terms = head.loss(numbers, targets, None)
    torch.testing.assert_close(loss, expected.sum() - expected[0, 0, 0])
    assert terms.item() == 5 * 6 * HORIZON - 1


def test_classes_are_a_softmax_and_its_cross_entropy() -> None:
    """A column a label that sum to one for each step; the loss is torch's, without missing targets."""
    head = HEADS["classes"](3, HORIZON, (), NUM_LABELS)
    numbers = head(torch.randn(5, 6, 3))
    assert numbers.shape == (5, 6, HORIZON, NUM_LABELS)
    torch.testing.assert_close(head.answer(numbers, None).sum(dim=-1), torch.ones(5, 6, HORIZON))
    targets = torch.randint(NUM_LABELS, (5, 6, HORIZON)).double()
    targets[1, 2] = torch.nan
    loss, terms = head.loss(numbers, targets, None)
    known = targets.flatten()[~targets.flatten().isnan()].long()
    logits = numbers.reshape(-1, NUM_LABELS)[~targets.flatten().isnan()]
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, known, reduction="sum"))
    assert terms.item() == 5 * 6 * HORIZON - HORIZON
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("task", "first"),
    [
        ("regression", "quantile"),
        ("binary", "binary"),
        ("classification", "classes"),
        ("next-symbol", "classes"),
    ],
)
def test_every_task_has_a_head(task: str, first: str) -> None:
    """The first of a task's heads is the one that is taken where none is named."""
    assert heads_for(task)[0] == first  # type: ignore[arg-type]
