"""The step between rows: pandas' frequency aliases, without pandas and without torch."""

import re
from dataclasses import dataclass
from typing import Self, cast

import numpy as np
import numpy.typing as npt

_US = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "D": 86_400_000_000, "W": 604_800_000_000}
_MONTHS = {"MS": 1, "ME": 1, "M": 1, "QS": 3, "QE": 3, "Q": 3, "YS": 12, "YE": 12, "Y": 12}
_DAY_US = _US["D"]
# Rows that a model can look back on; each is eight bytes of a session's state.
LONGEST_WINDOW = 1344
KNOWN = (*_US, "B", *_MONTHS)


class FrequencyError(ValueError):
    """A frequency that no alias names."""

    def __init__(self, found: str) -> None:
        self.found = found
        self.expected = f"a number (optional) and one of {', '.join(KNOWN)}, such as h, 15min or W-SUN"
        super().__init__(f"frequency {found!r}: expected {self.expected}")


@dataclass(frozen=True)
class Frequency:
    """`multiple` times `unit`; an anchor such as W-SUN only names the unit's day."""

    multiple: int
    unit: str

    @classmethod
    def parse(cls, alias: str) -> Self:
        """From pandas' alias, such as `h`, `15min`, `W-SUN`, `MS`.

        Raises:
            FrequencyError: no such alias.
        """
        match = re.fullmatch(r"(\d*)([A-Za-z]+)(-[A-Z]{3})?", alias)
        if not match or match[2] not in KNOWN or match[1].strip("0") == "" != match[1]:
            raise FrequencyError(alias)
        if match[3] and match[2] not in ("W", "QS", "QE", "Q", "YS", "YE", "Y"):
            raise FrequencyError(alias)
        return cls(int(match[1] or 1), match[2])

    @property
    def season_length(self) -> int:
        """Steps in the season people expect at this frequency; 1 where there is none.

        A day for hours and minutes, a week for days, a year for weeks, months and quarters.
        """
        whole = {"s": 60, "min": 1440, "h": 24, "D": 7, "B": 5, "W": 52}
        steps = whole.get(self.unit, 12 // _MONTHS.get(self.unit, 12))
        return max(steps // self.multiple, 1) if steps % self.multiple == 0 else 1

    @property
    def seasons(self) -> tuple[int, ...]:
        """Steps in each season worth looking back to, the shortest first; (1,) where there is none.

        A day and a week for minutes and hours, else an hour or a minute, a week for days, a year for weeks
        and longer; none of more steps than a window can show twice.
        """
        longer = {"s": (3600,), "min": (1440, 10080), "h": (24, 168)}
        known = longer.get(self.unit, (self.season_length * self.multiple,))
        shorter = {"s": (60,), "min": (60,)}.get(self.unit, ())
        return self._within_a_window(known) or self._within_a_window(shorter) or (1,)

    def _within_a_window(self, seasons: tuple[int, ...]) -> tuple[int, ...]:
        whole = [steps // self.multiple for steps in seasons if steps % self.multiple == 0]
        return tuple(steps for steps in whole if 1 < steps <= LONGEST_WINDOW // 2)

    @property
    def mean_step_us(self) -> float:
        """Microseconds from row to row, of months and business days on average."""
        if self.unit in _US:
            return float(self.multiple * _US[self.unit])
        days = 7 / 5 if self.unit == "B" else _MONTHS[self.unit] * 365.2425 / 12
        return self.multiple * days * _DAY_US

    def steps_between(
        self, earlier_us: npt.NDArray[np.int64], later_us: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Whole steps from one time to a later one, to the nearest, at least 1.

        Times are microseconds since 1970-01-01 UTC. A row that comes a little early or late is still
        one step after the row before it; months and years are counted on the calendar.
        """
        if self.unit in _US:
            step = self.multiple * _US[self.unit]
            steps = (later_us - earlier_us + step // 2) // step
        elif self.unit == "B":
            days = [(us // _DAY_US).astype("datetime64[D]") for us in (earlier_us, later_us)]
            steps = np.busday_count(days[0], days[1]).astype(np.int64) // self.multiple
        else:
            step = self.multiple * _MONTHS[self.unit]
            # Month starts and month ends of one month are one month apart from the next one's alike.
            steps = (_month(later_us) - _month(earlier_us) + step // 2) // step
        return cast(npt.NDArray[np.int64], np.maximum(steps, 1))

    def is_next(self, earlier_us: int, later_us: int) -> bool:
        """Whether a later time is one step after an earlier one: `steps_between` for two times."""
        if self.unit in _US:
            step = self.multiple * _US[self.unit]
            return (later_us - earlier_us + step // 2) // step <= 1
        return bool(self.steps_between(np.array([earlier_us]), np.array([later_us]))[0] == 1)

    def step_forward(self, time_us: int, steps: int) -> int:
        """The time `steps` after `time_us`, both microseconds since 1970-01-01 UTC."""
        if self.unit in _US:
            return time_us + steps * self.multiple * _US[self.unit]
        day, rest = divmod(time_us, _DAY_US)
        date = np.datetime64(day, "D")
        if self.unit == "B":
            moved = np.busday_offset(date, steps * self.multiple, roll="backward")
        else:
            moved = self._months_forward(date, steps * self.multiple * _MONTHS[self.unit])
        return int(moved.astype("datetime64[D]").astype(np.int64)) * _DAY_US + rest

    def _months_forward(self, date: np.datetime64, months: int) -> np.datetime64:
        month = date.astype("datetime64[M]")
        target_start = (month + months).astype("datetime64[D]")
        target_end = (month + months + 1).astype("datetime64[D]") - 1
        was_month_end = (month + 1).astype("datetime64[D]") - 1 == date
        if was_month_end and not self.unit.endswith("S"):
            return cast(np.datetime64, target_end)
        return cast(np.datetime64, min(target_start + (date - month.astype("datetime64[D]")), target_end))


def _month(time_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    months = np.asarray(time_us).astype("datetime64[us]").astype("datetime64[M]")
    return cast(npt.NDArray[np.int64], months.astype(np.int64))
