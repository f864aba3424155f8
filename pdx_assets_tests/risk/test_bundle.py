"""Bundles: the portable graph against the training library, the same bytes everywhere, and what is refused.

``data/bundle_v1`` holds two bundles as format version 1 wrote them, and the PDs they gave. They are never
made anew: a later format must keep reading them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk import bundle as bundles
from pdx_assets.risk.bundle import Bundle, Parity, build_bundle, measure_parity
from pdx_assets.risk.errors import BundleError, ParityError
from pdx_assets.risk.models.matrix import LoanMatrix, Sample
from pdx_assets.risk.models.training import TrainedModel, train
from pdx_assets_tests.risk.model_samples import ALGORITHMS, MANIFEST, matrix, sample

TRAIN, ITV, OTV = sample(1500, 1), sample(500, 11), sample(1000, 21)
FIXTURE = Path(__file__).parent.parent / "data" / "bundle_v1"


@pytest.fixture(scope="module")
def models() -> dict[str, TrainedModel]:
    return {name: train(name, TRAIN, ITV, {}, seed=3) for name in ALGORITHMS}


@pytest.fixture(scope="module")
def built(models: dict[str, TrainedModel]) -> dict[str, Bundle]:
    return {name: build_bundle(model, manifest=MANIFEST, parity=OTV) for name, model in models.items()}


def loans(numbers: Any, categories: Any) -> LoanMatrix:
    texts = np.empty((len(categories), 2), object)
    texts[:] = categories
    return LoanMatrix(
        np.array(numbers, np.float32).reshape(-1, 4), texts, TRAIN.matrix.number_names, ("purpose", "state")
    )


# Parity with the training library


@pytest.mark.parametrize("name", ALGORITHMS)
def test_parity_on_labelled_loans(built: dict[str, Bundle], name: str) -> None:
    parity = built[name].parity
    assert parity is not None and parity.loans == 1000
    assert parity.max_pd_difference <= 1e-7
    assert parity.auc_difference == 0


def thresholds(model: TrainedModel) -> dict[str, list[float]]:
    """Split thresholds of a tree model by input, in the library's own precision."""
    found: list[tuple[int, float]] = []
    if model.algorithm == "xgboost":
        learner = json.loads(bytes(model.fitted.booster.save_raw("json")))["learner"]  # type: ignore[attr-defined]
        for tree in learner["gradient_booster"]["model"]["trees"]:
            nodes = zip(tree["left_children"], tree["split_indices"], tree["split_conditions"], strict=True)
            found += [(feature, value) for left, feature, value in nodes if left >= 0]
    else:
        for estimator in model.fitted.forest.estimators_:  # type: ignore[attr-defined]
            tree = estimator.tree_
            inner = tree.children_left >= 0
            found += zip(tree.feature[inner].tolist(), tree.threshold[inner].tolist(), strict=True)
    by_input: dict[str, list[float]] = {}
    for feature, value in found:
        by_input.setdefault(model.columns[feature].source, []).append(value)
    return by_input


@pytest.mark.parametrize("name", ["random_forest", "xgboost"])
def test_every_split_threshold_and_its_neighbours_fall_on_the_librarys_side(
    models: dict[str, TrainedModel], built: dict[str, Bundle], name: str
) -> None:
    by_input = thresholds(models[name])
    assert sum(map(len, by_input.values())) > 100
    rng = np.random.default_rng(0)
    for j, source in enumerate(TRAIN.matrix.number_names[:3]):
        at = np.unique(np.array(by_input[source]).astype(np.float32))
        values = np.concatenate([at, np.nextafter(at, np.float32(-np.inf)), np.nextafter(at, np.float32(np.inf))])
        others = matrix(len(values), int(rng.integers(1000)))
        others.numbers[:, j] = values
        np.testing.assert_array_equal(built[name].predict_pd(others), models[name].predict_pd(others))


EDGE = [0.0, -0.0, float("nan"), 3.4e38, -3.4e38, 1e-45, 1.0, -1.0]
TEXT = ["", "car", "house", "école", "Others", "never seen", "s00", " car", "Car", "\x00", "☃" * 50]


@pytest.mark.parametrize("name", ALGORITHMS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_parity_on_missing_unseen_and_extreme_values(
    models: dict[str, TrainedModel], built: dict[str, Bundle], name: str, data: st.DataObject
) -> None:
    number = st.one_of(st.sampled_from(EDGE), st.floats(width=32, allow_infinity=False))
    rows = data.draw(st.integers(1, 5))
    drawn = [[data.draw(number) for _ in range(4)] for _ in range(rows)]
    texts = [[data.draw(st.sampled_from(TEXT)), data.draw(st.sampled_from(TEXT))] for _ in range(rows)]
    given_loans = loans(drawn, texts)
    parity = measure_parity(models[name], built[name], given_loans)
    assert parity.max_pd_difference <= (1e-7 if name in ("logistic_regression", "neural_network") else 0)
    pd = built[name].predict_pd(given_loans)
    assert ((pd >= 0) & (pd <= 1)).all()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_loans_pd_does_not_depend_on_the_others(
    built: dict[str, Bundle], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = OTV.matrix.rows(slice(0, 50))
    alone = np.concatenate([built[name].predict_pd(some.rows(slice(i, i + 1))) for i in range(50)])
    together = built[name].predict_pd(some)
    np.testing.assert_allclose(alone, together, rtol=0, atol=6e-8)
    monkeypatch.setattr(bundles, "BLOCK", 7)
    np.testing.assert_allclose(built[name].predict_pd(some), together, rtol=0, atol=6e-8)
    assert built[name].predict_pd(some.rows(slice(0, 0))).shape == (0,)


@pytest.mark.parametrize("kind", ["numbers", "categories"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_portfolios_of_numbers_or_categories_alone(name: str, kind: str) -> None:
    wanted = (("debt", "age"), ()) if kind == "numbers" else ((), ("purpose", "state"))
    parts = [Sample(s.matrix.select(*wanted), s.label) for s in (TRAIN, ITV, OTV)]
    built = build_bundle(train(name, parts[0], parts[1], {}, seed=1), manifest=MANIFEST, parity=parts[2])
    assert built.parity is not None and built.parity.max_pd_difference <= 1e-7
    # Inputs are taken by name: a wider matrix will do.
    np.testing.assert_array_equal(built.predict_pd(OTV.matrix), built.predict_pd(parts[2].matrix))


def test_a_category_whose_levels_are_all_rare() -> None:
    texts = np.array([[f"level {i % 150}"] for i in range(1500)], object)
    inputs = LoanMatrix(TRAIN.matrix.numbers, texts, TRAIN.matrix.number_names, ("city",))
    model = train("xgboost", Sample(inputs, TRAIN.label), Sample(inputs, TRAIN.label), {}, seed=1)
    assert build_bundle(model, manifest=MANIFEST, parity=inputs).parity is not None


class _Disagreeing:
    """A fitted model whose library scores are changed after the graph was written."""

    def __init__(self, fitted: Any, change: Any) -> None:
        self._fitted, self._change = fitted, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fitted, name)

    def predict_pd(self, X: np.ndarray) -> np.ndarray:
        return self._change(self._fitted.predict_pd(X))


@pytest.mark.parametrize(
    ("l2", "change", "message"),
    [
        (0.003, lambda pd: pd + np.float32(3e-5), r"differs by [23]\.?\d*e-05 in PD"),
        (0.003, lambda pd: np.where(pd == pd.max(), np.nan, pd), "differs by nan in PD"),
        # Under so large a penalty all PDs lie within 1e-4: rounding them is within the limit, but makes ties.
        (3000.0, lambda pd: np.round(pd, 5), "differs by .* in AUC"),
    ],
)
def test_the_parity_gate(l2: float, change: Any, message: str) -> None:
    model = train("logistic_regression", TRAIN, ITV, {"l2": l2}, seed=3)
    with pytest.raises(ParityError, match=message) as caught:
        build_bundle(replace(model, fitted=_Disagreeing(model.fitted, change)), manifest=MANIFEST, parity=OTV)
    assert caught.value.expected and caught.value.remedy


def test_parity_without_labels_or_loans(models: dict[str, TrainedModel]) -> None:
    model = models["logistic_regression"]
    assert build_bundle(model, manifest=MANIFEST, parity=OTV.matrix).parity == Parity(1000, 0.0, None)
    assert build_bundle(model, manifest=MANIFEST, parity=OTV.matrix.rows(slice(0, 0))).parity == Parity(0, 0.0, None)


# Manifest, bytes, digest


def test_the_manifest_says_what_the_model_is(built: dict[str, Bundle]) -> None:
    for name, found in built.items():
        manifest = json.loads(found.files["manifest.json"])
        assert manifest == found.manifest
        assert MANIFEST.items() <= manifest.items()
        assert manifest["algorithm"] == name and manifest["format_version"] == bundles.FORMAT_VERSION
        assert manifest["inputs"]["numbers"] == ["income", "debt", "age", "constant"]
        assert set(manifest["importances"]) == set(manifest["selected"])
        assert set(manifest["files"]) == {"model.onnx"}


@pytest.mark.parametrize(
    "change",
    [
        {"strategy": "rolling_window"},
        {"timestamp": "2024-01-01"},
        {"algorithm": "svm"},
        {"metrics": None, "params": {}},
    ],
)
def test_a_manifest_that_would_contradict_the_model_is_refused(
    models: dict[str, TrainedModel], change: dict[str, Any]
) -> None:
    with pytest.raises(BundleError, match="may not have"):
        build_bundle(models["logistic_regression"], manifest={**MANIFEST, **change}, parity=OTV)


def test_a_manifest_without_its_window_is_refused(models: dict[str, TrainedModel]) -> None:
    given_manifest = {key: value for key, value in MANIFEST.items() if key != "window_sha256"}
    with pytest.raises(BundleError, match=r"lacks \['window_sha256'\]"):
        build_bundle(models["logistic_regression"], manifest=given_manifest, parity=OTV)


def test_one_format_of_manifest_whatever_the_order_given(
    models: dict[str, TrainedModel], built: dict[str, Bundle]
) -> None:
    turned = dict(reversed(MANIFEST.items()))
    again = build_bundle(models["xgboost"], manifest=turned, parity=OTV.matrix)
    assert again.digest == built["xgboost"].digest
    assert build_bundle(models["xgboost"], manifest={**MANIFEST, "seed": 8}, parity=OTV).digest != again.digest


def test_equal_bytes_in_other_processes_hash_seeds_and_thread_counts() -> None:
    code = (
        "from pdx_assets_tests.risk.test_bundle import *\n"
        "for name in ALGORITHMS:\n"
        "    print(build_bundle(train(name, TRAIN, ITV, {}, seed=3), manifest=MANIFEST, parity=OTV).digest)\n"
    )
    settings_of = (
        {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        {"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4", "MKL_NUM_THREADS": "4"},
    )

    def digests(environment: dict[str, str]) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | environment
        )
        return done.stdout.split()

    with ThreadPoolExecutor() as pool:
        first, second = pool.map(digests, settings_of)
    assert first == second and len(set(first)) == 4


# Reading


def test_a_bundle_survives_the_round_trip(built: dict[str, Bundle], tmp_path: Path) -> None:
    original = built["random_forest"]
    folder = original.write(tmp_path / "models")
    assert folder == tmp_path / "models" / original.digest
    assert original.write(tmp_path / "models") == folder
    assert [path.name for path in (tmp_path / "models").iterdir()] == [original.digest]  # no drafts left
    found = Bundle.read(folder)
    assert (found.digest, found.files, found.manifest) == (original.digest, original.files, original.manifest)
    np.testing.assert_array_equal(found.predict_pd(OTV.matrix), original.predict_pd(OTV.matrix))
    moved = folder.rename(tmp_path / "elsewhere")
    assert Bundle.read(moved, original.digest).digest == original.digest
    with pytest.raises(BundleError, match="not a folder"):
        Bundle.read(folder)


def test_a_failed_write_leaves_nothing(
    built: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        built["xgboost"].write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def resealed(original: dict[str, bytes], **change: Any) -> tuple[dict[str, bytes], str]:
    """The files with a changed manifest, and the digest that goes with it."""
    manifest = json.dumps({**json.loads(original["manifest.json"]), **change}).encode()
    return {**original, "manifest.json": manifest}, bundles._sha256(manifest)


def test_altered_bundles_are_refused_before_they_are_parsed(built: dict[str, Bundle]) -> None:
    good = built["xgboost"]
    onnx = good.files["model.onnx"]
    flipped = onnx[:100] + bytes([onnx[100] ^ 1]) + onnx[101:]
    without = {"manifest.json": good.files["manifest.json"]}
    nonsense = b"[1"
    cases: list[tuple[dict[str, bytes], str, str]] = [
        ({**good.files, "model.onnx": flipped}, good.digest, "model.onnx of bundle .* has sha256"),
        ({**good.files, "manifest.json": good.files["manifest.json"] + b" "}, good.digest, "digest is"),
        ({**good.files, "manifest.json": nonsense}, good.digest, "digest is"),
        (dict(good.files), "0" * 64, "digest is"),
        (without, good.digest, r"lacks \['model.onnx'\]"),
        ({"model.onnx": onnx}, good.digest, "has no manifest.json"),
        ({**good.files, "weights.pkl": b""}, good.digest, r"has \['weights.pkl'\] that its manifest does not list"),
        ({"manifest.json": nonsense, "model.onnx": onnx}, bundles._sha256(nonsense), "not JSON"),
        ({"manifest.json": b"[]", "model.onnx": onnx}, bundles._sha256(b"[]"), "holds a list"),
        (*resealed(good.files, format_version=2), "format version 2"),
        (*resealed(good.files, format_version=None), "format version None"),
        (*resealed(good.files, files={}), "lists {}"),
    ]
    for files, digest, message in cases:
        with pytest.raises(BundleError, match=message) as caught:
            Bundle.from_files(files, digest)
        assert caught.value.remedy, message
    assert Bundle.from_files(good.files, good.digest).digest == good.digest


def test_a_graph_onnxruntime_cannot_load_is_a_bundle_error(built: dict[str, Bundle]) -> None:
    files = {**built["xgboost"].files, "model.onnx": b"not a graph"}
    bad = Bundle.from_files(*resealed(files, files={"model.onnx": bundles._sha256(b"not a graph")}))
    with pytest.raises(BundleError, match="cannot load bundle"):
        bad.predict_pd(OTV.matrix)


def test_a_missing_input_is_named(built: dict[str, Bundle]) -> None:
    with pytest.raises(BundleError, match=r"lacks the inputs \['debt', 'state'\]"):
        built["xgboost"].predict_pd(OTV.matrix.select(["income", "age", "constant"], ["purpose"]))


def test_scoring_needs_onnxruntime_and_no_training_library(built: dict[str, Bundle], tmp_path: Path) -> None:
    folder = built["neural_network"].write(tmp_path)
    code = (
        "import sys\nfrom pathlib import Path\nfrom pdx_assets.risk.bundle import Bundle\n"
        "from pdx_assets_tests.risk.model_samples import matrix\n"
        f"Bundle.read(Path({str(folder)!r})).predict_pd(matrix(5, 1))\n"
        "print(sorted({'sklearn', 'xgboost', 'torch', 'optuna', 'onnx', 'dagster', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["logistic_regression", "xgboost"])
def test_format_version_1_keeps_loading_and_scoring(name: str) -> None:
    expected = json.loads((FIXTURE / "expected.json").read_text(encoding="utf-8"))
    found = Bundle.read(FIXTURE / name, expected["digests"][name])
    assert found.manifest["format_version"] == 1
    pd = found.predict_pd(loans(np.array(expected["numbers"], float), expected["categories"]))
    np.testing.assert_allclose(pd, expected["pd"][name], rtol=0, atol=1e-7)
    assert len(set(pd.tolist())) > 10
