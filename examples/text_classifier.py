"""Which language is this? Characters in, one label for the whole text out.

    python -m examples.text_classifier [DIRECTORY]

Many to one: each text is a series of characters with one label. The forecast after a character is what the
model holds the text to be so far, so a long text could be answered before its end.
"""

import csv
import sys
from pathlib import Path

from examples.server import serving
from training.settings import TrainSettings
from training.train import train

TEXTS = {
    "english": (
        "the weather is nice today|where is the station|i would like a cup of tea|what time does it start|"
        "this is the house of my father|they were talking about the weather|the children play in the garden|"
        "we have been waiting for an hour|could you help me with this|she said that she would come|"
        "the book is on the table|it was the best of times|there is nothing to be done|"
        "with the help of friends|"
        "he thought about what he had heard|the train to the north was late"
    ),
    "german": (
        "das wetter ist heute schön|wo ist der bahnhof|ich hätte gern eine tasse tee|wann fängt es an|"
        "das ist das haus meines vaters|sie sprachen über das wetter|die kinder spielen im garten|"
        "wir warten schon eine stunde|können sie mir dabei helfen|sie sagte dass sie kommen würde|"
        "das buch liegt auf dem tisch|es war die beste aller zeiten|da ist nichts zu machen|"
        "mit hilfe von freunden|"
        "er dachte über das gehörte nach|der zug nach norden hatte verspätung"
    ),
    "spanish": (
        "hoy hace buen tiempo|dónde está la estación|quisiera una taza de té|a qué hora empieza|"
        "esta es la casa de mi padre|hablaban del tiempo que hacía|los niños juegan en el jardín|"
        "llevamos una hora esperando|puede usted ayudarme con esto|ella dijo que vendría|"
        "el libro está sobre la mesa|era el mejor de los tiempos|no hay nada que hacer|"
        "con la ayuda de los amigos|"
        "pensaba en lo que había oído|el tren del norte llegó tarde"
    ),
}
UNSEEN = ("the house is there", "wir sprechen über das haus", "la casa de los niños")


def main(directory: Path, max_epochs: int = 10) -> dict[str, tuple[str, float]]:
    """Of each unseen text, the likeliest language and its probability, as the server says."""
    file = directory / "languages.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["text", "language"])
        rows.writerows((text, language) for language, texts in TEXTS.items() for text in texts.split("|"))
    train(
        TrainSettings.build(
            {
                "data": file,
                "output": directory / "models" / "language",
                "text_column": "text",
                "target": "language",
                "task": "classification",
                "cell": "gru",
                "hidden_size": 32,
                "max_epochs": max_epochs,
                "learning_rate": 0.01,
                "validation_fraction": 0.2,
            }
        )
    )
    answers = {}
    with serving(directory / "models") as client:
        model = client.model("language")
        for text in UNSEEN:
            known = [character for character in text if character in model.features[0].index]
            forecast = client.session(model, text).forecast(known).forecast
            answers[text] = (forecast.label, float(forecast.probability(forecast.label)[0]))
    return answers


if __name__ == "__main__":
    chosen = Path(sys.argv[1] if len(sys.argv) > 1 else "examples-output")
    chosen.mkdir(parents=True, exist_ok=True)
    for unseen, (language, probability) in main(chosen, max_epochs=30).items():
        print(f"{unseen!r}: {language}, {probability:.0%}")
