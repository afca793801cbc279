"""A module's trace, ready for translation to ONNX without being traced a second time.

The exporter of torch 2.13 traces a module and then, to break its operators down, traces the trace: two fifths
of its time. A forecaster's operators can be translated as they are but for a few, which are put right here.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch._dynamo
from torch import nn
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

_ATEN = torch.ops.aten
# The end of a slice that has none.
_NO_END = 2**63 - 1


@contextmanager
def cheaply() -> Iterator[None]:
    """Shapes are worked out as they come: looking them up takes torch 2.13 half the time of a trace."""
    with torch._dynamo.config.patch(fake_tensor_cache_enabled=False):
        yield


def traced(module: nn.Module, arguments: tuple[Any, ...], dynamic_shapes: tuple[Any, ...]) -> ExportedProgram:
    """The program of a module in evaluation mode; it is broken down only where it must be."""
    # As torch.onnx.export traces: not by reading bytecode.
    program = torch.export.export(
        module,
        arguments,
        dynamic_shapes=dynamic_shapes,
        strict=False,
        prefer_deferred_runtime_asserts_over_guards=True,
    )
    break_down = program.run_decompositions

    def unless_simple(table: Mapping[Any, Callable[..., Any]]) -> ExportedProgram:
        _simplify(program.graph_module)
        nodes = [node for each in _modules(program.graph_module) for node in each.graph.nodes]
        targets = {node.target for node in nodes if node.op == "call_function"}
        is_simple = targets.isdisjoint(table) and not any(map(_changes_its_input, targets))
        return program if is_simple else break_down(dict(table))

    # In the instance, where the exporter calls it with what it cannot translate.
    program.__dict__["run_decompositions"] = unless_simple
    return program


def _modules(module: GraphModule) -> list[GraphModule]:
    """The graph and the bodies within it."""
    return [each for each in module.modules() if isinstance(each, GraphModule)]


def _simplify(module: GraphModule) -> None:
    """Write what has no translation as what has one, and drop what does nothing."""
    for each in _modules(module):
        for node in list(each.graph.nodes):
            if node.target is _ATEN.to.dtype:
                node.target, node.args, node.kwargs = (
                    _ATEN._to_copy.default,
                    node.args[:1],
                    {"dtype": node.args[1]},
                )
            elif node.target is _ATEN.rsub.Scalar:
                node.target, node.args = _ATEN.sub.Tensor, (node.args[1], node.args[0])
            elif node.target is _ATEN.detach_.default or _is_whole(node):
                node.replace_all_uses_with(node.args[0])
                each.graph.erase_node(node)
        each.recompile()


def _changes_its_input(target: Any) -> bool:
    return isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable


def _is_whole(node: Node) -> bool:
    """Whether it is a slice of everything."""
    if node.target is not _ATEN.slice.Tensor:
        return False
    start, end, step = (*node.args[2:], *(None, None, None))[:3]
    return start in (None, 0) and end in (None, _NO_END) and step in (None, 1)
