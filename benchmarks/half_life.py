"""What forgetting old cohorts gains and costs: immature_cohorts with half-lives, at simulated lenders, on a real tape.

Run from the repository:
    python -m benchmarks.half_life simulated [--seeds 4]
    python -m benchmarks.half_life PORTFOLIO --tape FILE --from 2009-01 --to 2010-09 [--seed 0]

Untuned models. At simulated lenders (evidence_policy.py's, seeds from 100 on, which no other benchmark uses) the mean
true AUC of the models of p0, p0 + 4 and p0 + 8 months, less that of the rolling window's. On a tape the mean AUC of
each month's models on the month's own loans, by the labels they got later, months weighted by their bads; ``blend`` is
the mean log-odds of the others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

import pdx_assets
from benchmarks.evidence_policy import P0, Lender, Plan
from benchmarks.tape_months import tape_months
from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.immature import exposed_loans
from pdx_assets.risk.metrics.discrimination import auc
from pdx_assets.risk.models.blend import mean_log_odds
from pdx_assets.risk.models.training import train
from pdx_assets.risk.outcomes import never_labelled, outcome_events
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec_file import load_spec
from pdx_assets.risk.window_loans import in_time_validation, to_sample

HALF_LIVES = (None, 36, 24, 18, 12, 9, 6)
WORLDS = (("stable", 0.0), ("drift", 0.27), ("drift", 0.5))
FIRST_SEED = 100


def simulated(seeds: int) -> None:
    for world, concept in WORLDS:
        for algorithm in ("logistic_regression", "xgboost"):
            found: dict[object, list[float]] = {}
            for seed in range(FIRST_SEED, FIRST_SEED + seeds):
                rows = None
                for half_life in HALF_LIVES:
                    lender = Lender(Plan(world, seed, concept=concept, half_life=half_life))
                    if rows is not None:
                        lender.rows = rows
                    rows = lender.rows
                    strategies = ("rolling_window",) if half_life is None else ()
                    for strategy in (*strategies, "immature_cohorts"):
                        names = {m: lender.model(f"{strategy} {algorithm}", m) for m in (P0, P0 + 4, P0 + 8)}
                        truth = [lender.true_aucs([name], m)[0] for m, name in names.items()]
                        key = half_life if strategy == "immature_cohorts" else strategy
                        found.setdefault(key, []).extend(truth)
            base = np.array(found.pop("rolling_window"))
            shown = ", ".join(f"{h or 'none'} {np.mean(np.array(v) - base):+.4f}" for h, v in found.items())
            print(f"{world} {concept:g}, {algorithm}: rolling window {base.mean():.4f}; half-life {shown}", flush=True)


def real(portfolio: str, tape: str, first: Month, last: Month, seed: int) -> None:
    spec = load_spec(Path(pdx_assets.__file__).parent / "defs" / portfolio / "defs.yaml")
    months = tape_months(spec, tape, last)
    read = {c: (rows.loans, rows.performance) for c, rows in months.rows.items()}
    events = {c: outcome_events(spec, *both, months.as_of) for c, both in read.items()}
    undecided = {
        c: loans.filter(never_labelled(spec, loans)).select("cohort", "loan_id") for c, (loans, _) in read.items()
    }
    found: dict[tuple[str, int | None], list[float]] = {}
    bads = []
    for month in spec.periods.span(first, last):
        own = months.measured(month)
        bads.append(own.bads)
        before = [c for c in read if c < month]
        seen = [pl.concat(part[c] for c in before) for part in (months.features, events, undecided)]
        for half_life in HALF_LIVES:
            loans = exposed_loans(spec, *seen, on=decision_date(month), half_life_months=half_life)
            itv = in_time_validation(loans["borrower_hash"].to_numpy(), seed)
            fit, held = to_sample(spec, loans.filter(~itv)), to_sample(spec, loans.filter(itv))
            pds = {
                name: train(
                    name, fit, held, {}, seed=seed_from(spec.name, month, name, seed), outliers=spec.outliers
                ).predict_pd(own.matrix)
                for name in ("logistic_regression", "random_forest", "xgboost")
            }
            pds["blend"] = mean_log_odds(list(pds.values()))
            for name, pd in pds.items():
                found.setdefault((name, half_life), []).append(auc(own.label, pd))
    print(f"{portfolio}, {len(bads)} cohorts, {sum(bads)} bads")
    for name in dict.fromkeys(n for n, _ in found):
        shown = ", ".join(f"{h or 'none'} {np.average(found[name, h], weights=bads):.4f}" for h in HALF_LIVES)
        print(f"{name}: half-life {shown}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("book", help="'simulated', or a portfolio that PDx comes with")
    parser.add_argument("--seeds", type=int, default=4, help="simulated lenders a world")
    parser.add_argument("--tape", help="the portfolio's file")
    parser.add_argument("--from", dest="first", type=Month.parse)
    parser.add_argument("--to", dest="last", type=Month.parse)
    parser.add_argument("--seed", type=int, default=0, help="of the split and of every draw")
    given = parser.parse_args()
    if given.book == "simulated":
        simulated(given.seeds)
    elif given.tape and given.first and given.last:
        real(given.book, given.tape, given.first, given.last, given.seed)
    else:
        parser.error("a portfolio needs --tape, --from and --to")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
