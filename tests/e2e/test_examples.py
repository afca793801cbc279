"""The examples go the whole way: file, training, export, server, reply."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Imports an example: they stand beside the packages, and are part of none."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"examples.{name}")


def test_sine_wave_is_learned_and_drawn(example: Callable[[str], Any], tmp_path: Path) -> None:
    """Fifty LSTM units forecast ten steps of a wave far better than its last value does."""
    error, of_last_value = example("sine_wave").main(tmp_path)
    assert error < of_last_value / 5
    assert (tmp_path / "sine.png").read_bytes().startswith(b"\x89PNG")


def test_texts_are_classified_by_the_server(example: Callable[[str], Any], tmp_path: Path) -> None:
    """Sentences that were not trained on are given their language, as the likeliest of three labels."""
    answers = example("text_classifier").main(tmp_path)
    assert [language for language, _ in answers.values()] == ["english", "german", "spanish"]
    assert all(1 / 3 < probability <= 1 for _, probability in answers.values())


def test_a_character_model_writes(example: Callable[[str], Any], tmp_path: Path) -> None:
    """Forks of one session write on from the same prompt, each by its own draws, in words of the rhyme."""
    writer = example("writer")
    first, second = writer.main(tmp_path)
    assert first.startswith(writer.PROMPT)
    assert second.startswith(writer.PROMPT)
    assert first != second
    words = first[len(writer.PROMPT) :].split()[:-1]
    assert sum(word in writer.rhyme().split() for word in words) > len(words) / 2


def test_load_is_forecast_a_day_ahead(example: Callable[[str], Any], tmp_path: Path) -> None:
    """An encoder-decoder with a categorical feature beats the day before, over a week it has not seen."""
    error, of_day_before = example("hourly_load").main(tmp_path)
    assert error < of_day_before


def test_air_passengers_are_rolled_out(example: Callable[[str], Any], tmp_path: Path) -> None:
    """Sixty-four paths of twelve months each beat the year before."""
    error, of_year_before = example("air_passengers").main(tmp_path)
    assert error < of_year_before
    assert (tmp_path / "passengers.png").exists()
