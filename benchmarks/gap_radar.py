"""Does the gap radar's interval hold what it says? Simulated years with covariate drift, and with concept drift.

Run from the repository: python -m benchmarks.gap_radar [--lenders 50] [--workers 2] [--out gap_radar.jsonl]

One seed is one lender: demo's columns, window plan and policy `paper`, 800 loans a month, two production years.
Challengers are logistic regression and XGBoost on the rolling window, with the library's own untuned defaults.
Each month's champion is estimated on the last day of the month and three, six and nine months later, from what was
known on those days, and compared with what its labels said in the end. In a lender's first year no month has matured,
so that the radar has no record; in its second it has one to eleven months of it (more as a month ages).

Two worlds:

* ``covariate``: applicants worsen by 0.3 standard deviations a year, what is true of them stays.
* ``concept``: the true weights turn by 0.5 radians a year, applicants stay as they are. Nothing in scores or
  applications shows it.

The claim, of ``covariate``: on the day the month ends, the 90 % interval of the AUC holds the realized AUC in 85 to
95 % of all months; exits 1 if not. Everything else is printed. A finished lender is a line of the file at ``--out``;
the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.simulated_drift import ALGORITHMS, LOANS_PER_MONTH, Lender, demo_spec
from pdx_assets.risk.calendar import Month
from pdx_assets.risk.cleaning import clean_features
from pdx_assets.risk.metrics.discrimination import auc
from pdx_assets.risk.models.matrix import Sample
from pdx_assets.risk.models.training import TrainedModel, train
from pdx_assets.risk.policy import Candidate, Contest, decision_document, incumbent_of, paper
from pdx_assets.risk.radar import combined
from pdx_assets.risk.radar.arrears import Seen
from pdx_assets.risk.radar.forecast import Forecast, Matured, forecast
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import Drift, PortfolioSpec
from pdx_assets.risk.synthetic import simulate
from pdx_assets.risk.windows import development_months, otv_months

WORLDS = {"covariate": Drift(covariate=0.3), "concept": Drift(concept=0.5)}
YEARS = 2
AGES = (0, 3, 6, 9)
HELD = (0.85, 0.95)


def draw_loans(spec: PortfolioSpec, drift: Drift, *, seed: int, months: Sequence[Month], loans: int) -> pl.DataFrame:
    """One lender's clean_features with ``label``, ``true_pd`` and ``bad_age`` (null: never), by cohort and loan."""
    lender = spec.tape.simulated
    assert lender is not None
    faultless = lender.faults.model_copy(update={"dirty_share": 0.0})
    count = months[-1].ordinal - Month.parse(lender.first_month).ordinal + 1
    changes = {"seed": seed, "loans_per_month": loans, "drift": drift, "faults": faultless, "months": count}
    book = simulate(lender.model_copy(update=changes))
    rows = clean_features(spec, book.loans.with_columns(pl.all().cast(pl.String)))
    is_bad = pl.col("bad_age").is_not_null() & (pl.col("bad_age") <= spec.label.horizon_months)
    truth = book.truth.select("cohort", "loan_id", "true_pd", "bad_age", is_bad.cast(pl.Int8).alias("label"))
    first = development_months(spec, "rolling_window", spec.p0)[0]
    rows = rows.join(truth, on=["cohort", "loan_id"]).filter(pl.col("cohort") >= str(first))
    return rows.sort("cohort", "loan_id")


@dataclass(frozen=True)
class Cohort:
    """Labelled loans with the month on book in which each turned bad (99: not within the horizon)."""

    sample: Sample
    age: np.ndarray

    def pds(self, model: TrainedModel) -> np.ndarray:
        return np.asarray(model.predict_pd(self.sample.matrix), np.float64)


@dataclass(frozen=True)
class Estimated:
    """A month's forecasts by age, its champion, and what came of it."""

    month: Month
    champion: Candidate
    own: combined.Month
    reference: combined.Reference
    seen: Mapping[int, Seen | None]
    auc: float | None
    bad_rate: float


def run_lender(world: str, seed: int, *, years: int = YEARS, loans: int = LOANS_PER_MONTH) -> list[dict[str, Any]]:
    """Every estimate of one lender: a row a month, age, kind and figure."""
    spec = demo_spec().model_copy(update={"algorithms": ALGORITHMS})
    months = spec.periods.span(spec.p0, spec.periods.shift(spec.p0, 12 * years - 1))
    rows = draw_loans(spec, WORLDS[world], seed=seed, months=months, loans=loans)
    lender = Lender.of(spec, rows.drop("bad_age"))
    estimated = list(_estimates(spec, lender, rows, months, seed))
    found: list[dict[str, Any]] = []
    raw: dict[tuple[Month, int], Matured] = {}
    for month in estimated:
        for age in AGES:
            day = month.month.ordinal + age
            past = [
                raw[m.month, age]
                for m in estimated
                if m.month < month.month and m.month.ordinal + spec.label.horizon_months <= day  # type: ignore[operator]
            ]
            made = forecast(month.own, month.reference.calibration, month.seen[age], past)
            raw[month.month, age] = Matured(made.raw, month.auc, month.bad_rate)
            found += _rows(world, seed, month, age, made)
    return found


def _rows(world: str, seed: int, month: Estimated, age: int, made: Forecast) -> Iterator[dict[str, Any]]:
    seen = month.seen[age]
    for (kind, figure), told in made.told.items():
        yield {
            "world": world,
            "seed": seed,
            "month": str(month.month),
            "age": age,
            "kind": kind,
            "figure": figure,
            "estimate": told.value,
            "low": told.low,
            "high": told.high,
            "standard_error": told.standard_error,
            "realized": getattr(month, figure),
            "matured": told.record.months,
            "widening": told.record.widening,
            "clock": seen.share if seen else 0.0,
            "told": month.reference.told,
            "effective_loans": month.reference.effective_loans,
        }


def _estimates(
    spec: PortfolioSpec, lender: Lender, rows: pl.DataFrame, months: Sequence[Month], seed: int
) -> Iterator[Estimated]:
    horizon = spec.label.horizon_months
    assert horizon is not None
    bad_age = {
        str(c[0]): part["bad_age"].fill_null(99).to_numpy()
        for c, part in rows.partition_by("cohort", as_dict=True).items()
    }

    def cohort(month: Month) -> Cohort:
        sample, _ = lender.production(month)
        age = bad_age[str(month)]
        return Cohort(sample, np.where(age <= horizon, age, 99))

    models: dict[str, TrainedModel] = {}
    recorded: list[dict[str, Any]] = []
    for production in months:
        champion = _champion(spec, lender, production, recorded, models, seed)
        model = models[champion.bundle_sha256]
        before = spec.periods.span(Month.parse(champion.last_cohort) + 1, otv_months(spec, production)[-1])
        labelled = [cohort(m) for m in before[-12:]]
        own = cohort(production)
        month = combined.Month(own.sample.matrix, own.pds(model))
        age = np.concatenate([c.age for c in labelled])
        pds = np.concatenate([c.pds(model) for c in labelled])
        loans = combined.Labelled(_stacked([c.sample for c in labelled]), pds, age <= horizon, age)
        reference, ticks = combined.calibrated(loans, month), combined.clock_of(loans, horizon)
        seen: dict[int, Seen | None] = {0: None}
        for k in AGES[1:]:
            turned = own.age <= k
            seen[k] = Seen(turned, np.full(len(turned), k, np.int32), ticks, float(loans.bad.sum()))
        label = own.sample.label
        yield Estimated(production, champion, month, reference, seen, auc(label, month.pd), float(label.mean()))


def _stacked(samples: Sequence[Sample]) -> Any:
    from pdx_assets.risk.models.matrix import LoanMatrix

    first = samples[0].matrix
    return LoanMatrix(
        np.ascontiguousarray(np.concatenate([s.matrix.numbers for s in samples])),
        np.concatenate([s.matrix.categories for s in samples]),
        first.number_names,
        first.category_names,
    )


def _champion(
    spec: PortfolioSpec,
    lender: Lender,
    production: Month,
    recorded: list[dict[str, Any]],
    models: dict[str, TrainedModel],
    seed: int,
) -> Candidate:
    """The month's champion by Algorithm 1 over fresh rolling-window models; records the decision."""
    before = incumbent_of(spec, production, recorded)
    otv, data = lender.otv(production), lender.development("rolling_window", production, seed)
    last = str(development_months(spec, "rolling_window", production)[-1])
    fresh = []
    for algorithm in spec.algorithms:
        name = f"{algorithm} {production}"
        models[name] = train(
            algorithm, data.train, data.itv, {}, seed=seed_from(spec.name, production, algorithm, seed)
        )
        score = auc(otv.label, models[name].predict_pd(otv.matrix))
        fresh.append(Candidate(name, "rolling_window", algorithm, str(production), last, score))
    incumbent = None
    if before is not None:
        score = auc(otv.label, models[before["champion"]["bundle_sha256"]].predict_pd(otv.matrix))
        incumbent = Candidate(**{**before["champion"], "score": score})
    goods = len(otv) - otv.bads
    contest = Contest(production, otv_months(spec, production), otv.bads, goods, tuple(fresh), incumbent, {})
    choice = paper(contest, spec.decision)
    assert choice.champion is not None, choice.reason
    recorded.append(decision_document(spec, contest, choice, inputs={}, at_cut_off={}))
    return choice.champion


def _lender(world: str, seed: int, years: int, loans: int) -> dict[str, Any]:
    return {
        "world": world,
        "seed": seed,
        "years": years,
        "loans": loans,
        "rows": run_lender(world, seed, years=years, loans=loans),
    }


def _one_thread() -> None:
    import torch

    # Two workers on two cores: threads of their own would only fight.
    torch.set_num_threads(1)


def finished(out: Path, years: int, loans: int) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """The lenders a file holds, of the size asked for; a line cut off by a crash is left out."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for line in out.read_text(encoding="utf-8").splitlines() if out.exists() else []:
        try:
            document = json.loads(line)
        except json.JSONDecodeError:
            continue
        if (document["years"], document["loans"]) == (years, loans):
            found[document["world"], document["seed"]] = document["rows"]
    return found


def run(
    worlds: Sequence[str], lenders: int, *, workers: int, out: Path, years: int = YEARS, loans: int = LOANS_PER_MONTH
) -> pl.DataFrame:
    """Every estimate of all lenders, those of the file included; each lender is appended as it is done."""
    done = finished(out, years, loans)
    wanted = [(world, seed) for seed in range(lenders) for world in worlds]
    missing = [key for key in wanted if key not in done]
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_one_thread) as pool:
        futures = [pool.submit(_lender, world, seed, years, loans) for world, seed in missing]
        for number, future in enumerate(as_completed(futures), 1):
            document = future.result()
            with out.open("a", encoding="utf-8") as lines:
                # A line cut off by a crash must not swallow the next one.
                lines.write(("\n" if out.stat().st_size else "") + json.dumps(document, allow_nan=False))
            done[document["world"], document["seed"]] = document["rows"]
            print(f"{number} of {len(missing)} lenders", flush=True)
    return pl.DataFrame([row for key in wanted for row in done[key]], infer_schema_length=None)


def summary(rows: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Months, share held, bias, root mean square error and half width of intervals, by world, figure, age and kind."""
    error = pl.col("realized") - pl.col("estimate")
    rows = rows.filter(pl.col("realized").is_not_null())
    held = (pl.col("realized") >= pl.col("low")) & (pl.col("realized") <= pl.col("high"))
    return (
        rows.group_by("world", "figure", "age", "kind", *by)
        .agg(
            pl.len().alias("months"),
            held.mean().alias("held"),
            error.mean().alias("bias"),
            (error**2).mean().sqrt().alias("rmse"),
            ((pl.col("high") - pl.col("low")) / 2).mean().alias("half width"),
            pl.col("widening").mean().alias("widened"),
            pl.col("clock").mean().alias("clock"),
        )
        .sort("world", "figure", "age", "kind", *by)
    )


def coverage(rows: pl.DataFrame) -> tuple[float, float, float]:
    """Share of months with covariate drift whose AUC the month-end interval held; and its 95 % interval over lenders.

    Months of a lender share their calibration loans, so lenders are what is drawn anew (2,000 draws).
    """
    claimed = rows.filter(world="covariate", figure="auc", age=0, kind="confidence")
    claimed = claimed.filter(pl.col("realized").is_not_null()).with_columns(
        held=(pl.col("realized") >= pl.col("low")) & (pl.col("realized") <= pl.col("high"))
    )
    shares = claimed.group_by("seed").agg(pl.col("held").mean()).sort("seed")["held"].to_numpy()
    rng = np.random.default_rng(seed_from("gap radar", "coverage"))
    drawn = rng.choice(shares, (2000, len(shares))).mean(axis=1)
    return float(shares.mean()), float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def print_results(rows: pl.DataFrame) -> bool:
    """The tables and the claim; whether it holds."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=120)
    with_year = rows.with_columns(
        pl.when(pl.col("matured") > 0).then(pl.lit("yes")).otherwise(pl.lit("no")).alias("record")
    )
    for title, found in (
        ("All months", summary(rows)),
        ("By record: AUC", summary(with_year.filter(figure="auc"), "record")),
    ):
        table = Table(title=title)
        for column in found.columns:
            table.add_column(column, justify="left" if found[column].dtype == pl.String else "right", no_wrap=True)
        for row in found.iter_rows():
            table.add_row(*(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row))
        console.print(table)
    if "covariate" not in rows["world"].unique().to_list():
        return True
    share, low, high = coverage(rows)
    holds = HELD[0] <= share <= HELD[1]
    years = rows.filter(world="covariate").select("seed", pl.col("month").str.slice(0, 4)).unique().height
    console.print(
        f"{'holds' if holds else 'FAILS':6}covariate drift, {years} years: the 90 % interval of the AUC held "
        f"{share:.1%} of months [{low:.1%}, {high:.1%}], wanted {HELD[0]:.0%} to {HELD[1]:.0%}",
        highlight=False,
    )
    return holds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lenders", type=int, default=50, help="of two years each")
    parser.add_argument("--worlds", nargs="+", choices=list(WORLDS), default=list(WORLDS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("gap_radar.jsonl"), help="finished lenders, one a line")
    given = parser.parse_args()
    return 0 if print_results(run(given.worlds, given.lenders, workers=given.workers, out=given.out)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
