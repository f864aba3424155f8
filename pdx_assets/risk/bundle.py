"""The portable model: one ONNX graph from raw inputs to PD, and a manifest that says what it is.

A bundle is bytes in memory; where they are kept is the orchestration's business. Nothing in it can run
code when loaded, and its digest is checked before anything in it is parsed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from pdx_assets.risk.errors import BundleError, CleaningError, ParityError
from pdx_assets.risk.metrics.discrimination import auc
from pdx_assets.risk.models.matrix import LoanMatrix, Sample
from pdx_assets.risk.models.training import TrainedModel, algorithm_named

FORMAT_VERSION = 1
READABLE_VERSIONS = (1,)
MANIFEST, MODEL = "manifest.json", "model.onnx"
MAX_PD_DIFFERENCE = 1e-5
MAX_AUC_DIFFERENCE = 1e-6
# Loans scored at a time: bounds the memory of a cohort's one-hot columns.
BLOCK = 65536
RESTORE = "restore the bundle from the store it came from, or re-derive it; do not edit its files"

GIVEN = ("portfolio", "trained_for", "window_sha256", "last_cohort", "last_event", "seed", "metrics")
"""Manifest keys that only the caller knows."""

UNWANTED = ("strategy", "created_at", "timestamp")
"""Keys that would give equal models unequal bytes."""


@dataclass(frozen=True)
class Parity:
    """How far the graph is from the training library on the parity loans; AUC is None without both classes."""

    loans: int
    max_pd_difference: float
    auc_difference: float | None


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model anyone can score with, given onnxruntime.

    Attributes:
        files: 'manifest.json' and every file it lists.
        digest: sha256 of manifest.json, which lists the sha256 of every other file: the bundle's identity.
        manifest: manifest.json, parsed.
        parity: from ``build_bundle`` only; not part of the bundle.
    """

    files: dict[str, bytes]
    digest: str
    manifest: dict[str, Any]
    parity: Parity | None = field(default=None)

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], digest: str) -> Bundle:
        """A stored bundle, checked against the digest it was stored under before anything is parsed.

        Raises:
            BundleError: missing, altered or unlisted file, other digest, unknown format version.
        """
        if MANIFEST not in files:
            raise BundleError(
                f"The bundle {digest[:12]} has no {MANIFEST}.", expected=f"{MANIFEST} and {MODEL}", remedy=RESTORE
            )
        found = _sha256(files[MANIFEST])
        if found != digest:
            raise BundleError(f"The bundle's digest is {found}.", expected=digest, remedy=RESTORE)
        manifest = _parse(files[MANIFEST])
        version = manifest.get("format_version")
        if version not in READABLE_VERSIONS:
            raise BundleError(
                f"The bundle {digest[:12]} has format version {version!r}.",
                expected=f"one of {list(READABLE_VERSIONS)}",
                remedy="read it with the version of pdx-assets that wrote it, or a later one",
            )
        listed = manifest.get("files")
        if not isinstance(listed, dict) or MODEL not in listed:
            raise BundleError(
                f"The manifest of bundle {digest[:12]} lists {listed!r}.",
                expected=f"{MODEL} and its sha256",
                remedy=RESTORE,
            )
        here = {name for name in files if name != MANIFEST}
        if here != set(listed):
            raise BundleError(
                f"The bundle {digest[:12]} lacks {sorted(set(listed) - here)} and has {sorted(here - set(listed))} "
                "that its manifest does not list.",
                expected=f"exactly {sorted(listed)}",
                remedy=RESTORE,
            )
        for name in sorted(listed):
            sha256 = _sha256(files[name])
            if sha256 != listed[name]:
                raise BundleError(
                    f"{name} of bundle {digest[:12]} has sha256 {sha256}.", expected=str(listed[name]), remedy=RESTORE
                )
        return cls(dict(files), digest, manifest)

    @classmethod
    def read(cls, folder: Path, digest: str | None = None) -> Bundle:
        """The bundle in a folder that :meth:`write` made; its name is the digest unless one is given.

        Raises:
            BundleError: no such folder, or as :meth:`from_files`.
        """
        if not folder.is_dir():
            raise BundleError(f"{folder} is not a folder.", expected="a folder holding a bundle's files")
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        return cls.from_files(files, digest or folder.name)

    def write(self, folder: Path) -> Path:
        """Write to ``folder/<digest>``, complete or not at all; what is there already is left alone.

        Returns:
            The bundle's folder.
        """
        target = folder / self.digest
        if target.is_dir():
            return target
        folder.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
        try:
            for name, content in self.files.items():
                with (draft / name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            draft.chmod(0o755)  # mkdtemp's folder is closed to other readers
            try:
                draft.rename(target)
            except OSError:
                # Another process was first: the digest says it wrote the same bytes.
                if not target.is_dir():
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return target

    @property
    def number_names(self) -> tuple[str, ...]:
        return tuple(self.manifest["inputs"]["numbers"])

    @property
    def category_names(self) -> tuple[str, ...]:
        return tuple(self.manifest["inputs"]["categories"])

    def predict_pd(self, matrix: LoanMatrix) -> np.ndarray:
        """float32 [n] PDs by onnxruntime on one thread; inputs are taken by name.

        Raises:
            BundleError: the matrix lacks an input of the model.
        """
        try:
            matrix = matrix.select(self.number_names, self.category_names)
        except CleaningError as error:
            raise BundleError(
                f"The bundle {self.digest[:12]} cannot score these loans. {error.got}",
                expected=f"inputs {[*self.number_names, *self.category_names]}",
                remedy="build the matrix from clean_features with the inputs of the bundle's manifest",
            ) from error
        pd = np.empty(len(matrix), np.float32)
        for start in range(0, len(matrix), BLOCK):
            part = slice(start, start + BLOCK)
            inputs = {}
            if self.number_names:
                inputs["numbers"] = matrix.numbers[part]
            if self.category_names:
                inputs["categories"] = matrix.categories[part]
            pd[part] = self._session.run(["pd"], inputs)[0]
        return pd

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # Fusions may reorder float arithmetic, and the graph is small: only the basic rewrites.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(self.files[MODEL], options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no other base
            raise BundleError(
                f"onnxruntime {onnxruntime.__version__} cannot load bundle {self.digest[:12]}: {error}",
                remedy="install the onnxruntime of the bundle's manifest (library_versions)",
            ) from error


def build_bundle(model: TrainedModel, *, manifest: Mapping[str, Any], parity: Sample | LoanMatrix) -> Bundle:
    """Write a trained model as a bundle and hold it against the training library.

    Args:
        model: what ``train`` returned.
        manifest: plain JSON values with at least the keys of :data:`GIVEN`; the rest is added here. No
            strategy and no time, so that equal inputs give equal bytes.
        parity: loans to compare the two on; with labels also by AUC (OTV, by the design).

    Raises:
        ParityError: a PD differs by more than 1e-5, or the AUC by more than 1e-6.
        BundleError: the manifest lacks a key, or has one it must not have.
    """
    bundle = seal(_manifest(model, manifest), _graph(model))
    return _within_limits(bundle, measure_parity(model, bundle, parity), model.algorithm, "the training library")


def seal(manifest: Mapping[str, Any], graph: bytes) -> Bundle:
    """A bundle of a graph and all that its manifest says beside the format and the hash of the graph."""
    content = {**manifest, "format_version": FORMAT_VERSION, "files": {MODEL: _sha256(graph)}}
    encoded = _encode(content)
    return Bundle.from_files({MANIFEST: encoded, MODEL: graph}, _sha256(encoded))


def held_against(bundle: Bundle, expected: np.ndarray, loans: Sample | LoanMatrix, *, what: str) -> Bundle:
    """The bundle with its parity against PDs computed otherwise, float32 [n].

    Args:
        what: where ``expected`` comes from, in words.

    Raises:
        ParityError: as of :func:`build_bundle`.
    """
    return _within_limits(bundle, _parity(bundle, expected, loans), bundle.manifest["algorithm"], f"the {what}")


def _within_limits(bundle: Bundle, difference: Parity, algorithm: str, other: str) -> Bundle:
    # Written so that NaN fails too.
    if not difference.max_pd_difference <= MAX_PD_DIFFERENCE:
        raise ParityError(
            f"The portable {algorithm} differs by {difference.max_pd_difference:.3g} in PD "
            f"from {other} on {difference.loans} loans.",
            expected=f"at most {MAX_PD_DIFFERENCE:.0e}",
            remedy="report it with the window's manifest: the graph does not compute what the library does",
        )
    if difference.auc_difference is not None and not difference.auc_difference <= MAX_AUC_DIFFERENCE:
        raise ParityError(
            f"The portable {algorithm} differs by {difference.auc_difference:.3g} in AUC "
            f"from {other} on {difference.loans} loans.",
            expected=f"at most {MAX_AUC_DIFFERENCE:.0e}",
            remedy="report it with the window's manifest: the graph does not rank as the library does",
        )
    return Bundle(bundle.files, bundle.digest, bundle.manifest, difference)


def measure_parity(model: TrainedModel, bundle: Bundle, loans: Sample | LoanMatrix) -> Parity:
    """Largest differences between a bundle and the model it was written from."""
    return _parity(bundle, model.predict_pd(loans.matrix if isinstance(loans, Sample) else loans), loans)


def _parity(bundle: Bundle, theirs: np.ndarray, loans: Sample | LoanMatrix) -> Parity:
    matrix = loans.matrix if isinstance(loans, Sample) else loans
    ours = bundle.predict_pd(matrix)
    # max() of NaN is NaN, which no limit lets pass.
    worst = float(np.abs(ours.astype(np.float64) - theirs).max()) if len(matrix) else 0.0
    gap = None
    if isinstance(loans, Sample) and np.isfinite(worst):
        areas = [auc(loans.label, pd, loans.weight) for pd in (ours, theirs)]
        if areas[0] is not None and areas[1] is not None:
            gap = abs(areas[0] - areas[1])
    return Parity(len(matrix), worst, gap)


def _graph(model: TrainedModel) -> bytes:
    from pdx_assets.risk.models.onnx_graph import Graph, preprocess, serialize

    graph = Graph()
    columns = preprocess(graph, model.preprocessing, model.columns)
    pd = model.fitted.add_to(graph, columns)
    return serialize(graph, pd, numbers=len(model.number_names), categories=len(model.category_names))


def _manifest(model: TrainedModel, given: Mapping[str, Any]) -> dict[str, Any]:
    added: dict[str, Any] = {
        "algorithm": model.algorithm,
        "params": model.params,
        "inputs": {
            "numbers": list(model.number_names),
            "categories": list(model.category_names),
            "dtypes": {"numbers": "float32", "categories": "string"},
        },
        "preprocessing": model.preprocessing.as_dict(),
        "selected": list(model.selected),
        "importances": model.importances,
    }
    return combined_manifest(given, added, required=GIVEN, library=algorithm_named(model.algorithm).library)


def combined_manifest(
    given: Mapping[str, Any], added: Mapping[str, Any], *, required: Sequence[str], library: str = "numpy"
) -> dict[str, Any]:
    """What the caller says of a model and what the model says of itself, less what :func:`seal` writes.

    Args:
        required: keys of ``given`` that must be there.
        library: the distribution, beside numpy and ONNX's, that the model was made with.

    Raises:
        BundleError: a key is lacking, or may not be there.
    """
    lacking = [key for key in required if key not in given]
    refused = [
        key
        for key in given
        if key in (*UNWANTED, "format_version", "files", "library_versions")
        or (key in added and given[key] != added[key])
    ]
    if lacking or refused:
        raise BundleError(
            f"The manifest given lacks {lacking} and may not have {refused}.",
            expected=f"{list(required)}; no strategy, no time, nothing that contradicts the model",
        )
    names = sorted({"numpy", "onnx", "onnxruntime", library})
    return {**given, **added, "library_versions": {name: metadata.version(name) for name in names}}


def _encode(manifest: dict[str, Any]) -> bytes:
    """Indented for people; sorted, and with Python's shortest floats, so that equal content is equal bytes."""
    text = json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def _parse(content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except ValueError as error:
        raise BundleError(f"{MANIFEST} is not JSON: {error}", remedy=RESTORE) from error
    if not isinstance(parsed, dict):
        raise BundleError(f"{MANIFEST} holds a {type(parsed).__name__}.", expected="an object", remedy=RESTORE)
    return parsed


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
