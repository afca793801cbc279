"""Options that depend on each other: the task, what it predicts, its head, its decoder and its file."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from training.settings import TrainSettings

DECODERS = ("direct", "recurrent", "roll-out")
# The first of each task is taken where none is named.
HEADS_OF = {
    "regression": ("quantile", "gaussian", "student-t", "negative-binomial"),
    "binary": ("binary",),
    "classification": ("classes",),
    "next-symbol": ("classes",),
}


def with_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """What follows from the options that were given, where it was not given itself.

    A plain text is there to be written on, a column of texts to be labelled; a label is that of the row at
    hand, one step; characters are a second apart, as they have no times. Weights that have learned are
    not to be thrown about by large steps.
    """
    values = dict(given)
    is_text = str(values.get("data", "")).endswith(".txt")
    has_texts = values.get("text_column") is not None
    if is_text or has_texts:
        values.setdefault("task", "next-symbol" if is_text else "classification")
        values.setdefault("freq", "s")
        values.setdefault("calendar", False)
    task = values.get("task", "regression")
    if task in ("binary", "classification"):
        values.setdefault("predicts", "series" if has_texts else "row")
    if task == "next-symbol" or values.get("predicts", "ahead") != "ahead":
        values.setdefault("horizon", 1)
    if task in HEADS_OF:
        values.setdefault("head", HEADS_OF[task][0])
    if values.get("from_version") is not None:
        values.setdefault("learning_rate", 1e-3)
    return values


def check_task(settings: "TrainSettings") -> None:
    """Hold the options against each other.

    Raises:
        ValueError: names the option, what was expected and what was found.
    """
    for rules in (_task_rules, _decoder_rules, _watching_rules, _role_rules, _text_rules):
        for holds, option, expected, found in rules(settings):
            if not holds:
                raise ValueError(f"{option}: expected {expected}, found {found!r}")


# Whether it holds, its option, what is expected, what was found.
_Rule: TypeAlias = tuple[bool, str, str, object]


def _task_rules(s: "TrainSettings") -> Iterator[_Rule]:
    """Of what is forecast, by which head, fitted how."""
    heads, is_ahead = HEADS_OF[s.task], s.predicts == "ahead"
    yield s.head in heads, "head", f"for task {s.task}, one of {', '.join(heads)}", s.head
    has_labels = s.task in ("binary", "classification")
    yield is_ahead or has_labels, "predicts", f"ahead for task {s.task}", s.predicts
    yield is_ahead or s.horizon == 1, "horizon", f"1, as {s.predicts} is predicted", s.horizon
    waits = f"more than the {s.lag} rows that the cell waits for"
    yield not is_ahead or s.lag < s.horizon, "horizon", waits, s.horizon
    features = f"features only, as {s.target} is what is predicted"
    yield is_ahead or s.target not in s.required, "required", features, s.target
    yield s.target not in s.categorical, "categorical", "covariates, not the target", s.target
    yield s.devices == 1 or not s.refit, "refit", "no, with several devices", s.refit


def _decoder_rules(s: "TrainSettings") -> Iterator[_Rule]:
    """Of a roll-out, which feeds on its own forecasts."""
    rolls_out = s.decoder == "roll-out"
    is_direct = f"direct or recurrent for task {s.task}"
    yield s.task == "regression" or not rolls_out, "decoder", is_direct, s.decoder
    waits = "direct or recurrent for a cell that waits for rows"
    yield not s.lag or not rolls_out, "decoder", waits, s.decoder
    yield s.members == 1 or not rolls_out, "members", "1 for decoder roll-out", s.members
    reads_none = f"1 for decoder {s.decoder}, which reads no forecasts"
    yield s.teacher_forcing == 1 or rolls_out, "teacher_forcing", reads_none, s.teacher_forcing


def _watching_rules(s: "TrainSettings") -> Iterator[_Rule]:
    """Of what goes by a session's own errors."""
    can = s.task == "regression" and s.decoder != "roll-out" and not s.lag
    for option, given in (("calibrate", s.calibrate), ("anomaly", s.anomaly)):
        expected = "no, as it takes a regression that is neither rolled out nor waits for rows"
        yield not given or can, option, expected, given
    levels = "two or more, as calibrate and anomaly go by the distance between them"
    watches = s.calibrate or s.anomaly
    yield not watches or len(s.quantile_levels) > 1, "quantile_levels", levels, s.quantile_levels


def _text_rules(s: "TrainSettings") -> Iterator[_Rule]:
    """Of a plain text, and of a column of texts."""
    is_text, has_texts = s.data.suffix == ".txt", s.text_column is not None
    yield not is_text or s.task == "next-symbol", "task", "next-symbol for a plain text", s.task
    yield not (is_text and has_texts), "text_column", "a CSV file as data", str(s.data)
    one_label = "series, as each text has one label"
    yield not has_texts or s.predicts == "series", "predicts", one_label, s.predicts


def _role_rules(s: "TrainSettings") -> Iterator[_Rule]:
    """Of columns that are not past."""
    has_columns = s.data.suffix != ".txt" and s.text_column is None
    for option, names in (("future", s.future), ("static", s.static)):
        yield s.target not in names, option, "covariates, not the target", s.target
        yield has_columns or not names, option, "no columns, as a text has none", ", ".join(names)
    both = sorted({*s.future} & {*s.static})
    yield not both, "static", "covariates that are not also known ahead (future)", ", ".join(both)
    ahead = s.predicts == "ahead" or not s.future
    yield ahead, "future", f"no columns, as {s.predicts} is predicted, not rows to come", ", ".join(s.future)
    yield has_columns or not s.calendar, "calendar", "no calendar, as characters have no times", s.calendar
