"""Would one more tabular learner earn its place beside the four and their blend? Measured on a real tape.

Run from the repository: python -m benchmarks.another_learner PORTFOLIO --tape FILE --from 2009-10 --to 2010-09

Prequential: for each month every learner is fitted, untuned, on all cohorts whose labels are known on the month's
decision date (three quarters train, the rest stops boosting and the network early), and judged on the month's own
loans. Candidates are what scikit-learn has and PDx does not: histogram gradient boosting, the same without
interactions (an additive model, as of an explainable boosting machine) and extremely randomized trees. Beside them
two controls that add no learner: XGBoost once more with another seed, and XGBoost of stumps, which a study may find.

What counts is the last table: the blend less each of the four, and the blend of the four and a candidate less the
blend of the four. A difference is the mean over months of the paired difference of AUC, and its standard error
DeLong's, months added up; seeds draw other splits and add no loans, so over them both are averaged. A month without
ten bads and goods is left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import pdx_assets
from benchmarks.tape_months import tape_months
from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.metrics.auc_error import auc_estimate
from pdx_assets.risk.metrics.discrimination import auc
from pdx_assets.risk.models.base import Design, single_threaded
from pdx_assets.risk.models.blend import mean_log_odds
from pdx_assets.risk.models.matrix import Sample
from pdx_assets.risk.models.training import ALGORITHMS, algorithm_named, designs, train
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.spec_file import load_spec
from pdx_assets.risk.window_loans import in_time_validation, labelled, to_sample

FOUR = tuple(ALGORITHMS)
LEAST = 10

Predict = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[Design, Design, int], Predict]


def boosting(fit: Design, itv: Design, seed: int, **changed: Any) -> Predict:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import log_loss

    model = HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=400,
        max_leaf_nodes=8,
        l2_regularization=5.0,
        max_features=0.6,
        early_stopping=True,
        n_iter_no_change=25,
        random_state=seed,
        **changed,
    )
    validation = {"X_val": itv.X, "y_val": itv.label, "sample_weight_val": itv.weight}
    model.fit(fit.X, fit.label, fit.weight, **validation)
    # scikit-learn stops late and keeps all rounds: cut at the best one, as PDx's XGBoost is.
    losses = [log_loss(itv.label, pd, sample_weight=itv.weight) for pd in model.staged_predict_proba(itv.X)]
    best = int(np.argmin(losses))
    return lambda X: np.asarray(next(islice(model.staged_predict_proba(X), best, None))[:, 1], np.float32)


def additive(fit: Design, itv: Design, seed: int) -> Predict:
    return boosting(fit, itv, seed, interaction_cst="no_interactions")


def extra_trees(fit: Design, itv: Design, seed: int) -> Predict:
    from sklearn.ensemble import ExtraTreesClassifier

    del itv
    leaf = max(10, len(fit.label) // 500)
    model = ExtraTreesClassifier(300, min_samples_leaf=leaf, max_features=0.3, random_state=seed, n_jobs=1)
    model.fit(fit.X, fit.label, fit.weight)
    return lambda X: np.asarray(model.predict_proba(X)[:, 1], np.float32)


CANDIDATES: dict[str, Fit] = {
    "hist_gradient_boosting": boosting,
    "additive_boosting": additive,
    "extra_trees": extra_trees,
}


CONTROLS: dict[str, dict[str, Any]] = {"xgboost_again": {}, "xgboost_stumps": {"max_depth": 1}}


@dataclass(frozen=True)
class Months:
    """Label, weight and PDs by learner, of the loans of each month."""

    label: list[np.ndarray]
    weight: list[np.ndarray | None]
    pds: list[dict[str, np.ndarray]]


def as_of_samples(
    spec: PortfolioSpec, tape: str, months: tuple[Month, ...], seed: int
) -> Iterator[tuple[Month, Sample, Sample, Sample]]:
    """Train and ITV of what was known at each month, and the month's own loans with the labels they got later."""
    read = tape_months(spec, tape, months[-1])
    for month in months:
        on = decision_date(month)
        known = [c for c in read.rows if spec.known_on(c) <= on]
        loans = labelled(*(pl.concat(part[c] for c in known) for part in (read.features, read.labels)), on=on)
        itv = in_time_validation(loans["borrower_hash"].to_numpy(), seed)
        yield month, to_sample(spec, loans.filter(~itv)), to_sample(spec, loans.filter(itv)), read.measured(month)


def scores(spec: PortfolioSpec, month: Month, fit: Sample, itv: Sample, own: Sample, seed: int) -> dict[str, Any]:
    """PDs of the month's loans by learner, the blends included."""
    models = {
        name: train(name, fit, itv, {}, seed=seed_from(spec.name, month, name, seed), outliers=spec.outliers)
        for name in FOUR
    }
    pds = {name: model.predict_pd(own.matrix) for name, model in models.items()}
    # As XGBoost sees them, its choice of variables included: with all of them these learners do worse.
    preprocessing, *both = designs(algorithm_named("xgboost"), fit, itv, spec.outliers)
    fitted_on, stopped_on = (design.take(models["xgboost"].fitted.selected) for design in both)
    X = preprocessing.transform(own.matrix, models["xgboost"].columns)
    four = [pds[name] for name in FOUR]
    pds["blend of the four"] = mean_log_odds(four)
    with single_threaded():
        for name, make in CANDIDATES.items():
            pds[name] = make(fitted_on, stopped_on, seed_from(spec.name, month, name, seed))(X)
    for name, params in CONTROLS.items():
        drawn = seed_from(spec.name, month, name, seed)
        pds[name] = train("xgboost", fit, itv, params, seed=drawn, outliers=spec.outliers).predict_pd(own.matrix)
    return pds | {f"blend with {name}": mean_log_odds([*four, pds[name]]) for name in (*CANDIDATES, *CONTROLS)}


def measured(spec: PortfolioSpec, tape: str, months: tuple[Month, ...], seed: int) -> Months:
    found = Months([], [], [])
    for month, fit, itv, own in as_of_samples(spec, tape, months, seed):
        if min(own.bads, len(own) - own.bads) < LEAST:
            continue
        start = time.perf_counter()
        found.label.append(own.label)
        found.weight.append(own.weight)
        found.pds.append(scores(spec, month, fit, itv, own, seed))
        print(
            f"seed {seed}, {month}: {len(fit)} + {len(itv)} loans, {own.bads} bads of {len(own)}, "
            f"{time.perf_counter() - start:.0f} s",
            flush=True,
        )
    return found


def difference(found: Months, name: str, other: str) -> tuple[float, float, int]:
    """Mean over months of AUC less the other's, its standard error, and months in which it was ahead."""
    pairs = [
        auc_estimate(label, pds[name], pds[other], weight)
        for label, weight, pds in zip(found.label, found.weight, found.pds, strict=True)
    ]
    known = [pair for pair in pairs if pair is not None]
    error = float(np.sqrt(sum(pair.standard_error**2 for pair in known))) / len(known)
    return float(np.mean([pair.value for pair in known])), error, sum(pair.value > 0 for pair in known)


def mean_auc(found: Months, name: str) -> float:
    areas = [auc(y, pds[name], w) for y, w, pds in zip(found.label, found.weight, found.pds, strict=True)]
    return float(np.mean([a for a in areas if a is not None]))


def show(by_seed: list[Months]) -> None:
    months = len(by_seed[0].label)
    print(f"\n{months} cohorts, {len(by_seed)} seeds\n\n| learner | mean AUC over cohorts | by seed |\n|---|---|---|")
    for name in by_seed[0].pds[0]:
        means = [mean_auc(found, name) for found in by_seed]
        print(f"| {name} | {np.mean(means):.4f} | {', '.join(f'{m:.4f}' for m in means)} |")
    print("\n| difference of | less | AUC | standard error | cohorts ahead, by seed |\n|---|---|---|---|---|")
    pairs = [("blend of the four", name) for name in FOUR]
    pairs += [(f"blend with {name}", "blend of the four") for name in (*CANDIDATES, *CONTROLS)]
    for name, other in pairs:
        of = [difference(found, name, other) for found in by_seed]
        values, errors, ahead = zip(*of, strict=True)
        each = ", ".join(f"{v:+.4f}" for v in values)
        print(
            f"| {name} | {other} | {np.mean(values):+.4f} ({each}) | {np.mean(errors):.4f} | "
            f"{', '.join(str(a) for a in ahead)} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portfolio")
    parser.add_argument("--tape", required=True)
    parser.add_argument("--from", dest="first", required=True)
    parser.add_argument("--to", dest="last", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    spec = load_spec(Path(pdx_assets.__file__).parent / "defs" / given.portfolio / "defs.yaml")
    months = spec.periods.span(Month.parse(given.first), Month.parse(given.last))
    show([measured(spec, given.tape, months, seed) for seed in given.seeds])


if __name__ == "__main__":
    main()
