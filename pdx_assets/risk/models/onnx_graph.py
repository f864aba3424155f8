"""Writing models as ONNX graphs by hand: one graph from raw inputs to PD, scored by onnxruntime alone.

Only graph building lives here; what an algorithm's own part looks like is in its ``add_to``. Inputs:
``numbers`` float32 [N, k] (NaN = missing) and, where the portfolio has any, ``categories`` string [N, c]
('' = missing). Output: ``pd`` float32 [N].
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from pdx_assets.risk.models.preprocessing import CLIP, DesignColumn, Preprocessing

# Frozen: old enough for every onnxruntime since 1.15, and new enough for float64 trees.
OPSET, ML_OPSET, IR_VERSION = 17, 3, 8


@dataclass
class Graph:
    """Nodes and constants in the order they were added; names are made from that order alone."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def constant(self, array: np.ndarray) -> str:
        """The name of a constant tensor."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", output: str | None = None, **attributes: Any) -> str:
        """The name of a new node's output."""
        from onnx import helper

        name = output or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], domain=domain, **attributes))
        return name

    def cast(self, value: str, dtype: type[np.generic]) -> str:
        from onnx import helper

        return self.add("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def pd_from_log_odds(self, log_odds: str) -> str:
        """float32 PDs of float64 log-odds, as :func:`base.sigmoid`."""
        return self.cast(self.add("Sigmoid", log_odds), np.float32)


@dataclass
class Trees:
    """A tree ensemble in the arrays ONNX wants; thresholds and leaf values of one float type.

    onnxruntime adds the trees in order, in the threshold's own type: with leaf values in the library's
    order and type the sums agree to the last bit, so no pair of loans changes places.
    """

    dtype: type[np.float32] | type[np.float64]
    mode: Literal["BRANCH_LT", "BRANCH_LEQ"]
    aggregate: Literal["SUM", "AVERAGE"]
    count: int = 0
    nodes: list[tuple[np.ndarray, ...]] = field(default_factory=list)
    leaves: list[tuple[np.ndarray, ...]] = field(default_factory=list)

    def add_tree(
        self, left: np.ndarray, right: np.ndarray, feature: np.ndarray, threshold: np.ndarray, value: np.ndarray
    ) -> None:
        """A tree by its nodes: ``left[i] < 0`` makes node i a leaf with ``value[i]``."""
        leaf = left < 0
        index = np.arange(len(left))
        tree = np.full(len(left), self.count)
        zero = np.zeros_like(index)
        columns = (
            tree,
            index,
            np.where(leaf, zero, feature),
            np.where(leaf, zero, left),
            np.where(leaf, zero, right),
            np.where(leaf, 0, threshold).astype(self.dtype),
            np.where(leaf, "LEAF", self.mode),
        )
        self.nodes.append(columns)
        self.leaves.append((tree[leaf], index[leaf], value[leaf].astype(self.dtype)))
        self.count += 1

    def add_to(self, graph: Graph, columns: str) -> str:
        """Write the ensemble behind ``columns`` (of this ensemble's float type); its output is float32 [N, 1]."""
        from onnx import numpy_helper

        tree, node, feature, yes, no, threshold, mode = (
            np.concatenate(parts) for parts in zip(*self.nodes, strict=True)
        )
        leaf_tree, leaf_node, value = (np.concatenate(parts) for parts in zip(*self.leaves, strict=True))
        attributes: dict[str, Any] = {
            "nodes_treeids": tree.tolist(),
            "nodes_nodeids": node.tolist(),
            "nodes_featureids": feature.tolist(),
            "nodes_truenodeids": yes.tolist(),
            "nodes_falsenodeids": no.tolist(),
            "nodes_modes": mode.tolist(),
            "target_treeids": leaf_tree.tolist(),
            "target_nodeids": leaf_node.tolist(),
            "target_ids": [0] * len(leaf_tree),
            "n_targets": 1,
            "aggregate_function": self.aggregate,
        }
        if self.dtype is np.float64:
            attributes["nodes_values_as_tensor"] = numpy_helper.from_array(threshold, "thresholds")
            attributes["target_weights_as_tensor"] = numpy_helper.from_array(value, "values")
        else:
            attributes["nodes_values"] = threshold.tolist()
            attributes["target_weights"] = value.tolist()
        return graph.add("TreeEnsembleRegressor", columns, domain="ai.onnx.ml", **attributes)


def preprocess(graph: Graph, preprocessing: Preprocessing, columns: tuple[DesignColumn, ...]) -> str:
    """Write the preprocessing of the given design columns, in their order; float32 [N, len(columns)].

    Columns must come as in ``Preprocessing.columns``: numbers, then flags, then levels by category.
    """
    parts: list[str] = []
    missing = graph.add("IsNaN", "numbers") if preprocessing.numbers else ""
    number = [preprocessing.numbers.index(c.source) for c in columns if c.kind == "number"]
    if number:
        held = "numbers"
        if preprocessing.bounds is not None:
            # Whatever these make of NaN, the next node puts 0 in its place.
            held = graph.add("Max", held, graph.constant(preprocessing.bounds[0]))
            held = graph.add("Min", held, graph.constant(preprocessing.bounds[1]))
        filled = graph.add("Where", missing, graph.constant(np.zeros(1, np.float32)), held)
        values = graph.add("Gather", filled, graph.constant(np.array(number, np.int64)), axis=1)
        if preprocessing.mean is not None and preprocessing.std is not None:
            values = graph.add("Sub", values, graph.constant(preprocessing.mean[number]))
            values = graph.add("Div", values, graph.constant(preprocessing.std[number]))
            values = graph.add("Clip", values, graph.constant(np.array(-CLIP)), graph.constant(np.array(CLIP)))
        parts.append(values)
    flag = [preprocessing.numbers.index(c.source) for c in columns if c.kind == "flag"]
    if flag:
        flags = graph.add("Gather", graph.cast(missing, np.float32), graph.constant(np.array(flag, np.int64)), axis=1)
        parts.append(flags)
    for j, name in enumerate(preprocessing.categories):
        levels = [c.level for c in columns if c.kind == "level" and c.source == name]
        if not levels:
            continue
        code = preprocessing.level_code(name)
        cells = graph.add("Gather", "categories", graph.constant(np.array([j], np.int64)), axis=1)
        # onnxruntime refuses a LabelEncoder without keys: where nothing was kept, all is Others.
        coded = graph.add(
            "LabelEncoder",
            cells,
            domain="ai.onnx.ml",
            keys_strings=list(code) or ["\x00"],
            values_int64s=list(code.values()) or [0],
            default_int64=len(code),
        )
        wanted = graph.constant(np.array([[code.get(level, len(code)) for level in levels]], np.int64))
        parts.append(graph.cast(graph.add("Equal", coded, wanted), np.float32))
    return graph.add("Concat", *parts, axis=1)


def serialize(graph: Graph, pd: str, *, numbers: int, categories: int) -> bytes:
    """The ONNX file: equal graphs give equal bytes. ``pd`` names the PDs [N, 1]."""
    from onnx import TensorProto, checker, helper

    graph.add("Reshape", pd, graph.constant(np.array([-1], np.int64)), output="pd")
    inputs = []
    if numbers:
        inputs.append(helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["N", numbers]))
    if categories:
        inputs.append(helper.make_tensor_value_info("categories", TensorProto.STRING, ["N", categories]))
    outputs = [helper.make_tensor_value_info("pd", TensorProto.FLOAT, ["N"])]
    body = helper.make_graph(graph.nodes, "pd", inputs, outputs, graph.constants)
    model = helper.make_model(
        body,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
        producer_name="pdx",
    )
    checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
