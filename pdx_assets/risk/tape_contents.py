"""What a tape says of each cohort, as hashes: which of its tables a new or revised tape makes stale.

Hashes of content, never of files: a tape exported anew with one cohort corrected differs in that cohort
only. Labels are hashed as they stood on each day on which one changed, so that what a decision date
could know stays the same when a later outcome comes in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.exposure import bads_sha256
from pdx_assets.risk.hashing import content_sha256, document_sha256
from pdx_assets.risk.outcomes import bad_events, cohort_labels, label_view, outcome_events
from pdx_assets.risk.spec import PortfolioSpec
from pdx_assets.risk.tape import CohortRows, StagedTape
from pdx_assets.risk.tape_records import SOURCE_ROW

SOURCE_FILE = "source_file"
# Raise when the same tape would give other hashes.
CONTENTS_VERSION = 2


@dataclass(frozen=True)
class CohortContent:
    """One cohort of a tape.

    Attributes:
        loans: hash of its loans as received, and of the loan rows set aside.
        labels: hash of its labels from each day on which one became known or changed, in order; the first
            is the day the cohort became known. Empty: not known yet.
        bads: likewise of who was seen to turn bad (exposure.bads_sha256), known labels or not; blank where nobody is.
            Kept only where immature cohorts teach.
    """

    loans: str
    labels: tuple[tuple[date, str], ...] = ()
    bads: tuple[tuple[date, str], ...] = ()

    def labels_on(self, day: date) -> str | None:
        """Hash of the labels as they stood on a day; None when nobody could know them."""
        return next((sha for since, sha in reversed(self.labels) if since <= day), None)

    def known_by(self, day: date) -> CohortContent:
        """What was there of the labels on a day."""
        labels, bads = (tuple(s for s in steps if s[0] <= day) for steps in (self.labels, self.bads))
        return CohortContent(self.loans, labels, bads)

    def bads_on(self, day: date) -> str | None:
        """Hash of who was seen to turn bad by a day; None where there was nobody."""
        return next((sha for since, sha in reversed(self.bads) if since <= day), None) or None

    @property
    def label_history(self) -> str | None:
        """Hash of the labels and of the days they changed on; None when not known yet."""
        return _history(self.labels)

    @property
    def bad_history(self) -> str | None:
        """Hash of who was seen to turn bad, and of the days that changed on; None where there is nobody."""
        return _history(self.bads)


def _history(steps: tuple[tuple[date, str], ...]) -> str | None:
    return document_sha256([[since.isoformat(), sha] for since, sha in steps]) if steps else None


def cohort_contents(spec: PortfolioSpec, tape: StagedTape) -> dict[Month, CohortContent]:
    """The content of every cohort seen on a tape, as known on its as-of date."""
    return {cohort: cohort_content(spec, cohort, tape.cohort(cohort), tape.as_of) for cohort in tape.cohorts}


def cohort_content(spec: PortfolioSpec, cohort: Month, rows: CohortRows, as_of: date) -> CohortContent:
    """The content of one cohort, as known on a day."""
    loans = loans_sha256(spec, rows)
    seen: tuple[tuple[date, str], ...] = ()
    if spec.learns_from_immature:
        seen = bad_steps(spec, outcome_events(spec, rows.loans, rows.performance, as_of))
    if spec.known_on(cohort) > as_of:
        return CohortContent(loans, bads=seen)
    return CohortContent(loans, label_steps(cohort_labels(spec, cohort, rows, as_of)), seen)


def loans_sha256(spec: PortfolioSpec, rows: CohortRows) -> str:
    """Hash of a cohort's loans as received, and of the loan rows set aside, wherever on the tape they stood.

    A lender's next full export has another name, and one loan more at its top moves every line below it: by file
    and line, all cohorts of such a tape would look changed.
    """
    places = [SOURCE_FILE, SOURCE_ROW]
    sampling = spec.sampling_weights
    if sampling is not None and sampling.files is not None:
        # There a file's name decides what its loans weigh.
        places.remove(SOURCE_FILE)
    # Performance rows are set aside under reasons of their own, and go on coming for years.
    rejected = rows.rejected.filter(~pl.col("reason").str.starts_with("performance"))
    return document_sha256(
        [
            content_sha256(rows.loans.drop(places).sort("loan_id")),
            content_sha256(rejected.drop(SOURCE_FILE, SOURCE_ROW).sort("reason", "row", nulls_last=True)),
        ]
    )


def label_steps(labels: pl.DataFrame) -> tuple[tuple[date, str], ...]:
    """Hash of a cohort's labels from each day on which they changed (``labels_sha256`` of a manifest)."""
    days: list[date] = sorted({*labels["known_from"].drop_nulls(), *labels["superseded_from"].drop_nulls()})
    steps: list[tuple[date, str]] = []
    for day in days:
        view = label_view(labels, day).filter(pl.col("known_from").is_not_null()).sort("cohort", "loan_id")
        sha = content_sha256(view.select("loan_id", "label"))
        if not steps or steps[-1][1] != sha:
            steps.append((day, sha))
    return tuple(steps)


def bad_steps(spec: PortfolioSpec, events: pl.DataFrame) -> tuple[tuple[date, str], ...]:
    """Hash of who of a cohort was seen to turn bad, from each day on which that changed; blank where nobody is."""
    events = events.filter(pl.col("event").is_in(bad_events(spec)))
    days: list[date] = sorted({*events["known_from"], *events["event_date"], *events["withdrawn_from"].drop_nulls()})
    steps: list[tuple[date, str]] = []
    for day in days:
        sha = bads_sha256(spec, events, day) or ""
        if sha != (steps[-1][1] if steps else ""):
            steps.append((day, sha))
    return tuple(steps)


def as_document(contents: dict[Month, CohortContent]) -> dict[str, Any]:
    """Contents as JSON."""
    return {
        str(cohort): {
            "loans": c.loans,
            "labels": _written(c.labels),
            **({"bads": _written(c.bads)} if c.bads else {}),
        }
        for cohort, c in contents.items()
    }


def _written(steps: tuple[tuple[date, str], ...]) -> list[list[str]]:
    return [[day.isoformat(), sha] for day, sha in steps]


def _read(steps: list[list[str]]) -> tuple[tuple[date, str], ...]:
    return tuple((date.fromisoformat(day), sha) for day, sha in steps)


def from_document(document: dict[str, Any]) -> dict[Month, CohortContent]:
    """Inverse of :func:`as_document`."""
    return {
        Month.parse(key): CohortContent(c["loans"], _read(c["labels"]), _read(c.get("bads", [])))
        for key, c in document.items()
    }
