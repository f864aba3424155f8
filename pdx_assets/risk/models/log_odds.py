"""PDs of finished graphs as log-odds, in numpy and in ONNX alike: what a blend and a recalibration are made of.

Everything here is float64: two graphs behind one another then agree with numpy to the last bit of a float32 PD.
"""

from __future__ import annotations

import numpy as np

from pdx_assets.risk.errors import BundleError
from pdx_assets.risk.models.onnx_graph import IR_VERSION, ML_OPSET, OPSET, Graph

INPUTS = ("numbers", "categories")


def log_odds(pd: np.ndarray, clip: float) -> np.ndarray:
    """float64 [n] log-odds of PDs held within [clip, 1 - clip]."""
    held = np.clip(pd.astype(np.float64), clip, 1 - clip)
    return np.asarray(np.log(held) - np.log(1 - held))


def log_odds_in(graph: Graph, pd: str, clip: float) -> str:
    """The same of a node's float32 PDs [N]; the name of the float64 log-odds."""
    wide = graph.cast(pd, np.float64)
    held = graph.add("Clip", wide, graph.constant(np.array(clip)), graph.constant(np.array(1 - clip)))
    rest = graph.add("Sub", graph.constant(np.array(1.0)), held)
    return graph.add("Sub", graph.add("Log", held), graph.add("Log", rest))


def include(graph: Graph, content: bytes, prefix: str) -> str:
    """Write a whole bundle's graph into another one; inputs are shared, every other name gets the prefix.

    Returns:
        The name of its float32 PDs [N].

    Raises:
        BundleError: the file is no graph as PDx writes them.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load_from_string(content)
    except DecodeError as error:
        raise BundleError(f"A graph cannot be read: {error}", expected="an ONNX file that PDx wrote") from error
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    inputs = {entry.name for entry in model.graph.input}
    outputs = [entry.name for entry in model.graph.output]
    known = opsets == {"": OPSET, "ai.onnx.ml": ML_OPSET} and model.ir_version == IR_VERSION
    if not known or not inputs <= set(INPUTS) or outputs != ["pd"]:
        raise BundleError(
            f"A graph of IR {model.ir_version} and opsets {opsets} takes {sorted(inputs)} and gives {outputs}.",
            expected=f"IR {IR_VERSION}, opsets {OPSET} and {ML_OPSET}, inputs of {list(INPUTS)} and the output pd",
            remedy="derive the model again with this version of pdx-assets",
        )

    def renamed(name: str) -> str:
        return name if name in inputs or not name else f"{prefix}{name}"

    for node in model.graph.node:
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
    for constant in model.graph.initializer:
        constant.name = renamed(constant.name)
    graph.nodes.extend(model.graph.node)
    graph.constants.extend(model.graph.initializer)
    return renamed("pd")
