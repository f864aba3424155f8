"""Windows against a brute-force oracle, the paper's Table 2, manifests, and the train/ITV split."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.errors import WindowError
from pdx_assets.risk.hashing import canonical_json
from pdx_assets.risk.outcomes import LABEL_SCHEMA
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.window_loans import in_time_validation, study_sample
from pdx_assets.risk.windows import (
    WEIGHTED,
    Cohorts,
    assemble_development,
    build_manifest,
    canonical_strategy,
    development_months,
    identity,
    otv_months,
    trained_for,
)
from pdx_assets_tests.risk import small_tape

COUNTS = Path(__file__).parent.parent / "data" / "issue_month_counts.json"
STRATEGIES = ("fixed_window", "fixed_origin", "rolling_window")
LOANS_A_MONTH = 5


def plan(*, d: int, o: int, g: int, p0: str, frequency: str = "month") -> PortfolioSpec:
    return small_tape.spec(
        tape={"path": "unused.csv", "first_cohort": "1990-01"},
        windows={"development": d, "otv": o, "gap": g, "first_production": p0, "frequency": frequency},
    )


# --- which months -----------------------------------------------------------------------------------


def test_table_2_of_the_paper() -> None:
    """G=15, D=12, O=3 at 2018-01 give exactly the paper's loan counts."""
    counts = json.loads(COUNTS.read_text(encoding="utf-8"))
    assert len(counts) == 48
    spec = plan(d=12, o=3, g=15, p0="2018-01")
    production = Month(2018, 1)

    def loans(months: tuple[Month, ...]) -> int:
        return sum(counts[str(m)] for m in months)

    for strategy in STRATEGIES:
        development = development_months(spec, strategy, production)
        assert (str(development[0]), str(development[-1]), len(development)) == ("2015-07", "2016-06", 12)
        assert loans(development) == 472_734 == 354_551 + 118_183
    otv = otv_months(spec, production)
    assert [str(m) for m in otv] == ["2016-07", "2016-08", "2016-09"]
    assert loans(otv) == 99_120
    assert counts[str(production)] == 36_347


def oracle(strategy: str, *, d: int, o: int, g: int, p0: int, p: int) -> tuple[list[int], list[int]]:
    """Development and OTV as period numbers, found by looking at every period and asking where it lies.

    Distances are counted backwards from production: 1..G is the gap, then O of OTV, then D of development.
    """
    everything = range(p0 - d - o - g - 5, p + 1)
    otv = [c for c in everything if g < p - c <= g + o]
    rolling = [c for c in everything if g + o < p - c <= g + o + d]
    fixed = [c for c in everything if g + o < p0 - c <= g + o + d]
    origin = [c for c in everything if c >= min(fixed) and c < min(otv)]
    return {"fixed_window": fixed, "fixed_origin": origin, "rolling_window": rolling}[strategy], otv


PLANS = st.fixed_dictionaries(
    {
        "d": st.integers(1, 30),
        "o": st.integers(1, 8),
        "g": st.integers(12, 30),
        "p0": st.integers(2010 * 4, 2030 * 4 - 1),
        "ahead": st.integers(0, 40),
    }
)


@settings(max_examples=60, deadline=None)
@given(PLANS, st.sampled_from(["month", "quarter"]))
def test_windows_equal_the_oracle(drawn: dict[str, int], frequency: str) -> None:
    """Periods are numbered from year 0: months by 12, quarters by 4, with arithmetic of the test's own."""
    a_year = {"month": 12, "quarter": 4}[frequency]
    p0 = drawn["p0"] * a_year // 4
    p = p0 + drawn["ahead"]
    shape = {k: drawn[k] for k in "dog"}

    def key(period: int) -> str:
        return f"{period // a_year:04d}-{period % a_year * (12 // a_year) + 1:02d}"

    spec = plan(**shape, p0=key(p0), frequency=frequency)
    for strategy in STRATEGIES:
        development, otv = oracle(strategy, **shape, p0=p0, p=p)
        assert [str(m) for m in development_months(spec, strategy, Month.parse(key(p)))] == list(map(key, development))
        assert [str(m) for m in otv_months(spec, Month.parse(key(p)))] == list(map(key, otv))


@settings(max_examples=25, deadline=None)
@given(PLANS)
def test_every_label_of_a_valid_plan_is_known_in_time(drawn: dict[str, int]) -> None:
    p0 = Month(drawn["p0"] // 4, 1)
    spec = plan(d=drawn["d"], o=drawn["o"], g=drawn["g"], p0=str(p0))
    production = p0 + drawn["ahead"]
    for strategy in STRATEGIES:
        for cohort in (*development_months(spec, strategy, production), *otv_months(spec, production)):
            assert spec.known_on(cohort) <= decision_date(production)


def test_at_p0_the_strategies_coincide() -> None:
    spec = plan(d=12, o=3, g=12, p0="2017-07")
    windows = {development_months(spec, s, spec.p0) for s in STRATEGIES}
    assert len(windows) == 1
    assert {canonical_strategy(spec, s, spec.p0) for s in STRATEGIES} == {"fixed_window"}
    later = spec.p0 + 1
    assert len({development_months(spec, s, later) for s in STRATEGIES}) == 3
    assert [canonical_strategy(spec, s, later) for s in STRATEGIES] == list(STRATEGIES)
    assert [trained_for(spec, s, later) for s in STRATEGIES] == [spec.p0, later, later]


# --- manifests --------------------------------------------------------------------------------------


def book(spec: PortfolioSpec, first: Month, last: Month) -> Cohorts:
    months = spec.periods.span(first, last)
    ids = [(m, f"{m}-{i}", i) for m in months for i in range(LOANS_A_MONTH)]
    labels = [(str(m), k, int(i < 2), "bad" if i < 2 else "good", spec.known_on(m), None) for m, k, i in ids]
    return Cohorts(
        features={m: f"content-of-{m}" for m in months},
        labels=pl.DataFrame(labels, schema=LABEL_SCHEMA, orient="row"),
        loans=pl.DataFrame({"cohort": [str(m) for m, _, _ in ids], "loan_id": [k for _, k, _ in ids]}),
        refused={},
    )


def without(cohorts: Cohorts, *keys: str) -> Cohorts:
    kept = {m: sha for m, sha in cohorts.features.items() if str(m) not in keys}
    rows = ~pl.col("cohort").is_in(keys)
    return Cohorts(kept, cohorts.labels.filter(rows), cohorts.loans.filter(rows), cohorts.refused)


SPEC = plan(d=12, o=3, g=12, p0="2017-07")  # development 2015-04..2016-03, OTV 2016-04..2016-06
FIRST, LAST = Month(2015, 4), Month(2016, 9)


def test_a_manifest_says_all_about_its_window() -> None:
    manifest = build_manifest(SPEC, "rolling_window", Month(2017, 8), book(SPEC, FIRST, LAST), seed=7)
    assert json.loads(canonical_json(manifest)) == manifest
    assert manifest["portfolio"] == "small"
    assert manifest["strategy"] == "rolling_window"
    assert (manifest["production_month"], manifest["decision_date"]) == ("2017-08", "2017-08-01")
    assert manifest["split"] == {"by": "borrower_hash", "itv_share": 0.25, "seed": 7}
    assert manifest["label"]["horizon_months"] == 12
    development, otv = manifest["development"], manifest["otv"]
    assert (development["first"], development["last"]) == ("2015-05", "2016-04")
    assert (otv["first"], otv["last"]) == ("2016-05", "2016-07")
    assert (development["loans"], development["bads"], development["goods"]) == (60, 24, 36)
    assert otv["bad_rate"] == 0.4
    assert otv["last_event"] == "2017-07-31"
    assert [m["cohort"] for m in otv["months"]] == ["2016-05", "2016-06", "2016-07"]
    assert {m["features_sha256"] for m in otv["months"]} == {f"content-of-2016-0{k}" for k in (5, 6, 7)}
    assert all((m["loans"], m["bads"], m["goods"], m["indeterminate"]) == (5, 2, 3, 0) for m in otv["months"])


def test_row_order_and_months_beside_the_window_do_not_matter() -> None:
    cohorts = book(SPEC, FIRST, Month(2016, 6))
    expected = build_manifest(SPEC, "fixed_window", SPEC.p0, cohorts, seed=0)
    shuffled = Cohorts(
        dict(reversed(cohorts.features.items())),
        cohorts.labels.sample(fraction=1, shuffle=True, seed=1),
        cohorts.loans.sample(fraction=1, shuffle=True, seed=2),
        {Month(2014, 1): "some check"},
    )
    assert build_manifest(SPEC, "fixed_window", SPEC.p0, shuffled, seed=0) == expected
    assert build_manifest(SPEC, "fixed_window", SPEC.p0, book(SPEC, Month(2015, 1), LAST), seed=0) == expected


def test_all_missing_months_are_listed() -> None:
    """A mapping once gave five of twelve months without a word: the manifest computes the months itself."""
    cohorts = without(book(SPEC, FIRST, LAST), "2015-06", "2015-12", "2016-05")
    with pytest.raises(WindowError) as failure:
        build_manifest(SPEC, "fixed_origin", SPEC.p0, cohorts, seed=0)
    text = str(failure.value)
    assert "missing: 2015-06, 2015-12, 2016-05." in text
    assert "window_fixed_origin of 2017-07 needs 15 months" in text
    assert "2015-04..2016-06" in text
    with pytest.raises(WindowError, match=r"2015-04, 2015-05, .*2016-06\."):
        build_manifest(SPEC, "fixed_window", SPEC.p0, without(cohorts, *map(str, cohorts.features)), seed=0)


def test_a_month_with_no_loans_is_not_a_missing_month() -> None:
    cohorts = book(SPEC, FIRST, LAST)
    rows = pl.col("cohort") != "2015-07"
    empty = Cohorts(cohorts.features, cohorts.labels.filter(rows), cohorts.loans.filter(rows), {})
    development = build_manifest(SPEC, "fixed_window", SPEC.p0, empty, seed=0)["development"]
    assert development["loans"] == 55
    month = next(m for m in development["months"] if m["cohort"] == "2015-07")
    assert (month["loans"], month["bads"], month["bad_rate"]) == (0, 0, None)


def test_months_whose_blocking_check_failed_are_refused() -> None:
    good = book(SPEC, FIRST, LAST)
    refused = {
        Month(2015, 9): "reject share 4 % of 1 %",
        Month(2016, 4): "duplicate ids",
        Month(2016, 9): "not in the window",
    }
    cohorts = Cohorts(good.features, good.labels, good.loans, refused)
    with pytest.raises(WindowError) as failure:
        build_manifest(SPEC, "fixed_window", SPEC.p0, cohorts, seed=0)
    text = str(failure.value)
    assert "2015-09 (reject share 4 % of 1 %), 2016-04 (duplicate ids)" in text
    assert "2016-09" not in text


def revised(cohorts: Cohorts, loan: str, on: date) -> Cohorts:
    """The loan turns out bad, known from ``on``."""
    chosen = pl.col("loan_id") == loan
    ended = cohorts.labels.with_columns(
        pl.when(chosen).then(pl.lit(on)).otherwise("superseded_from").alias("superseded_from")
    )
    new = cohorts.labels.filter(chosen).with_columns(
        pl.lit(1, dtype=pl.Int8).alias("label"), pl.lit("bad").alias("status"), pl.lit(on).alias("known_from")
    )
    return Cohorts(cohorts.features, pl.concat([ended, new]), cohorts.loans, cohorts.refused)


def test_a_label_revised_after_p0_does_not_change_the_fixed_window() -> None:
    production = SPEC.p0 + 2
    cohorts = book(SPEC, FIRST, Month(2016, 8))
    later = revised(cohorts, "2015-11-4", date(2017, 8, 15))

    def both(strategy: str) -> tuple[dict, dict]:
        return tuple(build_manifest(SPEC, strategy, production, c, seed=0)["development"] for c in (cohorts, later))

    before, after = both("fixed_window")
    assert after == before
    assert after == build_manifest(SPEC, "fixed_window", SPEC.p0, later, seed=0)["development"]
    # The moving windows see it: it was known on their own decision date.
    for strategy in ("fixed_origin", "rolling_window"):
        before, after = both(strategy)
        assert after["bads"] == before["bads"] + 1
        assert after["sha256"] != before["sha256"]
        changed = [a["cohort"] for a, b in zip(after["months"], before["months"], strict=True) if a != b]
        assert changed == ["2015-11"]


def test_identity_is_content_and_not_name() -> None:
    cohorts = book(SPEC, FIRST, LAST)
    at_p0 = [build_manifest(SPEC, s, SPEC.p0, cohorts, seed=0) for s in STRATEGIES]
    assert len({canonical_json(identity(m, "development")) for m in at_p0}) == 1
    assert len({m["development"]["sha256"] for m in at_p0}) == 1
    later = build_manifest(SPEC, "fixed_window", SPEC.p0 + 1, cohorts, seed=0)
    assert identity(later, "development") == identity(at_p0[0], "development")
    assert identity(later, "otv") != identity(at_p0[0], "otv")
    other_seed = build_manifest(SPEC, "fixed_window", SPEC.p0, cohorts, seed=1)
    assert identity(other_seed, "development") != identity(at_p0[0], "development")
    content = {**cohorts.features, Month(2015, 8): "revised"}
    other = build_manifest(SPEC, "fixed_window", SPEC.p0, Cohorts(content, cohorts.labels, cohorts.loans, {}), seed=0)
    assert other["development"]["sha256"] != at_p0[0]["development"]["sha256"]
    assert other["otv"]["sha256"] == at_p0[0]["otv"]["sha256"]


# --- the split --------------------------------------------------------------------------------------


def splitmix(value: int, seed: int) -> bool:
    """The same rule in Python's unbounded integers, written from the published algorithm."""
    mask = 2**64 - 1
    z = (value + (seed + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    z ^= z >> 31
    return z >> 11 < 2**53 // 4


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20), st.integers(0, 2**31 - 1))
def test_the_split_in_plain_integers(hashes: list[int], seed: int) -> None:
    found = in_time_validation(np.array(hashes, dtype=np.int64), seed)
    assert found.dtype == bool
    assert found.tolist() == [splitmix(h % 2**64, seed) for h in hashes]


def test_the_split_is_frozen() -> None:
    """Moving a borrower to the other side would change every model: this vector must not move."""
    hashes = np.array([0, 1, -1, 2, 42, 10**18, -(10**18), 2**63 - 1, -(2**63), 7, 8, 9], dtype=np.int64)
    assert "".join(map(str, in_time_validation(hashes, 0).astype(int))) == "000000010000"
    assert "".join(map(str, in_time_validation(hashes, 2).astype(int))) == "101000000000"


@pytest.mark.parametrize("hashes", ["counted", "drawn"])
def test_a_quarter_goes_to_itv_and_seeds_differ(hashes: str) -> None:
    """Also for hashes that are no hashes at all but 0, 1, 2, ...: the seed's stirring must be enough."""
    n = 40_000
    values = np.arange(n) if hashes == "counted" else np.random.default_rng(0).integers(-(2**63), 2**63, n)
    sides = [in_time_validation(values.astype(np.int64), seed) for seed in range(4)]
    for side in sides:
        assert abs(side.mean() - 0.25) < 4 * (0.25 * 0.75 / n) ** 0.5
    for i, one in enumerate(sides):
        for other in sides[:i]:
            # Independent sides agree on 0.25^2 + 0.75^2 of the loans.
            assert abs((one == other).mean() - 0.625) < 0.015


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=60),
    st.integers(1, 80),
    st.integers(0, 2**31 - 1),
)
def test_a_study_sample_keeps_borrowers_whole_and_never_exceeds_the_limit(
    borrowers: list[int], most: int, seed: int
) -> None:
    # Each borrower has two loans.
    hashes = np.repeat(np.array(borrowers, dtype=np.int64), 2)
    found = study_sample(hashes, most, seed)
    if len(hashes) <= most:
        assert found.all()
        return
    assert found.sum() <= most
    inside = set(hashes[found].tolist())
    assert inside.isdisjoint(hashes[~found].tolist())
    # Adding loans of others cannot bring anybody in.
    more = study_sample(np.append(hashes, hashes[:1] + np.int64(0)), most, seed)
    assert set(np.append(hashes, hashes[:1])[more].tolist()) <= inside


def test_a_study_sample_is_close_to_its_limit_and_has_both_sides_in_their_shares() -> None:
    n, most = 40_000, 10_000
    hashes = np.arange(n, dtype=np.int64)
    found = study_sample(hashes, most, 3)
    assert found.sum() == most
    side = in_time_validation(hashes, 3)
    assert abs(side[found].mean() - 0.25) < 4 * (0.25 * 0.75 / most) ** 0.5
    assert (study_sample(hashes, most, 4) != found).any()


def features_of(cohorts: Cohorts, spec: PortfolioSpec) -> pl.DataFrame:
    """Six borrowers take a loan in every month."""
    loans = cohorts.loans.with_row_index("n")
    number = pl.col("n").cast(pl.Float32)
    return loans.select(
        "cohort",
        "loan_id",
        (pl.col("n") % 6).cast(pl.Int64).alias("borrower_hash"),
        *(number.alias(name) for name in spec.number_features),
        *(pl.lit("a").alias(name) for name in spec.category_features),
    )


def test_a_borrower_is_on_the_same_side_in_every_month_and_window() -> None:
    cohorts = book(SPEC, FIRST, LAST)
    features = features_of(cohorts, SPEC)
    borrower = dict(zip(features["amount"], features["borrower_hash"], strict=True))
    sides: dict[int, set[str]] = {b: set() for b in range(6)}
    for strategy, production in (
        ("fixed_window", SPEC.p0),
        ("rolling_window", SPEC.p0 + 2),
        ("fixed_origin", SPEC.p0 + 3),
    ):
        manifest = build_manifest(SPEC, strategy, production, cohorts, seed=3)
        wanted = [m["cohort"] for m in manifest["development"]["months"]]
        rows = features.filter(pl.col("cohort").is_in(wanted))
        development = assemble_development(SPEC, manifest, rows, cohorts.labels.filter(pl.col("cohort").is_in(wanted)))
        amount = SPEC.number_features.index("amount")
        seen = 0
        for name, sample in (("train", development.train), ("itv", development.itv)):
            seen += len(sample.label)
            for value in sample.matrix.numbers[:, amount]:
                sides[borrower[value]].add(name)
        assert seen == rows.height
    assert all(len(side) == 1 for side in sides.values())
    assert {side for s in sides.values() for side in s} == {"train", "itv"}


def test_development_uses_the_labels_of_its_own_decision_date() -> None:
    production = SPEC.p0 + 2
    cohorts = book(SPEC, FIRST, Month(2016, 8))
    later = revised(cohorts, "2015-11-4", date(2017, 8, 15))
    features = features_of(later, SPEC)

    def bads(strategy: str) -> int:
        manifest = build_manifest(SPEC, strategy, production, later, seed=0)
        wanted = pl.col("cohort").is_in([m["cohort"] for m in manifest["development"]["months"]])
        made = assemble_development(SPEC, manifest, features.filter(wanted), later.labels.filter(wanted))
        found = int(made.train.label.sum() + made.itv.label.sum())
        assert found == manifest["development"]["bads"]
        return found

    assert bads("fixed_window") == 12 * 2
    assert bads("rolling_window") == 12 * 2 + 1


def test_assembly_does_not_depend_on_row_order() -> None:
    cohorts = book(SPEC, FIRST, Month(2016, 6))
    manifest = build_manifest(SPEC, "fixed_window", SPEC.p0, cohorts, seed=0)
    rows = pl.col("cohort").is_in([m["cohort"] for m in manifest["development"]["months"]])
    features, labels = features_of(cohorts, SPEC).filter(rows), cohorts.labels.filter(rows)
    one = assemble_development(SPEC, manifest, features, labels)
    two = assemble_development(
        SPEC,
        manifest,
        features.sample(fraction=1, shuffle=True, seed=1),
        labels.sample(fraction=1, shuffle=True, seed=2),
    )
    for a, b in ((one.train, two.train), (one.itv, two.itv)):
        np.testing.assert_array_equal(a.matrix.numbers, b.matrix.numbers)
        np.testing.assert_array_equal(a.label, b.label)


def test_a_weighted_manifest_tells_bads_and_goods_by_weight_beside_the_counts() -> None:
    spec = plan(d=2, o=1, g=12, p0="2017-07")
    cohorts = book(spec, Month(2016, 1), Month(2016, 6))
    plain = build_manifest(spec, "fixed_window", spec.p0, cohorts, seed=0)
    weight = [1.0 if int(i.rsplit("-", 1)[1]) < 2 else 10.0 + int(i[-1]) for i in cohorts.loans["loan_id"]]
    weighted = replace(cohorts, loans=cohorts.loans.with_columns(weight=pl.Series(weight)))
    manifest = build_manifest(spec, "fixed_window", spec.p0, weighted, seed=0)
    for part in ("development", "otv"):
        parts = ([made[part], *made[part]["months"]] for made in (manifest, plain))
        for shown, month in zip(*parts, strict=True):
            kept = {k: v for k, v in shown.items() if k not in (*WEIGHTED, "months")}
            assert kept == {k: v for k, v in month.items() if k != "months"}, "counts and hashes stay"
            assert not set(WEIGHTED) & set(month)
        first = manifest[part]["months"][0]
        goods = np.array(weight[2:LOANS_A_MONTH])
        assert first["weighted_bad_rate"] == pytest.approx(2 / (2 + goods.sum()))
        assert first["effective_bads"] == pytest.approx(2)
        assert first["effective_goods"] == pytest.approx(goods.sum() ** 2 / (goods**2).sum())
