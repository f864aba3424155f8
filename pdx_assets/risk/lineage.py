"""What each asset is made from, as one hash, worked out from the tape's content alone.

The same table of dependencies serves twice: the sensor works out which hash an asset should have been made
from, and the asset that runs keeps the hash it was made from (stages/made.py). Where they differ it is
stale. Nothing here compares or decides; maturity.py does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pdx_assets.risk.calendar import Month, decision_date
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.radar.ages import reached
from pdx_assets.risk.spec import PAPER_STRATEGIES, PortfolioSpec
from pdx_assets.risk.tape_contents import CohortContent
from pdx_assets.risk.windows import development_months, earlier_cohorts, labels_day, otv_months, trained_for

Part = tuple[str, Month]

COHORT_ASSETS = ("raw_loans", "clean_features", "outcomes", "labels")


@dataclass(frozen=True)
class Method:
    """What, beside the tape, decides how assets rest on each other.

    Attributes:
        spec: the portfolio.
        declared: hash of the declarations and code that make features and labels from loans.
        retune_every: periods between anchors under the profile in use.
        settled: features accepted although they look like leaks: what stopped training may go on.
    """

    spec: PortfolioSpec
    declared: str
    retune_every: int
    settled: tuple[str, ...] = ()

    def anchor(self, production: Month) -> Month:
        """The month whose studies a production month uses."""
        return anchor_of(self.spec, self.retune_every, production)

    def month_assets(self) -> tuple[str, ...]:
        """The assets of the decide job, in graph order."""
        spec = self.spec
        return (
            *(f"window_{s}" for s in spec.strategies),
            *(f"tuning_{a}" for a in spec.tuned_algorithms),
            *self.challengers(),
            "otv_scores",
            *(["recipe_record"] if spec.decision.evidence else []),
            "champion",
            "production_scores",
        )

    def challengers(self) -> tuple[str, ...]:
        return tuple(f"challenger_{s}_{a}" for a in self.spec.algorithms for s in self.spec.strategies)

    def contestants(self) -> tuple[str, ...]:
        """The challengers that are scored on OTV."""
        contested = [s for s in self.spec.strategies if s in PAPER_STRATEGIES]
        return tuple(f"challenger_{s}_{a}" for a in self.spec.algorithms for s in contested)


def anchor_of(spec: PortfolioSpec, retune_every: int, production: Month) -> Month:
    """The month whose study a production month uses: p0, then every ``retune_every`` periods."""
    passed = (production.ordinal - spec.p0.ordinal) // spec.periods.months
    return spec.periods.shift(spec.p0, passed - passed % retune_every)


def sources(method: Method, asset: str, production: Month) -> tuple[Part, ...]:
    """What an asset of a production month is made from.

    ``development_<strategy>`` and ``otv`` are the two parts of a window, ``seen`` every earlier cohort as the decision
    date knew it, ``clean_features`` and ``labels`` the month's own cohort, ``ages`` how many of the days on which it is
    estimated have come. A champion is not made from the one before: its recorded decision stands. The overview has no
    partitions: it goes by the last decided month.
    """
    spec, p = method.spec, production
    if asset.startswith("window_"):
        learned = (asset.replace("window_", "development_", 1), p)
        return (learned, ("otv", p)) if asset.removeprefix("window_") in PAPER_STRATEGIES else (learned,)
    if asset.startswith("tuning_"):
        return tuple(_study(method, s, p) for s in spec.strategies)
    if asset.startswith("challenger_"):
        strategy = next(s for s in spec.strategies if asset.startswith(f"challenger_{s}_"))
        month = trained_for(spec, strategy, p)
        if asset == f"challenger_{strategy}_blend":
            return tuple((f"challenger_{strategy}_{a}", month) for a in spec.tuned_algorithms)
        return ((f"development_{strategy}", month), _study(method, strategy, month))
    if asset == "otv_scores":
        first = max(spec.p0, spec.periods.shift(p, -(spec.decision.keep_months - 1)))
        return (("otv", p), *((c, m) for m in spec.periods.span(first, p) for c in method.contestants()))
    if asset == "champion":
        return (("otv_scores", p), *((("recipe_record", p),) if spec.decision.evidence else ()))
    if asset == "recipe_record":
        # Months whose own labels are known then, by the models they had; models of months before p0 have no assets.
        matured = [m for m in spec.periods.span(spec.p0, p) if spec.known_on(m) <= decision_date(p)]
        return (("seen", p), *((c, m) for m in matured for c in method.challengers()))
    if asset == "overview":
        months = spec.periods.span(spec.p0, p)
        return tuple((a, m) for m in months for a in ("champion", "production_performance"))
    if asset == "performance_estimate":
        return (("clean_features", p), ("champion", p), ("ages", p))
    if asset == "production_performance":
        return (("clean_features", p), ("labels", p), *((c, p) for c in method.challengers()))
    return (("clean_features", p),)


def _study(method: Method, strategy: str, production: Month) -> Part:
    anchor = method.anchor(production)
    # The fixed window is studied at p0 once, and at p0 the paper's strategies coincide.
    if strategy == "fixed_window" or (anchor == method.spec.p0 and strategy in PAPER_STRATEGIES):
        return ("development_fixed_window", method.spec.p0)
    return (f"development_{strategy}", anchor)


def made_from(asset: str, parts: Mapping[Part, str | None]) -> str:
    """The hash of what an asset is made from."""
    return document_sha256([asset, [[name, str(month), digest] for (name, month), digest in sorted(parts.items())]])


def window_part(cohorts: Mapping[Month, tuple[str | None, str | None]]) -> str:
    """The hash of one part of a window.

    Args:
        cohorts: by cohort what its clean_features are made from, and its labels on the day that counts.
    """
    return document_sha256([[str(c), *content] for c, content in sorted(cohorts.items())])


def cohort_made_from(declared: str, content: CohortContent) -> dict[str, str]:
    """By asset of the cohort job, the hash of what it is made from."""
    labels: list[Any] = [content.loans, declared, content.label_history]
    outcomes = [*labels, content.bad_history] if content.bads else labels
    return {
        "raw_loans": document_sha256([content.loans]),
        "clean_features": document_sha256([content.loans, declared]),
        "outcomes": document_sha256(outcomes),
        "labels": document_sha256(labels),
    }


@dataclass(frozen=True)
class Lineage:
    """What every asset should be made from, by what the tape says today.

    Attributes:
        stands: what a part is made from however the tape was revised since, or None: the recorded baseline.
        as_of: the tape's as-of date.
    """

    method: Method
    tape: Mapping[Month, CohortContent]
    stands: Callable[[Part], str | None]
    as_of: date = date.max
    _known: dict[Part, str | None] = field(default_factory=dict, repr=False, compare=False)

    def of(self, asset: str, month: Month) -> str | None:
        """The hash an asset, or a part of a window, should be made from; None where the tape lacks the cohort."""
        part = (asset, month)
        if part not in self._known:
            self._known[part] = self.stands(part) or self._work_out(asset, month)
        return self._known[part]

    def _work_out(self, asset: str, month: Month) -> str | None:
        if asset in COHORT_ASSETS:
            content = self.tape.get(month)
            return cohort_made_from(self.method.declared, content)[asset] if content else None
        spec = self.method.spec
        if asset == "ages":
            return str(len(reached(spec, month, self.as_of)))
        if asset == "otv":
            return self._window(otv_months(spec, month), month)
        if asset == "seen":
            return self._window(earlier_cohorts(spec, month), month)
        for strategy in spec.strategies:
            if asset == f"development_{strategy}":
                cohorts = development_months(spec, strategy, month)
                return self._window(cohorts, trained_for(spec, strategy, month), strategy == "immature_cohorts")
        return made_from(asset, {(a, m): self.of(a, m) for a, m in sources(self.method, asset, month)})

    def _window(self, cohorts: tuple[Month, ...], decided: Month, is_immature: bool = False) -> str:
        on, there = labels_day(self.method.spec, decided), {c: self.tape[c] for c in cohorts if c in self.tape}
        labels = {c: seen.bads_on(on) if is_immature else seen.labels_on(on) for c, seen in there.items()}
        return window_part({c: (self.of("clean_features", c), labels.get(c)) for c in cohorts})
