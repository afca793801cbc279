"""A character model that writes: a text of which the server remembers every letter.

    python -m examples.writer [DIRECTORY]

Next symbol: the forecast is the probability of each character to come. The prompt is read once; each text is
written on a fork of that session, by drawing a character and sending it as the next row.
"""

import sys
from pathlib import Path

import numpy as np

import statecast
from examples.server import serving
from training.settings import TrainSettings
from training.train import train

# A nursery rhyme of the eighteenth century, where each verse holds the one before.
_LINES = (
    "the malt that lay in",
    "the rat that ate",
    "the cat that killed",
    "the dog that worried",
    "the cow that tossed",
    "the maiden that milked",
    "the man that kissed",
    "the priest that married",
    "the cock that woke",
)
PROMPT = "this is the cat that "


def rhyme() -> str:
    """Every verse, the house at the end of each."""
    verses = []
    for number in range(len(_LINES) + 1):
        lines = [*reversed(_LINES[:number]), "the house that jack built."]
        verses.append("this is " + "\n".join(lines))
    return "\n".join(verses) + "\n"


def write(client: statecast.Client, num_characters: int, seed: int, temperature: float = 0.5) -> str:
    """Go on from the prompt on a fork of its session; a low temperature keeps to what is likely."""
    model, name = client.model("writer"), f"text-{seed}"
    client.sessions(model).fork("prompt", name)
    session, random = client.session(model, name), np.random.default_rng(seed)
    written, character = "", PROMPT[-1]
    for _ in range(num_characters):
        probabilities = session.forecast(character).forecast.probabilities[0].astype(np.float64)
        weights = probabilities ** (1 / temperature)
        character = str(random.choice(model.labels, p=weights / weights.sum()))
        written += character
    return written


def main(directory: Path, max_epochs: int = 6, num_characters: int = 60) -> list[str]:
    """Two texts that go on from the prompt."""
    file = directory / "rhyme.txt"
    file.write_text(rhyme(), encoding="utf-8")
    train(
        TrainSettings.build(
            {
                "data": file,
                "output": directory / "models" / "writer",
                "cell": "lstm",
                "hidden_size": 64,
                "max_epochs": max_epochs,
                "learning_rate": 0.01,
                "batch_size": 8,
            }
        )
    )
    with serving(directory / "models") as client:
        # Its last character is sent on each fork, where it brings the first forecast.
        client.session("writer", "prompt").observe(list(PROMPT[:-1]))
        return [PROMPT + write(client, num_characters, seed) for seed in (1, 2)]


if __name__ == "__main__":
    chosen = Path(sys.argv[1] if len(sys.argv) > 1 else "examples-output")
    chosen.mkdir(parents=True, exist_ok=True)
    for text in main(chosen, max_epochs=30, num_characters=300):
        print(text, end="\n\n")
