"""A recalibrated bundle: the fit against scikit-learn, the level put right, the ranking kept, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pdx_assets.risk.bundle import Bundle, build_bundle
from pdx_assets.risk.errors import BundleError, ParityError, TrainingError
from pdx_assets.risk.models import recalibrated
from pdx_assets.risk.models.matrix import Sample
from pdx_assets.risk.models.recalibrated import Recalibration, build_recalibrated, fit_recalibration
from pdx_assets.risk.models.training import train
from pdx_assets_tests.risk.model_samples import MANIFEST, matrix, sample

TRAIN, ITV, LATER = sample(1500, 1), sample(500, 11), sample(4000, 31)
ABOUT = {"first": "2023-01", "last": "2023-03", "sha256": "1" * 64}
GIVEN = {**MANIFEST, "last_cohort": "2023-03", "last_event": "2024-03-31", "metrics": {"before": {"auc": 0.7}}}


def shifted(loans: int, seed: int) -> Sample:
    """Later loans of which more go bad, for reasons no input tells: 15 % of the good ones turn bad."""
    later = sample(loans, seed)
    turned = np.random.default_rng(seed).random(loans) < 0.15
    return Sample(later.matrix, np.maximum(later.label, turned.astype(np.int8)))


@pytest.fixture(scope="module")
def base() -> Bundle:
    return build_bundle(train("xgboost", TRAIN, ITV, {}, seed=3), manifest=MANIFEST, parity=ITV)


@pytest.fixture(scope="module")
def built(base: Bundle) -> Bundle:
    return build_recalibrated(base, shifted(4000, 31), manifest=GIVEN, about=ABOUT)


def drawn_loans(seed: int, n: int, slope: float, intercept: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pd = (1 / (1 + np.exp(-rng.normal(-2, 1, n)))).astype(np.float32)
    log_odds = slope * np.log(pd / (1 - pd)) + intercept
    return (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(np.int8), pd


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, 1.0), (1.8, -0.7)])
def test_the_fit_is_scikit_learns_without_penalty(slope: float, intercept: float, weighted: bool) -> None:
    from sklearn.linear_model import LogisticRegression

    label, pd = drawn_loans(1, 3000, slope, intercept)
    weight = np.random.default_rng(2).uniform(0.1, 5, 3000).astype(np.float32) if weighted else None
    found = fit_recalibration(label, pd, weight)
    x = np.log(pd.astype(np.float64) / (1 - pd.astype(np.float64)))[:, None]
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x, label, sample_weight=weight)
    assert found.slope == pytest.approx(oracle.coef_[0, 0], rel=1e-5)
    assert found.intercept == pytest.approx(oracle.intercept_[0], rel=1e-5, abs=1e-5)


def test_known_parameters_are_recovered() -> None:
    label, pd = drawn_loans(3, 400_000, 0.7, 0.4)
    found = fit_recalibration(label, pd)
    assert found.slope == pytest.approx(0.7, abs=0.03) and found.intercept == pytest.approx(0.4, abs=0.05)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), slope=st.floats(0.4, 2), intercept=st.floats(-1.5, 1.5), weighted=st.booleans())
def test_expected_bads_are_observed_bads_and_the_order_is_kept(
    seed: int, slope: float, intercept: float, weighted: bool
) -> None:
    label, pd = drawn_loans(seed, 1500, slope, intercept)
    assume(label.sum() >= 20)
    weight = np.random.default_rng(seed).uniform(0.1, 5, 1500).astype(np.float32) if weighted else None
    try:
        found = fit_recalibration(label, pd, weight)
    except TrainingError:
        assume(False)
    after = found.apply(pd)
    w = np.ones(1500) if weight is None else weight.astype(np.float64)
    assert (w @ after.astype(np.float64)) / (w @ label) == pytest.approx(1, abs=1e-6)
    order = np.argsort(pd, kind="stable")
    assert (np.diff(after[order]) >= 0).all(), "nobody overtakes"


@given(
    st.lists(st.floats(0, 1, width=32), min_size=2, max_size=40),
    st.floats(0.01, 10),
    st.floats(-8, 8),
)
def test_no_recalibration_changes_ranks(drawn: list[float], slope: float, intercept: float) -> None:
    pd = np.sort(np.array(drawn, np.float32))
    after = Recalibration(slope, intercept).apply(pd)
    assert after.dtype == np.float32 and ((after >= 0) & (after <= 1)).all()
    assert (np.diff(after) >= 0).all()
    assert len(np.unique(after)) <= len(np.unique(pd))


def test_a_shifted_book_is_put_right_and_ranked_as_before(base: Bundle, built: Bundle) -> None:
    calibration = shifted(4000, 31)
    before, after = (b.predict_pd(calibration.matrix).astype(np.float64) for b in (base, built))
    assert calibration.label.sum() / before.sum() > 1.5, "the base expects far too few"
    assert calibration.label.sum() / after.sum() == pytest.approx(1, abs=1e-6)
    later = shifted(4000, 77)
    fresh = built.predict_pd(later.matrix)
    assert later.label.sum() / fresh.astype(np.float64).sum() == pytest.approx(1, abs=0.1)
    order = np.argsort(base.predict_pd(later.matrix), kind="stable")
    assert (np.diff(fresh[order]) >= 0).all()


def test_graph_and_numpy_agree_on_loans_never_seen(base: Bundle, built: Bundle) -> None:
    assert built.parity is not None and built.parity.max_pd_difference <= 1e-7 and built.parity.auc_difference == 0
    others = matrix(900, 5, missing=0.5)
    pd = base.predict_pd(others).astype(np.longdouble)
    slope, intercept = (built.manifest["params"][k] for k in ("slope", "intercept"))
    expected = 1 / (1 + np.exp(-(slope * np.log(pd / (1 - pd)) + intercept)))
    np.testing.assert_allclose(built.predict_pd(others), expected.astype(np.float64), rtol=0, atol=1e-7)


def test_the_manifest_says_on_what_it_rests(base: Bundle, built: Bundle) -> None:
    manifest = built.manifest
    assert manifest["algorithm"] == "recalibrated" and manifest["params"]["slope"] > 0
    assert manifest["base"]["bundle_sha256"] == base.digest and manifest["base"]["algorithm"] == "xgboost"
    assert manifest["calibration"] == {**ABOUT, "loans": 4000, "bads": int(shifted(4000, 31).label.sum())}
    assert (manifest["last_cohort"], manifest["last_event"]) == ("2023-03", "2024-03-31")
    assert manifest["selected"] == base.manifest["selected"]
    found = Bundle.from_files(built.files, built.digest)
    np.testing.assert_array_equal(found.predict_pd(LATER.matrix), built.predict_pd(LATER.matrix))


def test_the_last_event_is_the_latest_of_base_and_labels(base: Bundle) -> None:
    earlier = {**GIVEN, "last_event": "2020-01-31", "last_cohort": "2019-01"}
    found = build_recalibrated(base, shifted(4000, 31), manifest=earlier, about=ABOUT)
    assert found.manifest["last_event"] == MANIFEST["last_event"]
    assert found.manifest["last_cohort"] == MANIFEST["last_cohort"]


def test_equal_inputs_give_equal_bytes_and_can_be_built_on(base: Bundle, built: Bundle) -> None:
    again = build_recalibrated(base, shifted(4000, 31), manifest=dict(reversed(GIVEN.items())), about=ABOUT)
    assert again.digest == built.digest
    twice = build_recalibrated(built, shifted(4000, 31), manifest=GIVEN, about=ABOUT)
    # On the same loans there is nothing left to put right.
    assert twice.manifest["params"]["slope"] == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(twice.predict_pd(LATER.matrix), built.predict_pd(LATER.matrix), rtol=1e-4)


@pytest.mark.parametrize(
    ("label", "pd", "message"),
    [
        ([0, 0, 0], [0.1, 0.2, 0.3], "0 bads among 3"),
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], "No slope can be fitted"),
        ([0, 1, 0, 1], [0.2, 0.2, 0.2, 0.2], "No slope can be fitted"),
        ([1, 1, 0, 1, 0, 0], [0.1, 0.2, 0.25, 0.3, 0.4, 0.5], "slope is -"),
    ],
)
def test_what_cannot_be_recalibrated(label: list[int], pd: list[float], message: str) -> None:
    with pytest.raises(TrainingError, match=message) as caught:
        fit_recalibration(np.array(label, np.int8), np.array(pd, np.float32))
    assert caught.value.expected and caught.value.remedy


def test_altered_bases_contradictions_and_graphs_that_differ(base: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    calibration = shifted(4000, 31)
    bad = Bundle({**base.files, "model.onnx": base.files["model.onnx"][:-1]}, base.digest, base.manifest)
    with pytest.raises(BundleError, match="has sha256"):
        build_recalibrated(bad, calibration, manifest=GIVEN, about=ABOUT)
    changes: list[dict[str, Any]] = [{"strategy": "rolling_window"}, {"algorithm": "xgboost"}]
    for change in changes:
        with pytest.raises(BundleError, match="may not have"):
            build_recalibrated(base, calibration, manifest={**GIVEN, **change}, about=ABOUT)
    right = recalibrated.fit_recalibration

    class Off(Recalibration):
        def apply(self, pd: np.ndarray) -> np.ndarray:
            return super().apply(pd) + np.float32(3e-5)

    def off(*given: Any) -> Recalibration:
        found = right(*given)
        return Off(found.slope, found.intercept)

    monkeypatch.setattr(recalibrated, "fit_recalibration", off)
    with pytest.raises(ParityError, match=r"differs by .* in PD from the recalibrated PDs of its base"):
        build_recalibrated(base, calibration, manifest=GIVEN, about=ABOUT)
