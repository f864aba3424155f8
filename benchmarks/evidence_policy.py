"""Does promotion on evidence change recipe for good reasons only? All policies at simulated lenders, over many seeds.

Run from the repository: python -m benchmarks.evidence_policy --out FILE.jsonl [--seeds 100] [--years 1] [--workers 2]

One seed is one lender: demo's columns and window plan, 500 loans a month (about 40 bads), an untuned logistic
regression and an untuned XGBoost for each strategy, as-of models for every month from 21 months before p0. Two worlds,
the same seeds in each: ``stable`` (no drift) and ``drift`` (the true weights turn by ``--concept`` radians a year, 0.27
by default as in demo). Under ``evidence`` contests, gates, level, cool-down and forgetting are the settings' defaults,
and no first recipe is declared, so it begins with the best record. It runs once more with a poor one declared, the
rolling window's logistic regression, which is also what ``always`` has: there is something better to be found, and a
near-equal (that window's XGBoost) to be taken for it.

A model's **true AUC** is its expected AUC under the true PDs, on loans that no model has seen: 20,000 first-time
applicants of the month for the monthly figures, a million for a change of recipe under ``evidence``. A change is
**false** when the new model's is not higher than that of the model which would have been in charge: the month's refit
of the old recipe, or, under the other policies, the incumbent itself. A year is false when any of its changes is.

Who is truly better is also asked of the judges themselves, each production month: the common OTV, on the month's own
models that have not seen it (the paper's strategies); the same three cohorts under models of before them, which any
recipe has; and the record. Which recipe each puts first is held against its mean true AUC over the lender's months.

One line a lender is appended to the file when it is done; lenders that are there already are not done again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.evidence_report import print_report
from benchmarks.simulated_drift import demo_spec, expected
from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.cleaning import clean_features
from pdx_assets.risk.evidence import gates as of
from pdx_assets.risk.evidence.paired import mean_level
from pdx_assets.risk.evidence.record import MonthEvidence, MonthRecord, month_evidence
from pdx_assets.risk.metrics.auc_error import auc_estimate
from pdx_assets.risk.metrics.discrimination import auc
from pdx_assets.risk.models.matrix import LoanMatrix, Sample
from pdx_assets.risk.models.training import TrainedModel, train
from pdx_assets.risk.policy import (
    POLICIES,
    Candidate,
    Contest,
    Evidence,
    contest_number,
    decision_document,
    incumbent_of,
    periods_since_change,
)
from pdx_assets.risk.scoring import cut_off_for
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import Decision, Drift, PolicyName, PortfolioSpec, SimulatedLender
from pdx_assets.risk.spec.method import HALF_LIFE_MONTHS
from pdx_assets.risk.synthetic import simulate
from pdx_assets.risk.synthetic_applicants import draw_applications, draw_borrowers, true_log_odds
from pdx_assets.risk.window_loans import Development, in_time_validation, to_sample

ALGORITHMS = ("logistic_regression", "xgboost")
STRATEGIES = ("rolling_window", "all_known", "immature_cohorts")
FIRST_COHORT, FIRST_AS_OF, P0 = Month(2019, 1), Month(2021, 4), Month(2023, 1)
HORIZON = 12
ALWAYS = "rolling_window logistic_regression"
BEGUN_POORLY = f"evidence, begun with {ALWAYS}"
SAMPLE, MILLION, CHUNK = 20_000, 1_000_000, 100_000


@dataclass(frozen=True)
class Plan:
    """What one lender is run with."""

    world: str
    seed: int
    years: int = 1
    loans_per_month: int = 500
    concept: float = 0.27
    strategies: tuple[str, ...] = STRATEGIES
    half_life: int | None = HALF_LIFE_MONTHS

    @property
    def key(self) -> str:
        return json.dumps(vars(self), sort_keys=True)

    @property
    def lender(self) -> SimulatedLender:
        simulated = plan_spec().tape.simulated
        assert isinstance(simulated, SimulatedLender)
        changed = {
            "seed": self.seed,
            "first_month": str(FIRST_COHORT),
            "months": (P0 + 12 * self.years).ordinal - FIRST_COHORT.ordinal,
            "loans_per_month": self.loans_per_month,
            "drift": Drift(concept=self.concept if self.world == "drift" else 0.0),
            "faults": simulated.faults.model_copy(update={"dirty_share": 0.0}),
        }
        return simulated.model_copy(update=changed)

    @property
    def decisions(self) -> dict[str, Decision]:
        """The settings of every policy, by its name in the report."""
        asked: list[tuple[str, PolicyName, str | None]] = [(policy, policy, None) for policy in POLICIES]
        return {
            name: Decision(
                policy=policy,
                always=ALWAYS,
                evidence={"first_month": str(FIRST_AS_OF), "first_recipe": first},  # type: ignore[arg-type]
            )
            for name, policy, first in [*asked, (BEGUN_POORLY, "evidence", ALWAYS)]
        }


@lru_cache(maxsize=1)
def plan_spec() -> PortfolioSpec:
    spec = demo_spec()
    return spec.model_copy(update={"windows": spec.windows.model_copy(update={"first_production": str(P0)})})


@dataclass
class Lender:
    """A lender's loans, and the models its recipes make of what is known on a first day of a month."""

    plan: Plan
    models: dict[str, TrainedModel] = field(default_factory=dict)
    windows: dict[tuple[str, Month], Development] = field(default_factory=dict)
    measured: dict[tuple[str, Month, int], float] = field(default_factory=dict)

    @cached_property
    def rows(self) -> pl.DataFrame:
        """clean_features, ``true_pd``, ``bad_age`` (0: never) and ``born`` (ordinal of the cohort)."""
        book = simulate(self.plan.lender)
        rows = clean_features(plan_spec(), book.loans.with_columns(pl.all().cast(pl.String)))
        truth = book.truth.with_columns(pl.col("bad_age").fill_null(0))
        born = pl.col("cohort").replace_strict({str(c.month): c.month.ordinal for c in book.cohorts})
        return rows.join(truth, on=["cohort", "loan_id"]).with_columns(born.alias("born")).sort("born", "loan_id")

    def labelled(self, first: Month, last: Month) -> pl.DataFrame:
        label = (pl.col("bad_age").is_between(1, HORIZON)).cast(pl.Int8).alias("label")
        return self.rows.filter(pl.col("born").is_between(first.ordinal, last.ordinal)).with_columns(label)

    def learned(self, strategy: str, month: Month) -> pl.DataFrame:
        """Labelled (and for partly observed cohorts weighted) loans that a strategy takes on a month's first day."""
        known = month - (HORIZON + 1)
        if strategy == "rolling_window":
            plan = plan_spec().windows
            end = month - (plan.gap + plan.otv + 1)
            return self.labelled(end - (plan.development - 1), end)
        if strategy == "all_known":
            return self.labelled(FIRST_COHORT, known)
        if strategy != "immature_cohorts":
            raise ValueError(f"{strategy!r}: expected some of {', '.join(STRATEGIES)}")
        from pdx_assets.risk.exposure import clock, exposure, recency

        rows = self.labelled(FIRST_COHORT, month - 1)
        age, seen = rows["bad_age"].to_numpy(), np.minimum(month.ordinal - 1 - rows["born"].to_numpy(), HORIZON)
        bad = (age > 0) & (age <= seen)
        at = np.where(bad, age, seen).astype(np.int64)
        weight = exposure(bad, at, clock(bad, at, HORIZON))
        if self.plan.half_life is not None:
            weight = weight * recency(rows["born"].to_numpy(), decision_date(month), self.plan.half_life)
        rows = rows.with_columns(pl.Series("label", bad.astype(np.int8)), pl.Series("weight", weight))
        return rows.filter(pl.col("weight") > 0)

    def development(self, strategy: str, month: Month) -> Development:
        """Train and ITV, split by borrower as everywhere."""
        if (strategy, month) not in self.windows:
            rows = self.learned(strategy, month)
            itv = in_time_validation(rows["borrower_hash"].to_numpy(), self.plan.seed)
            self.windows[strategy, month] = Development(
                *(to_sample(plan_spec(), rows.filter(pl.Series(side))) for side in (~itv, itv))
            )
        return self.windows[strategy, month]

    def model(self, recipe: str, month: Month) -> str:
        """Trains a recipe's model of a month, if that is to be done, and returns its name."""
        name = f"{recipe} {month}"
        if name not in self.models:
            strategy, algorithm = recipe.split()
            loans = self.development(strategy, month)
            seed = seed_from("evidence policy", self.plan.seed, recipe, month)
            self.models[name] = train(algorithm, loans.train, loans.itv, {}, seed=seed)
        return name

    def sample(self, first: Month, last: Month) -> Sample:
        return to_sample(plan_spec(), self.labelled(first, last))

    def true_aucs(self, names: Sequence[str], month: Month, count: int = SAMPLE) -> list[float]:
        """Of each model on ``count`` fresh applicants of the month."""
        asked = [n for n in dict.fromkeys(names) if (n, month, count) not in self.measured]
        world = self.plan.lender.model_copy(update={"seed": 0})
        truth, scores = [], {name: list[np.ndarray]() for name in asked}
        for part in range(max(count // CHUNK, 1) if asked else 0):
            matrix, pds = applicants(world, month, min(count, CHUNK), part)
            truth.append(pds)
            for name, made in scores.items():
                made.append(self.models[name].predict_pd(matrix))
        for name, made in scores.items():
            self.measured[name, month, count] = expected(np.concatenate(truth), np.concatenate(made))
        return [self.measured[name, month, count] for name in names]


# A month's million is drawn in 20 s and held in some 100 MB; two worlds of a year are kept.
@lru_cache(maxsize=2 * 12 * (MILLION // CHUNK + 1))
def applicants(lender: SimulatedLender, month: Month, count: int, part: int = 0) -> tuple[LoanMatrix, np.ndarray]:
    """First-time applicants of a month whom no book holds, and their true PDs; the same for every seed of a world."""
    years = (month.ordinal - Month.parse(lender.first_month).ordinal) / 12
    shift = lender.drift.covariate * years
    random = np.random.default_rng(seed_from("evidence policy", "fresh applicants", month, part))
    drawn = draw_applications(random, draw_borrowers(random, count, shift), np.zeros(count), month, shift)
    number = pl.int_range(count, eager=True).cast(pl.String)
    loans = drawn.drop("applicant").with_columns(
        number.alias("loan_id"), number.alias("borrower_id"), previous_loans=pl.lit(0)
    )
    odds = true_log_odds(loans, bad_rate=lender.bad_rate, angle=lender.drift.concept * years, shock=0.0)
    rows = loans.with_columns(cohort=pl.lit(str(month)), true_pd=1 / (1 + np.exp(-np.clip(odds, -13, 13))))
    features = clean_features(plan_spec(), rows.drop("true_pd").with_columns(pl.all().cast(pl.String)))
    joined = features.join(rows.select("loan_id", "true_pd"), on="loan_id")
    matrix = LoanMatrix.from_frame(joined, plan_spec().number_features, plan_spec().category_features)
    return matrix, joined["true_pd"].to_numpy()


def as_of_evidence(lender: Lender, month: Month, recipes: Sequence[str]) -> MonthEvidence | None:
    """Each recipe's model of the month's first day, judged on the month's own loans."""
    loans = lender.sample(month, month)
    pds = {recipe: lender.models[lender.model(recipe, month)].predict_pd(loans.matrix) for recipe in recipes}
    # The newest thing any of them can know happened on the day before.
    last = dict.fromkeys(recipes, (month - 1).last_day)
    return month_evidence(MonthRecord(month, loans.label, None, pds, last))


def judged_gates(lender: Lender, production: Month, new: Candidate, incumbent: Candidate) -> tuple[of.Gate, ...]:
    """The gates of a model against the incumbent, on what a lender has on the decision date (stages/gates.py)."""
    rules = lender.plan.decisions["evidence"].evidence
    assert rules is not None
    models = [lender.models[c.bundle_sha256] for c in (new, incumbent)]
    itv = lender.development(new.strategy, production).itv
    pds = [m.predict_pd(itv.matrix) for m in models]
    asked = [
        of.discrimination(rules, auc_estimate(itv.label, *pds, itv.weight)),
        of.calibration(rules, itv.label, pds[0], itv.weight),
    ]
    recent = lender.sample(production - 1, production - 1)
    after, before = (m.predict_pd(recent.matrix) for m in models)
    cut_off = cut_off_for(0.8, before)
    shares = [float((pd <= cut_off).mean()) for pd in (before, after)]
    return (*asked, of.score_psi(rules, before, after), of.approval_rate(rules, *shares))


def candidate(lender: Lender, recipe: str, production: Month, otv: Sample) -> Candidate:
    name = lender.model(recipe, production)
    strategy, algorithm = recipe.split()
    last, score = production - 1, None
    if strategy == "rolling_window":
        last, score = production - 16, auc(otv.label, lender.models[name].predict_pd(otv.matrix))
    elif strategy == "all_known":
        last = production - 13
    return Candidate(name, strategy, algorithm, str(production), str(last), score)


def run_lender(plan: Plan) -> dict[str, Any]:
    """Every policy at one lender: a document with one entry a production month."""
    begun = time.perf_counter()
    lender, spec = Lender(plan), plan_spec()
    recipes = [f"{s} {a}" for s in plan.strategies for a in ALGORITHMS]
    months = spec.periods.span(P0, P0 + (12 * plan.years - 1))
    record = {m: as_of_evidence(lender, m, recipes) for m in spec.periods.span(FIRST_AS_OF, months[-1] - 13)}
    recorded: dict[str, list[dict[str, Any]]] = {name: [] for name in plan.decisions}
    out = []
    for production in months:
        otv = lender.sample(production - 15, production - 13)
        own = {recipe: candidate(lender, recipe, production, otv) for recipe in recipes}
        known = tuple(e for m, e in record.items() if e is not None and m + (HORIZON + 1) <= production)
        names = [c.bundle_sha256 for c in own.values()]
        truth = dict(zip(own, lender.true_aucs(names, production), strict=True))
        judged = picks(lender, production, own, otv, known)
        entry: dict[str, Any] = {"month": str(production), "truth": truth, "policies": {}, "picks": judged}
        for name, decision in plan.decisions.items():
            declared = spec.model_copy(update={"decision": decision})
            contest = month_contest(lender, declared, production, own, otv, known, recorded[name])
            choice = POLICIES[decision.policy](contest, decision)
            assert choice.champion is not None, choice.reason
            recorded[name].append(decision_document(declared, contest, choice, inputs={}, at_cut_off={}))
            result = month_result(lender, production, contest, choice.champion, own)
            entry["policies"][name] = {"verdict": choice.verdict, **result}
        out.append(entry)
    return {"key": plan.key, "plan": vars(plan), "seconds": round(time.perf_counter() - begun, 1), "months": out}


def month_contest(
    lender: Lender,
    spec: PortfolioSpec,
    production: Month,
    own: Mapping[str, Candidate],
    otv: Sample,
    known: tuple[MonthEvidence, ...],
    recorded: Sequence[Mapping[str, Any]],
) -> Contest:
    before = None
    held = incumbent_of(spec, production, recorded)
    if held is not None:
        before = Candidate(**held["champion"])
        score = None
        if before.strategy == "rolling_window":
            score = auc(otv.label, lender.models[before.bundle_sha256].predict_pd(otv.matrix))
        before = replace(before, score=score)
    fresh = tuple(c for c in own.values() if c.strategy == "rolling_window")
    refits = tuple(c for c in own.values() if c.strategy != "rolling_window")
    contest = Contest(
        *(production, spec.periods.span(production - 15, production - 13), otv.bads, len(otv) - otv.bads),
        *(fresh, before, {}),
        refits=refits,
    )
    if spec.decision.policy == "paper_with_memory":
        months = spec.periods.span(max(P0, production - 11), production - 1)
        kept = [
            replace(c, bundle_sha256=f"{c.recipe_name} {m}", trained_for=str(m)) for m in months[::-1] for c in fresh
        ]
        scored = [replace(c, score=auc(otv.label, lender.models[c.bundle_sha256].predict_pd(otv.matrix))) for c in kept]
        return replace(contest, retained=tuple(scored))
    if spec.decision.policy != "evidence":
        return contest
    asked = {
        c.bundle_sha256: judged_gates(lender, production, c, before)
        for c in own.values()
        if before is not None and c.bundle_sha256 != before.bundle_sha256
    }
    seen = Evidence(
        known,
        asked,
        periods_since_change(spec, production, recorded),
        contest_number(spec, production),
        floor=spec.checks.otv_auc_floor,
    )
    return replace(contest, evidence=seen)


def month_result(
    lender: Lender, production: Month, contest: Contest, champion: Candidate, own: Mapping[str, Candidate]
) -> dict[str, Any]:
    """Realized and true AUC of the champion, and of a change of recipe whether it was a good one."""
    loans, incumbent = lender.sample(production, production), contest.incumbent
    model = lender.models[champion.bundle_sha256]
    result: dict[str, Any] = {
        "recipe": champion.recipe_name,
        "realized": auc(loans.label, model.predict_pd(loans.matrix)),
        "true": lender.true_aucs([champion.bundle_sha256], production)[0],
    }
    if incumbent is not None and incumbent.recipe_name != champion.recipe_name:
        # Under evidence the old recipe's refit would have been in charge, under the others the incumbent itself.
        on_evidence = contest.evidence is not None
        stays = own.get(incumbent.recipe_name, incumbent) if on_evidence else incumbent
        count = MILLION if on_evidence else SAMPLE
        new, old = lender.true_aucs([champion.bundle_sha256, stays.bundle_sha256], production, count)
        result["change"] = {"from": incumbent.recipe_name, "gain": new - old, "loans": count}
    return result


def picks(
    lender: Lender, production: Month, own: Mapping[str, Candidate], otv: Sample, known: Sequence[MonthEvidence]
) -> dict[str, str]:
    """The recipe that each judge puts first; the one without any basis puts none."""
    before = {r: lender.models[lender.model(r, production - 15)].predict_pd(otv.matrix) for r in own}
    judged: dict[str, dict[str, float]] = {
        "otv": {r: c.score for r, c in own.items() if c.score is not None},
        "otv, earlier models": {r: auc(otv.label, pd) for r, pd in before.items()},
        "record": {r: level.estimate for r in own if (level := mean_level(known, r)) is not None},
    }
    return {judge: max(scores, key=lambda r: scores[r]) for judge, scores in judged.items() if scores}


def main() -> int:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="results, one line a lender; resumed where it exists")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--years", type=int, default=1)
    parser.add_argument("--loans", type=int, default=500, help="a month")
    parser.add_argument("--concept", type=float, default=0.27, help="radians a year in the world drift")
    parser.add_argument("--worlds", nargs="+", choices=("stable", "drift"), default=("stable", "drift"))
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=STRATEGIES)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if given.seeds < 1 or given.years < 1 or "rolling_window" not in given.strategies:
        parser.error("expected at least one seed, one year, and rolling_window among the strategies")
    plans = [
        Plan(world, seed, given.years, given.loans, given.concept, tuple(given.strategies))
        for seed in range(given.first_seed, given.first_seed + given.seeds)
        for world in given.worlds
    ]
    wanted = {plan.key for plan in plans}
    # A line cut short by a kill is not counted: its lender is done again.
    lines = given.out.read_text().splitlines(keepends=True) if given.out.exists() else []
    whole = [line for line in lines if line.endswith("\n")]
    given.out.write_text("".join(whole))
    done = {d["key"]: d for d in map(json.loads, whole) if d["key"] in wanted}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress, ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        task = progress.add_task("lenders", total=len(plans), completed=len(done))
        waiting = [pool.submit(run_lender, plan) for plan in plans if plan.key not in done]
        for future in as_completed(waiting):
            document = future.result()
            with given.out.open("a") as out:
                out.write(json.dumps(document) + "\n")
            done[document["key"]] = document
            ran = document["plan"]
            progress.update(task, advance=1)
            progress.console.print(f"seed {ran['seed']}, {ran['world']}: {document['seconds']} s")
    print_report([done[plan.key] for plan in plans])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
