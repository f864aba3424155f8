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
from pdx_assets.risk.hashing import content_sha256, document_sha256
from pdx_assets.risk.outcomes import cohort_labels, label_view
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
    """

    loans: str
    labels: tuple[tuple[date, str], ...] = ()

    def labels_on(self, day: date) -> str | None:
        """Hash of the labels as they stood on a day; None when nobody could know them."""
        return next((sha for since, sha in reversed(self.labels) if since <= day), None)

    def known_by(self, day: date) -> CohortContent:
        """What was there of the labels on a day."""
        return CohortContent(self.loans, tuple(step for step in self.labels if step[0] <= day))

    @property
    def label_history(self) -> str | None:
        """Hash of the labels and of the days they changed on; None when not known yet."""
        if not self.labels:
            return None
        return document_sha256([[since.isoformat(), sha] for since, sha in self.labels])


def cohort_contents(spec: PortfolioSpec, tape: StagedTape) -> dict[Month, CohortContent]:
    """The content of every cohort seen on a tape, as known on its as-of date."""
    return {cohort: cohort_content(spec, cohort, tape.cohort(cohort), tape.as_of) for cohort in tape.cohorts}


def cohort_content(spec: PortfolioSpec, cohort: Month, rows: CohortRows, as_of: date) -> CohortContent:
    """The content of one cohort, as known on a day."""
    loans = loans_sha256(spec, rows)
    if spec.known_on(cohort) > as_of:
        return CohortContent(loans)
    return CohortContent(loans, label_steps(cohort_labels(spec, cohort, rows, as_of)))


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


def as_document(contents: dict[Month, CohortContent]) -> dict[str, Any]:
    """Contents as JSON."""
    return {
        str(cohort): {"loans": c.loans, "labels": [[day.isoformat(), sha] for day, sha in c.labels]}
        for cohort, c in contents.items()
    }


def from_document(document: dict[str, Any]) -> dict[Month, CohortContent]:
    """Inverse of :func:`as_document`."""
    return {
        Month.parse(key): CohortContent(c["loans"], tuple((date.fromisoformat(d), sha) for d, sha in c["labels"]))
        for key, c in document.items()
    }
