"""What a forecast starts from: seasonal naive forecasts, weighed by how they did lately.

Shapes: B batch, R rows that a forecast is made at, H hidden, K steps, L rows of the window, J candidates.
"""

import math

import torch
from torch import Tensor, nn

from models.scaling import Unit
from models.window import Habits, Window

# Seasons that a mean of one phase goes back; more say what the level already says.
_MOST_SEASONS = 7
# A map of L values moves its sum by L times a step of the optimiser: smaller numbers, smaller steps.
_MAP_SCALE = 0.03


class SeasonalSkip(nn.Module):
    """The location of each step: a weighed mean of candidates, and a learned map of the window.

    Candidates of each season: the value one season before the step (seasonal naive), and the mean of that
    phase over the last seasons. Their weights are a softmax of -beta log(error of that season's naive
    forecast in the window) plus what the recurrence says; so at first the better season wins, and a head's
    zero is a seasonal naive forecast. With one step as its season that is persistence.

    The map is linear in the window about its level (DLinear, Zeng et al. 2023; SegRNN, Lin et al. 2023,
    takes the last value instead), in units of the naive error, starts at zero, and is let through step by
    step by the recurrence.
    """

    sources: Tensor
    errors_of: Tensor

    def __init__(self, window: Window, hidden_size: int, horizon: int, maps_window: bool) -> None:
        super().__init__()
        self.window = [window]  # in a list: its module is the inputs', not this one's
        self.horizon = horizon
        self.means = [
            (season, min(window.length // season, _MOST_SEASONS))
            for season in window.seasons
            if window.length >= 2 * season
        ]
        sources, errors_of = self._candidates(window)
        self.num_candidates = len(errors_of)
        self.register_buffer("sources", torch.tensor(sources), persistent=False)
        self.register_buffer("errors_of", torch.tensor(errors_of), persistent=False)
        self.weights = nn.Linear(hidden_size, horizon * self.num_candidates)
        self.beta = nn.Parameter(torch.tensor([2.0]))
        self.map = nn.Linear(window.length, horizon, bias=False) if maps_window else None
        self.gate = nn.Linear(hidden_size, horizon) if maps_window else None
        self._start_small()

    def _start_small(self) -> None:
        with torch.no_grad():
            self.weights.weight.mul_(0.1)
            self.weights.bias.zero_()
            if self.map is not None and self.gate is not None:
                self.map.weight.zero_()
                self.gate.weight.mul_(0.1)
                self.gate.bias.fill_(-1.0)

    def _candidates(self, window: Window) -> tuple[list[int], list[int]]:
        """For each candidate and step the place of its value, and for each candidate the lag of its error.

        Places count through the window and then through the means of phases, season by season.
        """
        sources: list[int] = []
        errors_of = []
        steps = range(1, self.horizon + 1)
        for season in window.seasons:
            sources += [window.length - 1 + step - season * math.ceil(step / season) for step in steps]
            errors_of.append(window.lags.index(season))
        first = window.length
        for season, _ in self.means:
            sources += [first + (step - 1) % season for step in steps]
            errors_of.append(window.lags.index(season))
            first += season
        return sources, errors_of

    def forward(self, shapes: Tensor, habits: Habits, hidden: Tensor) -> Unit:
        """What the head's numbers are to be expressed in.

        Args:
            shapes: (B, R, L), see `Window.shapes`.
            habits: of the same rows.
            hidden: (B, R, H).

        Returns:
            The unit: location (B, R, K), scale and mean (B, R, 1), float64.
        """
        (window,) = self.window
        phases = [
            shapes[..., -num * season :].reshape(*shapes.shape[:2], num, season).mean(dim=-2)
            for season, num in self.means
        ]
        values = torch.cat([shapes, *phases], dim=-1).index_select(-1, self.sources)
        values = values.reshape(*shapes.shape[:2], self.num_candidates, self.horizon)
        scale = habits.errors[..., window.unit_lag : window.unit_lag + 1]
        known = torch.log(habits.errors / scale).to(torch.float32).index_select(-1, self.errors_of)
        said = self.weights(hidden).reshape(values.shape)
        weights = torch.softmax(said - self.beta * known.unsqueeze(-1), dim=-2)
        location = (weights * values).sum(dim=-2)
        if self.map is not None and self.gate is not None:
            location = location + torch.sigmoid(self.gate(hidden)) * self.map(_MAP_SCALE * shapes)
        return Unit(habits.level + scale * location.to(torch.float64), scale, habits.level)
