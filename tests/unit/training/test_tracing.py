"""A trace that is translated as it is, or broken down where it must be."""

import torch
from torch import Tensor, nn

from training.tracing import cheaply, traced

_ATEN = torch.ops.aten
_DYNAMIC = ({0: torch.export.Dim.DYNAMIC},)


class _Simple(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (1.0 - x[:, :]).to(torch.float64) * 2.0


class _Changing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clone().add_(1.0)


def _program(module: nn.Module) -> torch.export.ExportedProgram:
    with cheaply():
        return traced(module, (torch.ones(3, 2),), _DYNAMIC)


def _targets(program: torch.export.ExportedProgram) -> set[object]:
    return {node.target for node in program.graph.nodes if node.op == "call_function"}


def test_a_simple_trace_is_not_traced_again() -> None:
    """What has no translation is written otherwise, a slice of everything is dropped; the answer stays."""
    program = _program(_Simple())
    assert program.run_decompositions({}) is program
    found = _targets(program)
    assert {_ATEN._to_copy.default, _ATEN.sub.Tensor} <= found
    assert found.isdisjoint({_ATEN.to.dtype, _ATEN.rsub.Scalar, _ATEN.slice.Tensor})
    x = torch.rand(5, 2)
    torch.testing.assert_close(program.module()(x), _Simple()(x))


def test_what_the_exporter_wants_broken_down_is() -> None:
    """An operator that the exporter has a rule for is replaced by that rule."""
    program = _program(_Simple())
    broken = program.run_decompositions({_ATEN.mul.Tensor: lambda x, y: x + x})
    assert broken is not program
    assert _ATEN.mul.Tensor not in _targets(broken)


def test_an_operator_that_changes_its_input_is_broken_down() -> None:
    """A graph has no place for what is changed in place."""
    program = _program(_Changing())
    assert _ATEN.add_.Tensor in _targets(program)
    assert _ATEN.add_.Tensor not in _targets(program.run_decompositions({}))
