"""Bootstrap intervals: seeded, blind to row order, and covering the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import PdxError
from pdx_assets.risk.metrics.calibration import brier, calibration_slope
from pdx_assets.risk.metrics.comparison import Interval, bootstrap_interval, month_stratified
from pdx_assets.risk.metrics.discrimination import auc, capture_rate


def pair(seed: int, n: int = 500, noise: float = 1.0):
    """A book scored by a good model and by a noisier one."""
    random = np.random.default_rng(seed)
    x = random.normal(-1.5, 1, n)
    label = (random.random(n) < 1 / (1 + np.exp(-x))).astype(np.int8)
    worse = x + random.normal(0, noise, n)
    return label, 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(-worse))


def test_interval_is_the_percentiles_of_a_plain_bootstrap() -> None:
    """An oracle that resamples rows and measures each draw afresh; it shares the metric, not the machinery."""
    label, a, b = pair(0)
    random = np.random.default_rng(99)
    bads, goods = np.flatnonzero(label == 1), np.flatnonzero(label == 0)
    drawn = []
    for _ in range(2000):
        rows = np.concatenate([random.choice(bads, bads.size), random.choice(goods, goods.size)])
        drawn.append(auc(label[rows], a[rows]) - auc(label[rows], b[rows]))
    ours = bootstrap_interval(label, a, b, seed=1, draws=2000)
    assert ours.estimate == pytest.approx(auc(label, a) - auc(label, b), rel=1e-12)
    assert ours.low == pytest.approx(np.quantile(drawn, 0.025), abs=0.006)
    assert ours.high == pytest.approx(np.quantile(drawn, 0.975), abs=0.006)


def test_interval_agrees_with_scipys_bootstrap() -> None:
    from scipy.stats import bootstrap, mannwhitneyu

    label, a, _ = pair(1, n=300)
    bads, goods = a[label == 1], a[label == 0]

    def area(x, y):
        return mannwhitneyu(x, y, axis=-1).statistic / (x.shape[-1] * y.shape[-1])

    oracle = bootstrap(
        (bads, goods), area, n_resamples=1500, method="percentile", rng=np.random.default_rng(0), batch=100
    ).confidence_interval
    ours = bootstrap_interval(label, a, seed=1, draws=1500)
    assert ours.low == pytest.approx(oracle.low, abs=0.008)
    assert ours.high == pytest.approx(oracle.high, abs=0.008)


def test_pairing_narrows_the_interval() -> None:
    """Two nearly equal models on one book: much narrower than two independent books would give."""
    label, a, b = pair(2, noise=0.2)
    paired = bootstrap_interval(label, a, b, seed=0)
    alone = bootstrap_interval(label, a, seed=0)
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


@pytest.mark.slow
def test_interval_covers_no_difference_as_often_as_it_says() -> None:
    """Two equally noisy models: 95 % intervals contain 0 in 95 % of 400 books, give or take."""
    covered = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        x = random.normal(-1.5, 1, 400)
        label = random.random(400) < 1 / (1 + np.exp(-x))
        a, b = (1 / (1 + np.exp(-(x + random.normal(0, 1, 400)))) for _ in range(2))
        covered += not bootstrap_interval(label, a, b, seed=seed, draws=400).excludes_zero
    assert 0.915 <= covered / 400 <= 0.98


def test_a_real_difference_is_seen_and_none_is_not() -> None:
    label, a, b = pair(3, n=2000, noise=1.5)
    assert bootstrap_interval(label, a, b, seed=0, draws=300).excludes_zero is True
    same = bootstrap_interval(label, a, a, seed=0, draws=50)
    assert (same.estimate, same.low, same.high, same.excludes_zero) == (0.0, 0.0, 0.0, False)


def test_seed_decides_and_row_order_does_not() -> None:
    label, a, b = pair(4)
    weight = np.random.default_rng(4).random(label.size)
    months = np.array(["2024-01", "2024-02"])[np.random.default_rng(5).integers(0, 2, label.size)]
    order = np.random.default_rng(6).permutation(label.size)
    first = bootstrap_interval(label, a, b, weight, seed=7, draws=60)
    assert bootstrap_interval(label[order], a[order], b[order], weight[order], seed=7, draws=60) == first
    assert bootstrap_interval(label, a, b, weight, seed=8, draws=60) != first
    monthly = month_stratified(months, label, a, b, weight, seed=7, draws=60)
    assert month_stratified(months[order], label[order], a[order], b[order], weight[order], seed=7, draws=60) == monthly


def test_any_metric_of_the_package_can_be_compared() -> None:
    label, a, b = pair(5)
    for metric in (brier, capture_rate, calibration_slope):
        interval = bootstrap_interval(label, a, b, seed=0, metric=metric, draws=100)
        assert interval.estimate == pytest.approx(metric(label, a) - metric(label, b), rel=1e-9)
        assert interval.low < interval.estimate < interval.high


def test_unequal_weights_widen_the_interval() -> None:
    label, a, b = pair(6, n=2000)
    uneven = np.random.default_rng(0).exponential(size=label.size) ** 2
    plain, weighted = (bootstrap_interval(label, a, b, w, seed=0, draws=300) for w in (None, uneven))
    # Squared exponentials have a Kish size of n/6: intervals about 2.4 times as wide.
    assert 1.7 < (weighted.high - weighted.low) / (plain.high - plain.low) < 3.2


def test_undefined_is_null() -> None:
    assert bootstrap_interval([0, 0], [0.1, 0.2], [0.2, 0.1], seed=0, draws=10) == Interval(None, None, None, 0.95, 10)
    # Two loans: most draws leave the slope undefined even where the whole book has one.
    label, pd = [0, 1, 0, 1], [0.1, 0.2, 0.3, 0.25]
    interval = bootstrap_interval(label, pd, seed=0, metric=calibration_slope, draws=200)
    assert interval.estimate is not None
    assert (interval.low, interval.high, interval.excludes_zero) == (None, None, None)


@pytest.mark.parametrize("plan", [{"draws": 0}, {"level": 1.0}, {"level": 0.0}])
def test_impossible_plans_are_refused(plan) -> None:
    with pytest.raises(PdxError, match="draws is"):
        bootstrap_interval([0, 1], [0.1, 0.2], seed=0, **plan)
    with pytest.raises(PdxError, match="draws is"):
        month_stratified(["2024-01"] * 2, [0, 1], [0.1, 0.2], [0.1, 0.2], seed=0, **plan)


def test_monthly_difference_averages_months_not_loans() -> None:
    big, small = pair(7, n=3000), pair(8, n=200)
    label, a, b = (np.concatenate(parts) for parts in zip(big, small, strict=True))
    months = ["2024-01"] * 3000 + ["2024-02"] * 200
    found = month_stratified(months, label, a, b, seed=0, draws=200)
    each = [auc(book[0], book[1]) - auc(book[0], book[2]) for book in (big, small)]
    assert list(found.by_month) == ["2024-01", "2024-02"]
    assert list(found.by_month.values()) == pytest.approx(each, rel=1e-12)
    assert found.mean.estimate == pytest.approx(np.mean(each), rel=1e-12)
    # Independent months: the variance of the mean is a quarter of the sum of theirs.
    widths = [np.subtract(*(getattr(bootstrap_interval(*m, seed=0, draws=400), k) for k in ("high", "low")))
              for m in (big, small)]  # fmt: skip
    assert found.mean.high - found.mean.low == pytest.approx(np.hypot(*widths) / 2, rel=0.2)


def test_a_month_of_one_class_is_left_out_and_shown() -> None:
    label, a, b = pair(9)
    months = [Month(2024, 1)] * 500 + [Month(2024, 2)] * 3
    extended = (np.concatenate([x, y]) for x, y in ((label, [0, 0, 0]), (a, [0.1] * 3), (b, [0.2] * 3)))
    found = month_stratified(months, *extended, seed=0, draws=50)
    alone = month_stratified(["2024-01"] * 500, label, a, b, seed=0, draws=50)
    assert found.by_month["2024-02"] is None
    assert found.mean == alone.mean
    nothing = month_stratified(["2024-01"] * 2, [0, 0], [0.1, 0.2], [0.1, 0.2], seed=0, draws=5)
    assert nothing.mean == Interval(None, None, None, 0.95, 5)


def test_every_loan_needs_a_month() -> None:
    with pytest.raises(PdxError, match="1 months for 2 loans"):
        month_stratified(["2024-01"], [0, 1], [0.1, 0.2], [0.1, 0.2], seed=0)
