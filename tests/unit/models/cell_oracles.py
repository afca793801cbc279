"""The cells' equations in numpy, float64, a row at a time: written from the papers, not from the modules.

Each oracle takes one layer's weights by name, a row (B, I) and the states before it by name, (B, H) each,
and returns everything the equations name, the states after the row among it.
"""

from collections.abc import Callable, Mapping

import numpy as np

Array = np.ndarray
Named = Mapping[str, Array]
Oracle = Callable[[Named, Array, Named], dict[str, Array]]


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def _sums(w: Named, x: Array, h: Array, num_gates: int) -> list[Array]:
    """W x_t + U h_{t-1} + b of torch's fused layers, gate by gate."""
    rows = x @ w["weight_ih_l0"].T + w["bias_ih_l0"] + h @ w["weight_hh_l0"].T + w["bias_hh_l0"]
    return np.split(rows, num_gates, axis=-1)


def _linear(w: Named, name: str, x: Array) -> Array:
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)


def _elman(activation: Callable[[Array], Array]) -> Oracle:
    def oracle(w: Named, x: Array, s: Named) -> dict[str, Array]:
        return {"hidden": activation(_sums(w, x, s["hidden"], 1)[0])}

    return oracle


def lstm(w: Named, x: Array, s: Named) -> dict[str, Array]:
    i, f, g, o = _sums(w, x, s["hidden"], 4)
    return _lstm_from(sigmoid(f), sigmoid(i), np.tanh(g), sigmoid(o), s["cell"])


def _lstm_from(forget: Array, input: Array, candidate: Array, output: Array, cell: Array) -> dict[str, Array]:
    cell = forget * cell + input * candidate
    hidden = output * np.tanh(cell)
    gates = {"forget": forget, "input": input, "candidate": candidate, "output": output}
    return gates | {"cell": cell, "hidden": hidden}


def _lstm_reference(w: Named, x: Array, s: Named) -> dict[str, Array]:
    seen = np.concatenate([s["hidden"], x], axis=-1)
    f, i, o = (sigmoid(_linear(w, f"{name}_gate", seen)) for name in ("forget", "input", "output"))
    return _lstm_from(f, i, np.tanh(_linear(w, "candidate", seen)), o, s["cell"])


def _gru(w: Named, x: Array, s: Named) -> dict[str, Array]:
    h = s["hidden"]
    rows = np.split(x @ w["weight_ih_l0"].T + w["bias_ih_l0"], 3, axis=-1)
    past = np.split(h @ w["weight_hh_l0"].T + w["bias_hh_l0"], 3, axis=-1)
    r, z = sigmoid(rows[0] + past[0]), sigmoid(rows[1] + past[1])
    return {"hidden": (1 - z) * np.tanh(rows[2] + r * past[2]) + z * h}


def _jordan(w: Named, x: Array, s: Named) -> dict[str, Array]:
    hidden = np.tanh(_linear(w, "input", x) + _linear(w, "feedback", s["output"]))
    return {"output": np.tanh(_linear(w, "readout", hidden))}


def _peephole(w: Named, x: Array, s: Named) -> dict[str, Array]:
    sums = x @ w["weight_ih"].T + s["hidden"] @ w["weight_hh"].T + w["bias"]
    i, f, g, o = np.split(sums, 4, axis=-1)
    p_i, p_f, p_o = w["peephole"]
    c = sigmoid(f + p_f * s["cell"]) * s["cell"] + sigmoid(i + p_i * s["cell"]) * np.tanh(g)
    return {"cell": c, "hidden": sigmoid(o + p_o * c) * np.tanh(c)}


def _min_lstm(w: Named, x: Array, s: Named) -> dict[str, Array]:
    f, i = sigmoid(_linear(w, "forget", x)), sigmoid(_linear(w, "input", x))
    return {"hidden": f / (f + i) * s["hidden"] + i / (f + i) * _linear(w, "candidate", x)}


def _min_gru(w: Named, x: Array, s: Named) -> dict[str, Array]:
    z = sigmoid(_linear(w, "update", x))
    return {"hidden": (1 - z) * s["hidden"] + z * _linear(w, "candidate", x)}


def _slstm(w: Named, x: Array, s: Named) -> dict[str, Array]:
    i, f, z, o = np.split(_linear(w, "input", x) + _linear(w, "recurrence", s["hidden"]), 4, axis=-1)
    m = np.maximum(np.log(sigmoid(f)) + s["stabiliser"], i)
    forget, input = np.exp(np.log(sigmoid(f)) + s["stabiliser"] - m), np.exp(i - m)
    c = forget * s["cell"] + input * np.tanh(z)
    n = forget * s["normaliser"] + input
    return {"stabiliser": m, "cell": c, "normaliser": n, "hidden": sigmoid(o) * c / n}


def _bidirectional(one_way: Oracle) -> Oracle:
    def oracle(w: Named, x: Array, s: Named) -> dict[str, Array]:
        window = np.concatenate([s["recent"], x[:, None]], axis=1)
        carried = one_way(_of_layer(w, "ahead"), window[:, 0], s)
        walked = {
            name: np.zeros((len(x), w["back.layers.0.weight_hh_l0"].shape[1])) for name in ("hidden", "cell")
        }
        for row in reversed(range(window.shape[1])):
            walked = walked | one_way(_of_layer(w, "back"), window[:, row], walked)
        output = np.concatenate([carried["hidden"], walked["hidden"]], axis=-1)
        output = output + window[:, 0] if w["residual"] else output
        return carried | {"output": output, "recent": window[:, 1:]}

    return oracle


def _of_layer(w: Named, direction: str) -> Named:
    prefix = f"{direction}.layers.0."
    return {name.removeprefix(prefix): value for name, value in w.items() if name.startswith(prefix)}


ORACLES: dict[str, Oracle] = {
    "lstm": lstm,
    "gru": _gru,
    "elman": _elman(np.tanh),
    "elman-relu": _elman(lambda x: np.maximum(x, 0.0)),
    "jordan": _jordan,
    "lstm-reference": _lstm_reference,
    "peephole": _peephole,
    "min-lstm": _min_lstm,
    "min-gru": _min_gru,
    "slstm": _slstm,
    "bidirectional": _bidirectional(lstm),
    "bidirectional-gru": _bidirectional(_gru),
}
