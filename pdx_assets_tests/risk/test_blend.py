"""The blend: its graph against numpy's mean of its members, what its manifest says, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk import bundle as bundles
from pdx_assets.risk.bundle import Bundle, build_bundle, seal
from pdx_assets.risk.errors import BundleError, ParityError
from pdx_assets.risk.metrics.discrimination import auc
from pdx_assets.risk.models import blend as blends
from pdx_assets.risk.models.blend import CLIP, build_blend, mean_log_odds
from pdx_assets.risk.models.matrix import LoanMatrix, Sample
from pdx_assets.risk.models.training import train
from pdx_assets_tests.risk.model_samples import ALGORITHMS, MANIFEST, matrix, sample

TRAIN, ITV, OTV = sample(1500, 1), sample(500, 11), sample(1000, 21)
GIVEN = {key: value for key, value in MANIFEST.items() if key not in blends.FROM_MEMBERS}
PDS = st.floats(0, 1, width=32)


def member(name: str, **changed: Any) -> Bundle:
    return build_bundle(train(name, TRAIN, ITV, {}, seed=3), manifest={**MANIFEST, **changed}, parity=OTV.matrix)


@pytest.fixture(scope="module")
def four() -> list[Bundle]:
    return [member(name, last_event=f"2023-12-{28 + i}") for i, name in enumerate(ALGORITHMS)]


@pytest.fixture(scope="module")
def blended(four: list[Bundle]) -> Bundle:
    return build_blend(four, manifest=GIVEN, parity=OTV)


def oracle(pds: list[np.ndarray]) -> np.ndarray:
    """By odds: the geometric mean of the members' odds, in extended precision."""
    held = [np.clip(pd.astype(np.longdouble), CLIP, 1 - CLIP) for pd in pds]
    odds = np.prod([pd / (1 - pd) for pd in held], axis=0) ** (np.longdouble(1) / len(held))
    return np.asarray(odds / (1 + odds))


@given(st.lists(st.lists(PDS, min_size=3, max_size=3), min_size=2, max_size=6))
def test_the_mean_log_odds_is_the_geometric_mean_of_the_odds(drawn: list[list[float]]) -> None:
    pds = [np.array(row, np.float32) for row in drawn]
    found = mean_log_odds(pds)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, oracle(pds), rtol=2e-7)
    held = np.clip(pds, CLIP, 1 - CLIP)
    assert (found >= held.min(axis=0) * (1 - 1e-6)).all() and (found <= held.max(axis=0) * (1 + 1e-6)).all()


@given(st.lists(PDS, min_size=2, max_size=50, unique=True), st.integers(2, 4))
def test_members_that_agree_are_blended_into_themselves(drawn: list[float], times: int) -> None:
    pd = np.sort(np.array(drawn, np.float32))
    found = mean_log_odds([pd] * times)
    np.testing.assert_allclose(found, np.clip(pd, CLIP, 1 - CLIP), rtol=1e-6)
    assert (np.diff(found) >= 0).all()


def test_one_graph_gives_the_mean_of_what_the_members_say(four: list[Bundle], blended: Bundle) -> None:
    assert blended.parity is not None and blended.parity.loans == 1000
    assert blended.parity.max_pd_difference <= 1e-7 and blended.parity.auc_difference == 0
    others = matrix(777, 99, missing=0.4)
    expected = oracle([one.predict_pd(others) for one in four])
    np.testing.assert_allclose(blended.predict_pd(others), expected, rtol=0, atol=1e-7)
    assert set(blended.files) == {"manifest.json", "model.onnx"}


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_missing_unseen_and_extreme_values_go_to_every_member(
    four: list[Bundle], blended: Bundle, data: st.DataObject
) -> None:
    number = st.one_of(st.sampled_from([float("nan"), 3.4e38, -3.4e38]), st.floats(width=32, allow_infinity=False))
    numbers = np.array([[data.draw(number) for _ in range(4)]], np.float32)
    texts = np.array([[data.draw(st.sampled_from(["", "car", "never seen", "s00"])) for _ in range(2)]], object)
    loan = LoanMatrix(numbers, texts, TRAIN.matrix.number_names, TRAIN.matrix.category_names)
    np.testing.assert_allclose(
        blended.predict_pd(loan), oracle([one.predict_pd(loan) for one in four]), rtol=0, atol=1e-7
    )


def test_a_blend_of_two_noisy_models_ranks_better_than_either() -> None:
    """The reason it exists: errors that do not go together cancel."""
    rng = np.random.default_rng(0)
    truth = rng.normal(-2, 1, 40_000)
    label = (rng.random(40_000) < 1 / (1 + np.exp(-truth))).astype(np.int8)
    pds = [(1 / (1 + np.exp(-truth - rng.normal(0, 1, 40_000)))).astype(np.float32) for _ in range(2)]
    areas = [auc(label, pd) for pd in (*pds, mean_log_odds(pds))]
    assert None not in areas and areas[2] > max(areas[:2]) + 0.01  # type: ignore[operator, type-var]


@pytest.mark.parametrize("kind", ["numbers", "categories"])
def test_portfolios_of_numbers_or_categories_alone(kind: str) -> None:
    wanted = (("debt", "age"), ()) if kind == "numbers" else ((), ("purpose", "state"))
    parts = [Sample(s.matrix.select(*wanted), s.label) for s in (TRAIN, ITV, OTV)]
    two = [
        build_bundle(train(name, parts[0], parts[1], {}, seed=1), manifest=MANIFEST, parity=parts[2])
        for name in ("logistic_regression", "xgboost")
    ]
    found = build_blend(two, manifest=GIVEN, parity=parts[2])
    # Inputs are taken by name: a wider matrix will do.
    np.testing.assert_array_equal(found.predict_pd(OTV.matrix), found.predict_pd(parts[2].matrix))


def test_the_manifest_says_of_what_it_is_made(four: list[Bundle], blended: Bundle) -> None:
    manifest = blended.manifest
    assert manifest["algorithm"] == "blend" and manifest["format_version"] == 1
    assert [m["bundle_sha256"] for m in manifest["members"]] == [one.digest for one in four]
    assert [m["algorithm"] for m in manifest["members"]] == list(ALGORITHMS)
    assert manifest["members"][2]["preprocessing"] == four[2].manifest["preprocessing"]
    assert manifest["last_event"] == "2023-12-31" and manifest["last_cohort"] == MANIFEST["last_cohort"]
    assert set(manifest["selected"]) == {name for one in four for name in one.manifest["selected"]}
    assert set(manifest["importances"]) == set(manifest["selected"])
    assert sum(manifest["importances"].values()) == pytest.approx(1)
    name = manifest["selected"][0]
    share = np.mean([one.manifest["importances"].get(name, 0) for one in four])
    assert manifest["importances"][name] == pytest.approx(share)


def test_it_is_read_back_like_every_bundle(blended: Bundle) -> None:
    found = Bundle.from_files(blended.files, blended.digest)
    np.testing.assert_array_equal(found.predict_pd(OTV.matrix), blended.predict_pd(OTV.matrix))
    flipped = bytearray(blended.files["model.onnx"])
    flipped[len(flipped) // 2] ^= 1
    with pytest.raises(BundleError, match=r"model\.onnx of bundle .* has sha256"):
        Bundle.from_files({**blended.files, "model.onnx": bytes(flipped)}, blended.digest)


def test_blends_can_be_blended(four: list[Bundle], blended: Bundle) -> None:
    """Names inside a graph that was made of others stay apart."""
    again = build_blend([blended, four[0]], manifest=GIVEN, parity=OTV)
    np.testing.assert_allclose(
        again.predict_pd(OTV.matrix),
        oracle([blended.predict_pd(OTV.matrix), four[0].predict_pd(OTV.matrix)]),
        rtol=0,
        atol=1e-7,
    )


def test_equal_bytes_here_and_in_another_process(four: list[Bundle], blended: Bundle) -> None:
    assert build_blend(four, manifest=dict(reversed(GIVEN.items())), parity=OTV.matrix).digest == blended.digest
    assert build_blend(four[::-1], manifest=GIVEN, parity=OTV.matrix).digest != blended.digest
    code = (
        "from pdx_assets_tests.risk.test_blend import *\n"
        "two = [member(name) for name in ('logistic_regression', 'xgboost')]\n"
        "print(build_blend(two, manifest=GIVEN, parity=OTV).digest)"
    )
    environment = os.environ | {"PYTHONHASHSEED": "5", "OMP_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    two = [member(name) for name in ("logistic_regression", "xgboost")]
    assert done.stdout.strip() == build_blend(two, manifest=GIVEN, parity=OTV).digest


def resealed(bundle: Bundle, **change: Any) -> Bundle:
    """A bundle of the same graph whose manifest says otherwise, under the digest that goes with it."""
    manifest = {k: v for k, v in bundle.manifest.items() if k not in ("files", "format_version")}
    return seal({**manifest, **change}, bundle.files["model.onnx"])


def test_members_that_do_not_go_together_are_refused(four: list[Bundle]) -> None:
    first, second = four[0], four[2]
    inputs = second.manifest["inputs"]
    turned = {**inputs, "numbers": inputs["numbers"][::-1]}
    altered = bytearray(second.files["model.onnx"])
    altered[100] ^= 1
    corrupted = Bundle({**second.files, "model.onnx": bytes(altered)}, second.digest, second.manifest)
    nonsense = seal({k: v for k, v in second.manifest.items() if k != "files"}, b"not a graph")
    cases: list[tuple[list[Bundle], str]] = [
        ([first], "at least two"),
        ([first, first], "each of them once"),
        ([first, resealed(second, portfolio="other")], "differ in portfolio"),
        ([first, resealed(second, inputs=turned)], "differ in inputs"),
        ([first, corrupted], "has sha256"),
        ([first, nonsense], "cannot be read|opsets"),
    ]
    for members, message in cases:
        with pytest.raises(BundleError, match=message) as caught:
            build_blend(members, manifest=GIVEN, parity=OTV)
        assert caught.value.expected


def test_a_graph_of_another_opset_is_refused(four: list[Bundle]) -> None:
    import onnx

    model = onnx.load_from_string(four[0].files["model.onnx"])
    model.opset_import[0].version = 18
    other = seal({k: v for k, v in four[0].manifest.items() if k != "files"}, model.SerializeToString())
    with pytest.raises(BundleError, match="opsets") as caught:
        build_blend([four[2], other], manifest=GIVEN, parity=OTV)
    assert caught.value.remedy


@pytest.mark.parametrize("change", [{"strategy": "rolling_window"}, {"last_event": "2020-01-01"}, {"members": []}])
def test_a_manifest_that_would_contradict_the_members_is_refused(four: list[Bundle], change: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="may not have"):
        build_blend(four, manifest={**GIVEN, **change}, parity=OTV)
    with pytest.raises(BundleError, match=r"lacks \['metrics'\]"):
        build_blend(four, manifest={k: v for k, v in GIVEN.items() if k != "metrics"}, parity=OTV)


def test_the_parity_gate(four: list[Bundle], monkeypatch: pytest.MonkeyPatch) -> None:
    right = blends.mean_log_odds
    monkeypatch.setattr(blends, "mean_log_odds", lambda pds: right(pds) + np.float32(3e-5))
    with pytest.raises(ParityError, match=r"portable blend differs by .* in PD from the mean log-odds of its members"):
        build_blend(four, manifest=GIVEN, parity=OTV)


def test_bundles_of_the_four_have_the_bytes_they_had(four: list[Bundle]) -> None:
    """Written through the same functions as before there were blends: format, keys and order."""
    manifest = json.loads(four[2].files["manifest.json"])
    text = json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    assert four[2].files["manifest.json"] == text.encode()
    assert set(manifest) == {
        *MANIFEST,
        *("format_version", "algorithm", "params", "inputs", "preprocessing", "selected", "importances"),
        *("library_versions", "files"),
    }
    assert four[2].digest == bundles._sha256(text.encode())
