"""The per-loan score table: each (bundle, cohort content) pair is scored once, and read by everything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import HomeError, PdxError, ScoreError
from pdx_assets.risk.hashing import content_sha256
from pdx_assets.risk.models.matrix import LoanMatrix
from pdx_assets.risk.scoring import SCORE_SCHEMA, score_cohort
from pdx_assets.stages.challengers import load_bundle
from pdx_assets.stages.workspace import Workspace

TABLE = "scores"
# Rows of one commit at most, but for the last cohort of it: all of them are in memory at once.
COMMIT_ROWS = 500_000
PARTITIONS = ("cohort", "features_sha256", "bundle_sha256")


@dataclass(frozen=True)
class Scored:
    """Seconds spent in the models, and the bundles that could not score, with the reason."""

    seconds: float
    failed: dict[str, str]

    def require_all(self) -> float:
        """The seconds.

        Raises:
            ScoreError: a bundle could not score.
        """
        for digest, why in self.failed.items():
            raise ScoreError(f"Bundle {digest[:12]} could not score its loans: {why}")
        return self.seconds


def ensure_scores(ws: Workspace, bundles: Iterable[str], cohorts: Mapping[Month, str]) -> Scored:
    """Score the pairs not in the table yet. One damaged bundle must not keep the others from being scored.

    Args:
        bundles: digests.
        cohorts: content hash of clean_features by cohort: a revised cohort is scored anew, and the old
            scores stay. A cohort without loans has no scores.

    Raises:
        ScoreError: a cohort's features are no longer those of the hash.
    """
    if not ws.may_score:
        return Scored(0.0, {})
    bundles = list(dict.fromkeys(bundles))
    have = ws.lake.partitions(TABLE, *PARTITIONS)
    missing = {c: [b for b in bundles if (str(c), sha, b) not in have] for c, sha in cohorts.items()}
    loans = _loans(ws, {c: cohorts[c] for c, lacking in missing.items() if lacking})
    scored: dict[Month, list[pl.DataFrame]] = {c: [] for c in loans}
    seconds, failed = 0.0, {}
    # Bundle by bundle, none kept: the sessions of a year's forests together took 1 GiB.
    for digest in bundles:
        wanted = [c for c in loans if digest in missing[c] and len(loans[c].ids)]
        if not wanted:
            continue
        start = perf_counter()
        try:
            bundle = load_bundle(ws, digest)
            done = {
                c: score_cohort(bundle, loans[c].matrix, loans[c].ids, cohort=str(c), features_sha256=cohorts[c])
                for c in wanted
            }
        except PdxError as error:
            failed[digest] = error.got
            continue
        for cohort, frame in done.items():
            scored[cohort].append(frame)
        seconds += perf_counter() - start
    for batch in _batches(scored):
        # Replacing the pairs, not appending them: two runs scoring the same pair leave it there once.
        pairs = [
            f"(cohort = '{c}' AND features_sha256 = '{cohorts[c]}' AND bundle_sha256 IN "
            f"({', '.join(repr(b) for b in missing[c])}))"
            for c in batch
        ]
        frame = pl.concat([frame for c in batch for frame in scored[c]])
        ws.lake.write_where(TABLE, frame, by=PARTITIONS, predicate=" OR ".join(pairs))
    return Scored(seconds, failed)


def _batches(scored: Mapping[Month, list[pl.DataFrame]]) -> Iterator[list[Month]]:
    """Cohorts to write in one commit: one takes 30 to 100 ms, and a development window has a dozen cohorts or more."""
    batch: list[Month] = []
    rows = 0
    for cohort in (c for c, frames in scored.items() if frames):
        batch.append(cohort)
        rows += sum(frame.height for frame in scored[cohort])
        if rows >= COMMIT_ROWS:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch


@dataclass(frozen=True)
class _Loans:
    ids: pl.Series
    matrix: LoanMatrix


def _loans(ws: Workspace, cohorts: Mapping[Month, str]) -> dict[Month, _Loans]:
    held = ws.lake.contents("clean_features")
    for cohort, sha in cohorts.items():
        if held[cohort].sha256 != sha:
            raise ScoreError(
                f"clean_features of {cohort} changed since its hash {sha[:12]} was read.",
                remedy="materialize the windows of this production month again, then its scores",
            )
    numbers, categories = ws.spec.number_features, ws.spec.category_features
    columns = ["cohort", "loan_id", *numbers, *categories]
    features = ws.lake.scan_months("clean_features", cohorts, columns=columns).collect() if cohorts else pl.DataFrame()
    loans = {}
    for cohort in cohorts:
        part = features.filter(pl.col("cohort") == str(cohort)).sort("loan_id")
        matrix = LoanMatrix.from_frame(part, numbers, categories)
        loans[cohort] = _Loans(part["loan_id"], matrix)
    return loans


def read_scores(ws: Workspace, bundles: Iterable[str], cohorts: Mapping[Month, str]) -> pl.DataFrame:
    """Stored PDs, one row a (bundle, cohort, loan), sorted so.

    Raises:
        ScoreError: a pair was never scored; says which.
    """
    bundles = list(dict.fromkeys(bundles))
    have = ws.lake.partitions(TABLE, *PARTITIONS)
    held = ws.lake.contents("clean_features")
    missing = [
        f"bundle {b[:12]} on {c}"
        for b in bundles
        for c, sha in cohorts.items()
        if (str(c), sha, b) not in have and not (c in held and held[c].rows == 0)
    ]
    if missing:
        raise ScoreError(
            f"These scores were never stored: {', '.join(missing)}.",
            remedy="materialize otv_scores or production_performance for the months named",
        )
    if not have:
        return SCORE_SCHEMA.to_frame()
    asked = pl.any_horizontal(
        *((pl.col("cohort") == str(c)) & (pl.col("features_sha256") == sha) for c, sha in cohorts.items())
    )
    table = ws.lake.scan_table(TABLE).filter(pl.col("bundle_sha256").is_in(bundles) & asked)
    return table.select(SCORE_SCHEMA.names()).collect().sort("bundle_sha256", "cohort", "loan_id")


def newest_applications(ws: Workspace, production: Month) -> dict[Month, str]:
    """Content hash of clean_features of the month before a production month, by cohort: nobody has learned from it.

    Raises:
        HomeError: it was not materialized.
    """
    newest = ws.spec.periods.shift(production, -1)
    held = ws.lake.contents("clean_features")
    if newest not in held:
        raise HomeError(f"The loans of {newest} are not there yet.", remedy=f"materialize the cohort job for {newest}")
    return {newest: held[newest].sha256}


def pds_of(
    ws: Workspace, bundles: Iterable[str], cohorts: Mapping[Month, str], loans: pl.DataFrame
) -> dict[str, np.ndarray]:
    """Stored PDs of some loans (cohort, loan_id) by bundle, each (n,) in the loans' order.

    Raises:
        ScoreError: a pair was never scored; says which.
    """
    keys = ["cohort", "loan_id"]
    scores = read_scores(ws, bundles, cohorts).partition_by("bundle_sha256", as_dict=True)
    return {
        str(digest): loans.select(keys).join(own, on=keys, how="left", maintain_order="left")["pd"].to_numpy()
        for (digest,), own in scores.items()
    }


def pds_and_weight(ws: Workspace, digest: str, cohorts: Mapping[Month, str]) -> tuple[np.ndarray, np.ndarray | None]:
    """One bundle's stored PDs, (n,), and the loans' weights where the portfolio declares them.

    Raises:
        ScoreError: a pair was never scored; says which.
    """
    scores = read_scores(ws, [digest], cohorts)
    if not ws.spec.is_weighted:
        return scores["pd"].to_numpy(), None
    keys = ["cohort", "loan_id"]
    loans = ws.lake.scan_months("clean_features", list(cohorts), columns=[*keys, "weight"]).collect()
    joined = scores.join(loans, on=keys).sort(keys)
    return joined["pd"].to_numpy(), joined["weight"].to_numpy()


def score_hash(scores: pl.DataFrame) -> str:
    """Content hash of one bundle's scores on some cohorts: what a decision freezes."""
    return content_sha256(scores.select("cohort", "loan_id", "pd"))
