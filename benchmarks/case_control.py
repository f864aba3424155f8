"""Do weights give back the book? A simulated book, whose true PDs are known, sampled by outcome and weighted.

Run from the repository: python -m benchmarks.case_control [--replications 400] [--trainings 20]

The loans are those of the demo's lender without drift. A **book** is a draw of them with outcomes drawn from their true
PDs; a **sample** keeps each of its loans with a probability that depends on the outcome (in one design on the amount as
well) and weighs it by the inverse. The model measured is a little off on purpose: too low, and noisy. What is true
of it is known without noise: every loan a bad of weight PD and a good of weight 1 - PD.

Three tables: each metric of the weighted sample less that of the whole book it was drawn from; how often intervals and
tests are right; and what a model learns from the sample. Each stands beside the same without weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from benchmarks.case_control_books import DESIGNS, WHOLE, Design, Population, draw_book, expected, population
from pdx_assets.risk.checks.drift import Binned, moved
from pdx_assets.risk.checks.performance import bad_rate_shift, calibration
from pdx_assets.risk.metrics.auc_error import AucEstimate, auc_estimate, expected_error
from pdx_assets.risk.metrics.calibration import brier, calibration_table, wilson_interval
from pdx_assets.risk.metrics.comparison import bootstrap_interval
from pdx_assets.risk.metrics.discrimination import average_precision, capture_rate
from pdx_assets.risk.metrics.score_table import LoanMetric
from pdx_assets.risk.metrics.stability import NumberBins, psi_by_chance
from pdx_assets.risk.metrics.summary import evaluate
from pdx_assets.risk.metrics.weights import ClassWeights, effective_size
from pdx_assets.risk.models.matrix import Sample
from pdx_assets.risk.models.training import train
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import AlgorithmName, Checks

METRICS = (
    "auc",
    "ks",
    "f1",
    "capture_rate_top3_deciles",
    "average_precision",
    "brier",
    "log_loss",
    "calibration_intercept",
    "calibration_slope",
    "bad_rate",
    "mean_pd",
)
BOOTSTRAPPED: dict[str, LoanMetric[...]] = {"3DCR": capture_rate, "average precision": average_precision}
BOOTSTRAPPED |= {"Brier": brier}
LIMITS = Checks(calibration_tolerance=0, bad_rate_shift=0, psi_warning=1e-9)
"""Without the customary limits, so that the tests stand alone: 5 % false alarms."""


@dataclass(frozen=True)
class Agreement:
    """A metric over replications: of the book, and of a sample less the book with and without weights, (r,) each."""

    book: np.ndarray
    weighted: np.ndarray
    unweighted: np.ndarray

    @staticmethod
    def bias(difference: np.ndarray) -> tuple[float, float]:
        """Mean, and its standard error."""
        return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(difference.size))


def agreement(of: Population, design: Design, *, replications: int, loans: int = 20_000) -> dict[str, Agreement]:
    """Metrics of samples against those of the books they were drawn from; PSI of a riskier month against a book.

    PSI has its expectation by chance taken off, (bins - 1)(1/n + 1/m) with Kish sizes: a sample has more of it.
    """
    found: dict[str, list[tuple[float, float, float]]] = {}
    riskier = of.true_pd**0.5 / (of.true_pd**0.5).sum()
    for r in range(replications):
        rng = np.random.default_rng(seed_from("case control", "agreement", design.name, r))
        rows, label = draw_book(of, loans, rng)
        kept, weight = design.draw(label, of.large[rows], rng)
        some, bad = rows[kept], label[kept]
        three = [evaluate(label, of.pd[rows]), evaluate(bad, of.pd[some], weight), evaluate(bad, of.pd[some])]
        for name in METRICS:
            found.setdefault(name, []).append(tuple(m[name] for m in three))
        month = rng.choice(len(of), loans // 4, p=riskier)
        outcome = (rng.random(month.size) < of.true_pd[month]).astype(np.int8)
        part, month_weight = design.draw(outcome, of.large[month], rng)
        drawn = month[part]
        psis = (
            _psi(of.pd[rows], of.pd[month]),
            _psi(of.pd[some], of.pd[drawn], weight, month_weight),
            _psi(of.pd[some], of.pd[drawn]),
        )
        found.setdefault("psi beyond chance", []).append(psis)
    made = {}
    for name, values in found.items():
        book, weighted, unweighted = np.array(values).T
        made[name] = Agreement(book, weighted - book, unweighted - book)
    return made


def _psi(
    reference: np.ndarray, current: np.ndarray, before: np.ndarray | None = None, now: np.ndarray | None = None
) -> float:
    bins = NumberBins.of(reference, before)
    sizes = [float(x.size) if w is None else effective_size(w) for x, w in ((reference, before), (current, now))]
    value = bins.psi(current, now)
    assert value is not None
    return value - psi_by_chance(*sizes, bins.edges.size + 1)


@dataclass(frozen=True)
class Coverage:
    """How often an interval covered the truth, or a test raised a false alarm: hits of ``of``, by variant."""

    nominal: float
    hits: dict[str, int]
    of: int

    def share(self, variant: str) -> float:
        return self.hits[variant] / self.of


Answers = Iterator[tuple[str, str, float, bool]]  # what, variant, nominal, whether it held


def coverage(of: Population, design: Design, *, replications: int, loans: int = 4000) -> dict[str, Coverage]:
    """Intervals of one sample a replication, and false alarms of its tests, with weights and without."""
    found: dict[str, dict[str, list[bool]]] = {}
    nominal = {}
    truth, rival = of.truth(), of.truth(of.other)
    band_of = np.searchsorted(np.array(of.edges), of.pd, side="left")
    rates = [float(of.true_pd[band_of == i].mean()) for i in range(len(of.edges) + 1)]
    for r in range(replications):
        rng = np.random.default_rng(seed_from("case control", "coverage", design.name, r))
        rows, label = draw_book(of, loans, rng)
        kept, weight = design.draw(label, of.large[rows], rng)
        some, bad = rows[kept], label[kept]
        answers: list[Answers] = [_false_alarms(of, some, bad, weight, rng)]
        for variant, w in (("weighted", weight), ("unweighted", None)):
            answers.append(_of_auc(of, some, bad, w, variant, truth["auc"], rival["auc"]))
            answers.append(_of_rates(of, some, bad, w, variant, rates))
        for what, variant, level, held in (answer for part in answers for answer in part):
            found.setdefault(what, {}).setdefault(variant, []).append(held)
            nominal[what] = level
    return {
        what: Coverage(
            nominal[what], {v: sum(held) for v, held in variants.items()}, len(next(iter(variants.values())))
        )
        for what, variants in found.items()
    }


def _of_auc(
    of: Population,
    rows: np.ndarray,
    bad: np.ndarray,
    weight: np.ndarray | None,
    variant: str,
    area: float,
    rival: float,
) -> Answers:
    one = auc_estimate(bad, of.pd[rows], None, weight)
    two = auc_estimate(bad, of.pd[rows], of.other[rows], weight)
    assert one is not None and two is not None
    by_size = AucEstimate(one.value, expected_error(one.value, one.bads, one.goods), one.bads, one.goods)
    for level in (0.90, 0.95):
        z = NormalDist().inv_cdf((1 + level) / 2)
        for what, estimate, true in (
            ("AUC, DeLong", one, area),
            ("AUC, Hanley and McNeil", by_size, area),
            ("AUC less a rival's, DeLong", two, area - rival),
        ):
            yield f"{what}, {level:.0%}", variant, level, abs(estimate.value - true) <= z * estimate.standard_error


def _of_rates(
    of: Population, rows: np.ndarray, bad: np.ndarray, weight: np.ndarray | None, variant: str, rates: Sequence[float]
) -> Answers:
    """Wilson's interval of the bad rate in quarters by PD; also on Kish's size of both classes together."""
    for level in (0.90, 0.95):
        table = calibration_table(bad, of.pd[rows], weight, edges=of.edges, level=level)
        for band, rate in zip(table, rates, strict=True):
            what = f"bad rate of a PD band, Wilson, {level:.0%}"
            yield what, variant, level, band.bad_rate_low <= rate <= band.bad_rate_high
            if weight is not None:
                here = (of.pd[rows] >= band.pd_from) & (of.pd[rows] <= band.pd_to)
                low, high = wilson_interval(band.bad_rate, effective_size(weight[here]), level)
                yield what, "pooled size", level, low <= rate <= high


def _false_alarms(
    of: Population, rows: np.ndarray, bad: np.ndarray, weight: np.ndarray, rng: np.random.Generator
) -> Answers:
    """Tests of what is so: PDs that are the true ones, a month like its window, a bad rate like those before it."""
    level = LIMITS.false_alarm_rate
    window, past = draw_book(of, 12_000, rng)
    # Months are not always sampled alike: those before had one good in two.
    kept, before = DESIGNS[0].draw(past, of.large[window], rng)
    window, past = window[kept], past[kept]
    for variant, now, then in (("weighted", weight, before), ("unweighted", None, None)):
        alarm = calibration(LIMITS, bad, of.true_pd[rows], now).status == "failed"
        yield "false alarms: calibration (Jeffreys, Holm)", variant, level, alarm
        (psi,) = moved([Binned.of_numbers("PD", of.pd[window], of.pd[rows], then, now)], LIMITS)
        yield "false alarms: PSI", variant, level, (psi.p or 0.0) <= level
        counts = [(f"2020-{k:02d}", int(past[k::4].sum()), int((past[k::4] == 0).sum())) for k in range(4)]
        weights = {name: ClassWeights.of(past[k::4], before[k::4]) for k, (name, _, _) in enumerate(counts)}
        weighed: dict[str, Any] = {"weight": ClassWeights.of(bad, now), "earlier_weights": weights}
        bads = int(bad.sum())
        shift = bad_rate_shift(LIMITS, bads, bad.size - bads, counts, **(weighed if now is not None else {}))
        yield "false alarms: bad rate (Fisher)", variant, level, shift.status == "failed"


def bootstrap_coverage(
    of: Population, share: float, *, replications: int, loans: int = 4000, draws: int = 200
) -> dict[str, Coverage]:
    """Bootstrap intervals at 90 %; books and samples have fixed numbers of bads and goods, as the draws have.

    Args:
        share: of the goods that are sampled, all weighted 1 / share.
    """
    bads = round(loans * of.true_pd.mean())
    wanted, truth = round(share * (loans - bads)), of.truth()
    chance = of.true_pd / of.true_pd.sum(), (1 - of.true_pd) / (1 - of.true_pd).sum()
    keys = {"3DCR": "capture_rate_top3_deciles", "average precision": "average_precision", "Brier": "brier"}
    hits = {name: {"weighted": 0, "unweighted": 0} for name in keys}
    label = np.repeat([1, 0], [bads, wanted])
    weight = np.where(label == 1, 1.0, (loans - bads) / wanted)
    for r in range(replications):
        rng = np.random.default_rng(seed_from("case control", "bootstrap", share, r))
        rows = np.concatenate([rng.choice(len(of), n, p=p) for n, p in zip((bads, wanted), chance, strict=True)])
        for name, key in keys.items():
            for variant, w in (("weighted", weight), ("unweighted", None)):
                metric = BOOTSTRAPPED[name]
                found = bootstrap_interval(label, of.pd[rows], None, w, seed=r, metric=metric, draws=draws, level=0.9)
                assert found.low is not None and found.high is not None
                hits[name][variant] += found.low <= truth[key] <= found.high
    return {f"{name}, bootstrap, 90%": Coverage(0.9, counted, replications) for name, counted in hits.items()}


def training(
    of: Population, design: Design, algorithm: AlgorithmName, *, trainings: int, loans: int = 16_000
) -> dict[str, list[dict[str, Any]]]:
    """Metrics in truth of models trained on a book, on its weighted sample, and on that sample without weights.

    Half the population is learned from, three quarters of a draw of it for train; the other half is measured.
    """
    half = len(of) // 2
    learned, tested = np.arange(half), np.arange(half, len(of))
    found: dict[str, list[dict[str, Any]]] = {"book": [], "weighted": [], "unweighted": []}
    unseen = of.matrix.rows(tested)
    for r in range(trainings):
        rng = np.random.default_rng(seed_from("case control", "training", design.name, algorithm, r))
        rows = rng.choice(learned, loans, replace=False)
        label = (rng.random(loans) < of.true_pd[rows]).astype(np.int8)
        itv = rng.random(loans) < 0.25
        kept, weight = design.draw(label, of.large[rows], rng)
        weights = np.zeros(loans, np.float32)
        weights[kept] = weight
        for variant, taken, weigh in (
            ("book", np.ones(loans, bool), False),
            ("weighted", kept, True),
            ("unweighted", kept, False),
        ):
            sides = [
                Sample(of.matrix.rows(rows[side]), label[side], weights[side] if weigh else None)
                for side in (taken & ~itv, taken & itv)
            ]
            model = train(algorithm, *sides, {}, seed=r)
            pd = model.predict_pd(unseen).astype(np.float64)
            found[variant].append(expected(of.true_pd[tested], pd))
    return found


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def agreement_lines(found: Mapping[str, Agreement]) -> Iterator[str]:
    yield _row(["metric", "book", "weighted less book", "unweighted less book"])
    yield "|---|---|---|---|"
    for name, one in found.items():
        told = (f"{mean:+.5f} ± {error:.5f}" for mean, error in map(one.bias, (one.weighted, one.unweighted)))
        yield _row([f"`{name}`", f"{one.book.mean():.4f}", *told])


def coverage_lines(found: Mapping[str, Coverage]) -> Iterator[str]:
    yield _row(["interval or test", "nominal", "weighted", "unweighted", "weighted, pooled size"])
    yield "|---|---|---|---|---|"
    for what, one in found.items():
        shares = (f"{one.share(v):.1%}" if v in one.hits else "" for v in ("weighted", "unweighted", "pooled size"))
        yield _row([what, f"{one.nominal:.0%}", *shares])


def training_lines(found: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    yield _row(["learned from", "mean PD", "calibration intercept", "calibration slope", "AUC"])
    yield "|---|---|---|---|---|"
    for variant, runs in found.items():
        names = ("mean_pd", "calibration_intercept", "calibration_slope", "auc")
        told = (f"{mean:.4f} ± {error:.4f}" for mean, error in (mean_of(runs, name) for name in names))
        yield _row([variant, *told])


def mean_of(runs: Sequence[Mapping[str, Any]], name: str) -> tuple[float, float]:
    """Mean of a metric over trainings, and its standard error."""
    return Agreement.bias(np.array([run[name] for run in runs]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=400)
    parser.add_argument("--trainings", type=int, default=20)
    parser.add_argument("--parts", nargs="*", choices=tuple(PARTS), default=tuple(PARTS))
    arguments = parser.parse_args()
    for part in arguments.parts:
        for title, lines in PARTS[part](population(), arguments):
            print(f"\n{title}\n")
            print("\n".join(lines), flush=True)


Tables = Iterator[tuple[str, Iterator[str]]]


def _metrics(of: Population, asked: argparse.Namespace) -> Tables:
    for design in DESIGNS:
        found = agreement(of, design, replications=asked.replications)
        yield f"{design.name}: metrics, {asked.replications} replications", agreement_lines(found)


def _intervals(of: Population, asked: argparse.Namespace) -> Tables:
    for design in (WHOLE, *DESIGNS):
        found = coverage(of, design, replications=asked.replications)
        yield f"{design.name}: intervals and tests, {asked.replications} replications", coverage_lines(found)


def _bootstrap(of: Population, asked: argparse.Namespace) -> Tables:
    for share in (1.0, 0.1):
        found = bootstrap_coverage(of, share, replications=asked.replications)
        yield f"{share:g} of the goods: bootstrap, {asked.replications} replications", coverage_lines(found)


def _training(of: Population, asked: argparse.Namespace) -> Tables:
    algorithms: tuple[AlgorithmName, ...] = ("logistic_regression", "xgboost", "random_forest", "neural_network")
    for algorithm in algorithms:
        found = training(of, DESIGNS[1], algorithm, trainings=asked.trainings)
        yield f"{DESIGNS[1].name}: {algorithm}, {asked.trainings} trainings", training_lines(found)


PARTS: dict[str, Callable[[Population, argparse.Namespace], Tables]] = {
    "metrics": _metrics,
    "intervals": _intervals,
    "bootstrap": _bootstrap,
    "training": _training,
}


if __name__ == "__main__":
    main()
