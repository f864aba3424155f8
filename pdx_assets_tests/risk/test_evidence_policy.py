"""benchmarks/evidence_policy.py: what it lets a strategy learn, and how its report counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.evidence_policy import HORIZON, P0, Lender, Plan
from benchmarks.evidence_report import false_years, judged, months_to_better, months_waited, upper_bound


@pytest.fixture(scope="module")
def lender() -> Lender:
    return Lender(Plan("drift", 7, loans_per_month=40, half_life=12))


def test_nothing_of_after_the_decision_date_is_learned(lender: Lender) -> None:
    """A loan counts as bad only if it was so by the day before, and only complete cohorts have labels."""
    known = lender.learned("all_known", P0)
    assert known["born"].max() == (P0 - HORIZON - 1).ordinal
    rolling = lender.learned("rolling_window", P0)
    assert (rolling["born"].max(), rolling["born"].n_unique()) == ((P0 - 16).ordinal, 12)
    seen = lender.learned("immature_cohorts", P0)
    newest = seen["born"].max()
    assert isinstance(newest, int) and (P0 - HORIZON).ordinal < newest < (P0 - 1).ordinal, "partly observed cohorts"
    bad = seen.filter(seen["label"] == 1)
    assert bad.height > 0 and (bad["born"] + bad["bad_age"] < P0.ordinal).all()


def test_a_complete_cohort_of_a_half_life_ago_weighs_half(lender: Lender) -> None:
    seen = lender.learned("immature_cohorts", P0)
    old = seen.filter(seen["born"] == P0.ordinal - 24)
    assert old.height > 0 and np.allclose(old["weight"].to_numpy(), 0.25)


def month(truth: dict[str, float], pick: str, change: dict[str, Any] | None = None) -> dict[str, Any]:
    entry = {"recipe": pick, "true": truth[pick], "realized": truth[pick]}
    entry |= {"change": change} if change else {}
    return {"truth": truth, "picks": {"record": pick}, "policies": {"evidence": entry}}


def test_how_changes_and_picks_are_counted() -> None:
    truth = {"a": 0.70, "b": 0.72}
    good, bad = ({"from": "a", "gain": g, "loans": 10} for g in (0.01, 0.0))
    year = [month(truth, "a") for _ in range(12)]
    right = {"months": [month(truth, "b", good if i == 3 else None) for i in range(12)]}
    wrong = {"months": [*year[:11], month(truth, "a", bad), month(truth, "b", good), *year[1:]]}
    assert false_years([right, wrong], "evidence") == (1, 3), "no gain is no better model"
    assert (months_to_better(right, "evidence"), months_to_better(wrong, "evidence")) == (3, 12)
    never = {"months": year}
    assert months_waited([right, wrong, never], "evidence").tolist() == [3, 12, 12], (
        "a year in which none came is whole"
    )
    assert judged(right, "record") == (1.0, 0.0)
    share, behind = judged(wrong, "record") or (None, None)
    assert share == pytest.approx(1 / 24) and behind == pytest.approx(0.02 * 23 / 24)


@pytest.mark.parametrize(("hits", "n"), [(0, 100), (3, 100), (4, 100), (7, 60)])
def test_the_bound_is_where_so_few_hits_have_a_chance_of_a_twentieth(hits: int, n: int) -> None:
    assert binom.cdf(hits, n, upper_bound(hits, n)) == pytest.approx(0.05, abs=1e-9)
