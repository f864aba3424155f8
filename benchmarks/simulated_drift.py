"""Is a champion worth having? The same policy at simulated lenders with and without drift, over many seeds.

Run from the repository: python -m benchmarks.simulated_drift [--seeds 20] [--worlds drift strong stable shuffled]

One seed is one lender: demo's columns, window plan and policy, 800 loans a month, twelve production months.
Challengers are logistic regression and XGBoost with the library's own untuned defaults. The baseline is the
first champion, frozen. A lender's **gain** is the champion's AUC minus the baseline's on each month's own
loans, averaged over the twelve months; intervals are Student's t over lenders, which are independent.

Four worlds, the same seeds in each:

* ``drift``: demo's own drift (0.27 radians a year and 0.10 standard deviations of covariate drift).
* ``strong``: the true weights rotate by 0.5 radians a year, nothing else changes.
* ``stable``: every switch off.
* ``shuffled``: the loans of ``stable``, dealt out to the months again at random. Order then carries no
  information by construction, and whatever the policy still gains is what more data (and another pick
  each month) brings. So this gain is the definition of "what more data alone brings"; ``stable`` minus
  ``shuffled``, lender by lender, is what the order of months adds without drift: it should be 0. (Not exactly:
  borrowers who come back are still growing in number during the first fifteen months of development.)

AUC is measured twice: **realized**, on the outcomes that happened, and **expected**, with each loan a bad of
weight PD and a good of weight 1 - PD under its true PD (what the realized one averages to over outcomes;
the noise of about 60 bads a month is gone, only that of training remains). No score can expect more than
the true PD itself (Neyman and Pearson), so in expectation the bound is exact; realized it holds up to noise.

Nothing is stored: no tape, no bundle, no file.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import pdx_assets
from benchmarks.drift_claims import MEASURES, TRUTH, Mean, claims, gain
from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.cleaning import clean_features
from pdx_assets.risk.hashing import content_sha256
from pdx_assets.risk.metrics.discrimination import auc
from pdx_assets.risk.models.matrix import Sample
from pdx_assets.risk.models.training import TrainedModel, train
from pdx_assets.risk.outcomes import LABEL_SCHEMA
from pdx_assets.risk.policy import Candidate, Contest, decision_document, incumbent_of, paper
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import AlgorithmName, Drift, PortfolioSpec, Strategy
from pdx_assets.risk.spec_file import load_spec
from pdx_assets.risk.synthetic import simulate
from pdx_assets.risk.window_loans import Development, labelled, to_sample
from pdx_assets.risk.windows import (
    Cohorts,
    assemble_development,
    build_manifest,
    development_months,
    otv_months,
    trained_for,
)

ALGORITHMS: tuple[AlgorithmName, ...] = ("logistic_regression", "xgboost")
PRODUCTION_MONTHS = 12
LOANS_PER_MONTH = 800


@dataclass(frozen=True)
class World:
    """What changes over the years, and whether months keep their order."""

    drift: Drift
    shuffled: bool = False


def demo_spec() -> PortfolioSpec:
    return load_spec(Path(pdx_assets.__file__).parent / "defs" / "demo" / "defs.yaml")


def worlds(spec: PortfolioSpec) -> dict[str, World]:
    assert spec.tape.simulated is not None
    return {
        "drift": World(spec.tape.simulated.drift),
        "strong": World(Drift(concept=0.5)),
        "stable": World(Drift()),
        "shuffled": World(Drift(), shuffled=True),
    }


def production_months(spec: PortfolioSpec) -> tuple[Month, ...]:
    return spec.periods.span(spec.p0, spec.periods.shift(spec.p0, PRODUCTION_MONTHS - 1))


def draw_loans(spec: PortfolioSpec, world: World, *, seed: int, loans_per_month: int) -> pl.DataFrame:
    """One lender's loans from the first development month to the last production month.

    Returns:
        clean_features, ``label`` (90 days past due within twelve months: the truth, which the panel of a
        lender without faults shows) and ``true_pd``, by cohort and loan.
    """
    simulated = spec.tape.simulated
    assert simulated is not None
    first, last = development_months(spec, "fixed_window", spec.p0)[0], production_months(spec)[-1]
    lender = simulated.model_copy(
        update={
            "seed": seed,
            "loans_per_month": loans_per_month,
            "drift": world.drift,
            "faults": simulated.faults.model_copy(update={"dirty_share": 0.0}),
        }
    )
    book = simulate(lender)
    # As text, the way an export is read.
    rows = clean_features(spec, book.loans.with_columns(pl.all().cast(pl.String)))
    bad = pl.col("bad_age").is_not_null() & (pl.col("bad_age") <= spec.label.horizon_months)
    truth = book.truth.select("cohort", "loan_id", "true_pd", bad.cast(pl.Int8).alias("label"))
    rows = rows.join(truth, on=["cohort", "loan_id"]).filter(
        pl.col("cohort").is_between(pl.lit(str(first)), pl.lit(str(last)))
    )
    rows = rows.sort("cohort", "loan_id")
    return shuffle_months(rows, seed_from("simulated drift", "shuffled", seed)) if world.shuffled else rows


def shuffle_months(rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The same loans dealt out to the same months at random; every month keeps its number of loans."""
    dealt = rows[np.random.default_rng(seed).permutation(rows.height)]
    return dealt.with_columns(rows["cohort"]).sort("cohort", "loan_id")


def label_versions(spec: PortfolioSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """Label rows as outcomes.label_rows gives them for a lender that reports on time and never revises."""
    known = {cohort: spec.known_on(Month.parse(cohort)) for cohort in rows["cohort"].unique()}
    return rows.select(
        "cohort",
        "loan_id",
        "label",
        pl.when(pl.col("label") == 1).then(pl.lit("bad")).otherwise(pl.lit("good")).alias("status"),
        pl.col("cohort").replace_strict(known, return_dtype=pl.Date).alias("known_from"),
        pl.lit(None, dtype=pl.Date).alias("superseded_from"),
    ).cast(LABEL_SCHEMA)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Lender:
    """A lender's loans as the windows take them."""

    spec: PortfolioSpec
    loans: pl.DataFrame
    features: pl.DataFrame
    labels: pl.DataFrame
    hashes: Mapping[Month, str]

    @classmethod
    def of(cls, spec: PortfolioSpec, rows: pl.DataFrame) -> Lender:
        features = rows.drop("label", "true_pd")
        by_month = features.partition_by("cohort", as_dict=True)
        hashes = {Month.parse(c[0]): content_sha256(f) for c, f in by_month.items()}
        return cls(spec, rows, features, label_versions(spec, rows), hashes)

    def development(self, strategy: Strategy, production: Month, seed: int) -> Development:
        """Train and ITV by the window's manifest, and so behind the firewall."""
        cohorts = Cohorts(self.hashes, self.labels, self.loans.select("cohort", "loan_id"), {})
        manifest = build_manifest(self.spec, strategy, production, cohorts, seed=seed)
        months = self._months(development_months(self.spec, strategy, production))
        return assemble_development(self.spec, manifest, self.features.filter(months), self.labels.filter(months))

    def otv(self, production: Month) -> Sample:
        months = self._months(otv_months(self.spec, production))
        features, labels = self.features.filter(months), self.labels.filter(months)
        return to_sample(self.spec, labelled(features, labels, on=decision_date(production)))

    def production(self, production: Month) -> tuple[Sample, np.ndarray]:
        """The month's own loans, and their true PDs."""
        rows = self.loans.filter(self._months((production,)))
        return to_sample(self.spec, rows), rows["true_pd"].to_numpy()

    @staticmethod
    def _months(months: Sequence[Month]) -> pl.Expr:
        return pl.col("cohort").is_in([str(m) for m in months])


def expected(true_pd: np.ndarray, pd: np.ndarray) -> float:
    """The AUC of ``pd`` on average over outcomes drawn from the true PDs; arrays (n,)."""
    label = np.repeat([1, 0], len(pd))
    found = auc(label, np.tile(pd, 2), np.concatenate([true_pd, 1 - true_pd]))
    assert found is not None
    return found


def run_policy(
    lender: Lender, *, seed: int, months: int = PRODUCTION_MONTHS, tick: Callable[[], object] = lambda: None
) -> pl.DataFrame:
    """The first production months of Algorithm 1 at one lender.

    Returns:
        ``production_month``, ``model`` (champion, baseline, each recipe's fresh challenger, true PD),
        ``verdict`` (of the month), ``realized`` and ``expected`` AUC on the month's own loans.
    """
    spec, recorded = lender.spec, list[dict[str, Any]]()
    models: dict[str, TrainedModel] = {}
    measured = []
    for production in production_months(spec)[:months]:
        before = incumbent_of(spec, production, recorded)
        own: tuple[Strategy, ...] = ("fixed_window",) if production == spec.p0 else ("fixed_origin", "rolling_window")
        otv = lender.otv(production)
        data = {strategy: lender.development(strategy, production, seed) for strategy in own}
        fresh = []
        for algorithm in spec.algorithms:
            for strategy in own:
                # No bundle is written: a name stands where its digest would.
                name = f"{strategy} {algorithm} {trained_for(spec, strategy, production)}"
                fit_seed = seed_from(spec.name, production, strategy, algorithm, seed)
                models[name] = train(algorithm, data[strategy].train, data[strategy].itv, {}, seed=fit_seed)
                last = str(development_months(spec, strategy, production)[-1])
                score = auc(otv.label, models[name].predict_pd(otv.matrix))
                fresh.append(Candidate(name, strategy, algorithm, str(production), last, score))
        incumbent = None
        if before is not None:
            score = auc(otv.label, models[before["champion"]["bundle_sha256"]].predict_pd(otv.matrix))
            incumbent = Candidate(**{**before["champion"], "score": score})
        contest = Contest(
            production,
            otv_months(spec, production),
            otv.bads,
            len(otv) - otv.bads,
            tuple(fresh),
            incumbent,
            {},
        )
        choice = paper(contest, spec.decision)
        assert choice.champion is not None, choice.reason
        recorded.append(decision_document(spec, contest, choice, inputs={}, at_cut_off={}))
        streams = {
            "champion": choice.champion.bundle_sha256,
            "baseline": recorded[0]["champion"]["bundle_sha256"],
        }
        streams |= {f"{c.strategy} {c.algorithm}": c.bundle_sha256 for c in fresh}
        month = measure_month(lender, production, {name: models[key] for name, key in streams.items()})
        measured += [{"production_month": str(production), "verdict": choice.verdict, **row} for row in month]
        tick()
    return pl.DataFrame(measured)


def measure_month(lender: Lender, production: Month, streams: Mapping[str, TrainedModel]) -> Iterator[dict[str, Any]]:
    sample, true_pd = lender.production(production)
    scores = {name: model.predict_pd(sample.matrix) for name, model in streams.items()}
    for name, pd in {TRUTH: true_pd, **scores}.items():
        yield {"model": name, "realized": auc(sample.label, pd), "expected": expected(true_pd, pd)}


def experiment(
    spec: PortfolioSpec,
    names: Sequence[str],
    seeds: Sequence[int],
    *,
    loans_per_month: int = LOANS_PER_MONTH,
    tick: Callable[[str], object] = lambda _: None,
) -> pl.DataFrame:
    """:func:`run_policy` of every world and seed: its columns, ``world`` and ``seed``."""
    parts = []
    for seed in seeds:
        for name in names:
            rows = draw_loans(spec, worlds(spec)[name], seed=seed, loans_per_month=loans_per_month)
            result = run_policy(Lender.of(spec, rows), seed=seed, tick=partial(tick, f"seed {seed}, {name}"))
            parts.append(result.with_columns(pl.lit(name).alias("world"), pl.lit(seed).alias("seed")))
    return pl.concat(parts)


def print_results(results: pl.DataFrame) -> bool:
    """The table and the claims; whether all of them hold."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=132)
    lenders = results["seed"].n_unique()
    table = Table(
        title=f"{lenders} lenders x {PRODUCTION_MONTHS} production months: mean AUC, and gain with 95 % interval"
    )
    for column in ("world", TRUTH, "champion", "baseline", "gain, realized", "gain, expected", "promotions"):
        table.add_column(column, justify="left" if column == "world" else "right", no_wrap=True)
    for world in results["world"].unique(maintain_order=True):
        rows = results.filter(world=world)
        means = [rows.filter(model=m)["realized"].to_numpy().mean() for m in (TRUTH, "champion", "baseline")]
        gains = [str(Mean.over(gain(results, world, measure))) for measure in MEASURES]
        promoted = rows.filter(model="champion", verdict="promoted").height / lenders
        table.add_row(world, *(f"{m:.4f}" for m in means), *gains, f"{promoted:.1f}")
    console.print(table)
    decided = claims(results)
    for claim in decided:
        console.print(f"{'holds' if claim.holds else 'FAILS':6}{claim.says}: {claim.found}", highlight=False)
    return all(claim.holds for claim in decided)


def main() -> int:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    spec = demo_spec().model_copy(update={"algorithms": ALGORITHMS})
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="lenders (at least 2)")
    parser.add_argument("--worlds", nargs="+", choices=list(worlds(spec)), default=list(worlds(spec)))
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error("--seeds: an interval needs at least 2 lenders")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("", total=given.seeds * len(given.worlds) * PRODUCTION_MONTHS)

        def tick(where: str) -> None:
            progress.update(task, advance=1, description=where)

        results = experiment(spec, given.worlds, range(given.seeds), tick=tick)
    return 0 if print_results(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
