"""A recipe's record: its results on cohorts it could not have known, one as-of month after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import DecisionError
from pdx_assets.risk.evidence.delong import delong
from pdx_assets.risk.metrics.weights import effective_sizes


@dataclass(frozen=True, eq=False)
class MonthRecord:
    """A matured cohort, scored by the as-of model of each recipe.

    Attributes:
        cohort: its month m: the models were built at the decision date of m, and these loans came after.
        label: (n,) 1 bad, 0 good.
        weight: (n,) or None.
        pds: (n,) by recipe (``strategy algorithm``).
        last_event: by recipe, the last day of which the model learned anything.
    """

    cohort: Month
    label: ArrayLike
    weight: ArrayLike | None
    pds: Mapping[str, ArrayLike]
    last_event: Mapping[str, date]


@dataclass(frozen=True)
class MonthEvidence:
    """What is kept of a month: enough for every test, and a few hundred numbers at most.

    Attributes:
        bads, goods: Kish's effective sizes; counts where loans are not weighted.
        areas: AUC by recipe.
        covariance: of the AUCs, rows and columns in the order of ``areas``.
    """

    cohort: Month
    bads: float
    goods: float
    areas: Mapping[str, float]
    covariance: tuple[tuple[float, ...], ...]

    def variance(self, recipe: str, other: str | None = None) -> float:
        """Of a recipe's AUC, or of AUC(recipe) - AUC(other); never negative."""
        names = list(self.areas)
        i = names.index(recipe)
        if other is None:
            return max(self.covariance[i][i], 0.0)
        j = names.index(other)
        return max(self.covariance[i][i] + self.covariance[j][j] - 2 * self.covariance[i][j], 0.0)

    def document(self) -> dict[str, Any]:
        """As stored; :func:`read_month` reads it back to the last bit."""
        return {
            "cohort": str(self.cohort),
            "bads": self.bads,
            "goods": self.goods,
            # A list: storage sorts the keys of an object, and the rows of the covariance have an order.
            "recipes": list(self.areas),
            "areas": list(self.areas.values()),
            "covariance": [list(row) for row in self.covariance],
        }


def read_month(document: Mapping[str, Any]) -> MonthEvidence:
    """A stored :meth:`MonthEvidence.document`."""
    return MonthEvidence(
        Month.parse(document["cohort"]),
        float(document["bads"]),
        float(document["goods"]),
        dict(zip(document["recipes"], map(float, document["areas"]), strict=True)),
        tuple(tuple(float(value) for value in row) for row in document["covariance"]),
    )


def refuse_seen(cohort: Month, last_event: Mapping[str, date]) -> None:
    """A model that learned from anything after a cohort began is not judged on that cohort.

    The last admissible day is the cohort's first: what is known on the decision date is fair.

    Args:
        last_event: the last day each model learned from, by recipe or digest.

    Raises:
        DecisionError: names each model and its day.
    """
    seen = [f"{who} learned from {day}" for who, day in sorted(last_event.items()) if day > cohort.first_day]
    if seen:
        raise DecisionError(
            f"Cohort {cohort} cannot judge models that learned from later events: {'; '.join(seen)}.",
            expected=f"no event after {cohort.first_day}, the cohort's first day",
            remedy="score the cohort with the models its recipes made on that day",
        )


def month_evidence(record: MonthRecord) -> MonthEvidence | None:
    """The AUCs of a month's recipes and their covariance; None with fewer than two effective bads or goods.

    Recipes are sorted by name, so that the same results give the same bytes in whatever order they came.

    Raises:
        DecisionError: a model learned from an event after the cohort began, or its last event is not told.
        PdxError: labels, PDs or weights that cannot be.
    """
    recipes = sorted(record.pds)
    untold = [recipe for recipe in recipes if recipe not in record.last_event]
    if untold:
        raise DecisionError(
            f"Cohort {record.cohort}: the last event that {', '.join(untold)} learned from is not told.",
            expected="a last_event for every model that is judged",
        )
    refuse_seen(record.cohort, {recipe: record.last_event[recipe] for recipe in recipes})
    return measured(record.cohort, record.label, record.pds, record.weight)


def measured(
    cohort: Month, label: ArrayLike, pds: Mapping[str, ArrayLike], weight: ArrayLike | None = None
) -> MonthEvidence | None:
    """AUCs of anything that gave the loans of a month PDs, and their covariance; as :func:`month_evidence`.

    Raises:
        PdxError: labels, PDs or weights that cannot be.
    """
    names = sorted(pds)
    found = delong(label, np.column_stack([np.asarray(pds[n]) for n in names]), weight) if names else None
    if found is None:
        return None
    sizes = effective_sizes(label, weight)
    return MonthEvidence(
        cohort,
        sizes.bads,
        sizes.goods,
        dict(zip(names, map(float, found[0]), strict=True)),
        tuple(tuple(map(float, row)) for row in found[1]),
    )


def shared(months: Sequence[MonthEvidence], recipes: Sequence[str]) -> list[MonthEvidence]:
    """Months in which every one of the recipes was measured, by cohort."""
    return sorted((m for m in months if all(r in m.areas for r in recipes)), key=lambda m: m.cohort)


def bads_of(months: Sequence[MonthEvidence]) -> float:
    """Effective bads of all months together."""
    return sum(m.bads for m in months)


def latest(months: Sequence[MonthEvidence], at_least: int, min_bads: float) -> list[MonthEvidence]:
    """The newest months: ``at_least`` as many, and more until they hold ``min_bads``; all where there are too few."""
    ordered = sorted(months, key=lambda m: m.cohort)
    for count in range(min(at_least, len(ordered)), len(ordered)):
        if bads_of(ordered[len(ordered) - count :]) >= min_bads:
            return ordered[len(ordered) - count :]
    return ordered
