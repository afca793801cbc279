"""What a forecast starts from: seasonal naive forecasts, weighed by how they did lately.

Shapes: B batch, R rows that a forecast is made at, N = R B, H hidden, K steps, L rows of the window, J
candidates.
"""

import math
from contextlib import nullcontext

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
    takes the last value instead), starts at zero, and is let through step by
    step by the recurrence.
    """

    places: Tensor
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
        places, errors_of = self._candidates(window)
        self.num_candidates = len(errors_of)
        self.register_buffer("places", torch.tensor(places), persistent=False)
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
        """The places in the window of seasonal naive forecasts; of each candidate the lag of its error."""
        steps = range(1, self.horizon + 1)
        places = [
            window.length - 1 + step - season * math.ceil(step / season)
            for season in window.seasons
            for step in steps
        ]
        seasons = [*window.seasons, *(season for season, _ in self.means)]
        return places, [window.lags.index(season) for season in seasons]

    def forward(self, windows: Tensor, habits: Habits, hidden: Tensor) -> Unit:
        """What the head's numbers are to be expressed in.

        What is said of a window has the rows and the sessions as its last axis, R by B: a long axis, where
        those of steps and candidates are short.

        Args:
            windows: (L, N), see `Window.windows`.
            habits: of the same rows.
            hidden: (B, R, H).

        Returns:
            The unit: location (B, R, K), scale and mean (B, R, 1), float64.
        """
        (window,) = self.window
        scale = habits.errors[..., window.unit_lag : window.unit_lag + 1]
        shapes = window.shapes(windows, _last(habits.level))
        said = hidden.transpose(0, 1).flatten(0, 1)
        errors = _last(torch.log(habits.errors / scale).to(torch.float32)).index_select(0, self.errors_of)
        weights = _linear(self.weights, said).reshape(self.num_candidates, self.horizon, -1)
        weights = weights - (self.beta * errors).unsqueeze(1)
        # A softmax in parts: ONNX Runtime turns all about for one that is not along the last axis.
        weights = torch.exp(weights - weights.detach().amax(dim=0, keepdim=True))
        location = (weights * self._values(shapes)).sum(dim=0) / weights.sum(dim=0)
        if self.map is not None and self.gate is not None:
            mapped = self._mapped(self.map, shapes)
            location = location + torch.sigmoid(_linear(self.gate, said)) * mapped
        location = location.transpose(0, 1).reshape(-1, hidden.shape[0], self.horizon).transpose(0, 1)
        return Unit(habits.level + location.to(torch.float64), scale, habits.level)

    def _values(self, shapes: Tensor) -> Tensor:
        """What each candidate forecasts, (J, K, N)."""
        values = [shapes.index_select(0, self.places)]
        for season, num in self.means:
            phases = shapes[-num * season :].reshape(num, season, -1).mean(dim=0)
            repeated = [phases] * math.ceil(self.horizon / season)
            values.append(torch.cat(repeated, dim=0)[: self.horizon])
        return torch.cat(values, dim=0).reshape(self.num_candidates, self.horizon, -1)

    def _mapped(self, linear: nn.Linear, shapes: Tensor) -> Tensor:
        """(K, N). Raw units are no numbers for half precision."""
        kind = shapes.device.type
        # Only where there is one: the exporter cannot leave what never was entered.
        with torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext():
            return (linear.weight @ shapes) * _MAP_SCALE


def _linear(linear: nn.Linear, rows: Tensor) -> Tensor:
    """Rows (N, I) -> (O, N)."""
    return torch.addmm(linear.bias.unsqueeze(1), linear.weight, rows.transpose(0, 1))


def _last(of_rows: Tensor) -> Tensor:
    """(B, R, n) -> (n, R B)."""
    return of_rows.permute(2, 1, 0).flatten(1, 2)
