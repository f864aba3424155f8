"""Every check by its code. docs/runbook.md says of each what it means and what to do."""

from __future__ import annotations

from pdx_assets.risk.checks.base import Check

ROW_ACCOUNTING = Check(
    "row_accounting",
    "Every row is accounted for, and few are rejected",
    "raw_loans",
    "error",
    "Rows in = rows out + rejected + excluded by rule, of loans and of performance rows; and the share rejected.",
    blocking=True,
    waivable=True,
)
COHORT_VOLUME = Check(
    "cohort_volume",
    "The cohort has about as many loans as those before it",
    "raw_loans",
    "error",
    "Loans of the cohort against the median of the cohorts before it; blocking where far off, a warning where odd.",
    blocking=True,
    waivable=True,
)
SCHEMA = Check(
    "schema",
    "The features are those declared, and none has been emptied",
    "clean_features",
    "error",
    "Columns and types against the portfolio's YAML; features without any value that earlier cohorts filled.",
    blocking=True,
    waivable=True,
)
MISSING_RATE = Check(
    "missing_rate",
    "No feature is missing more or less often than before",
    "clean_features",
    "warn",
    "The share missing of each feature against the cohorts before it.",
)
CATEGORY_NOVELTY = Check(
    "category_novelty",
    "No new category holds a share that matters",
    "clean_features",
    "warn",
    "Categories that none of the cohorts before it had.",
)
BAD_RATE_SHIFT = Check(
    "bad_rate_shift",
    "The newly known bad rate is near that of the cohorts before it",
    "labels",
    "warn",
    "Bads among the labelled loans of the cohort against the known cohorts before it.",
)
LABEL_FIREWALL = Check(
    "label_firewall",
    "No label was known only after the decision date",
    "window",
    "error",
    "The known-from date of every label in the window against the decision date. Cannot be waived.",
    blocking=True,
)
LEAKS = Check(
    "leaks",
    "No feature knows the outcome",
    "window_fixed_window",
    "error",
    "Each feature alone on the development window and OTV of the first production month: its AUC out of time, its "
    "gaps, zeros, rounding and equal columns by outcome, and power that comes or goes. Accepted or banned in the YAML.",
    blocking=True,
)
TRAINED = Check(
    "trained",
    "The challenger was trained",
    "challenger",
    "warn",
    "The challenger was trained and its portable form reproduces its scores; otherwise it left a tombstone and the "
    "contest goes on without it.",
)
SOMEONE_IN_CHARGE = Check(
    "someone_in_charge",
    "Somebody sound is in charge",
    "champion",
    "error",
    "The month has a champion, a challenger was left, and the incumbent could be scored.",
)
OTV_DISCRIMINATION = Check(
    "otv_discrimination",
    "The champion tells bads from goods out of time",
    "champion",
    "warn",
    "The champion's AUC on OTV, or on its recipe's record where it has seen OTV, against the floor.",
)
CUT_OFF_SHIFT = Check(
    "cut_off_shift",
    "The decision leaves lending at the cut-off as it is",
    "champion",
    "warn",
    "Approval rate and expected bad rate at the current cut-off, with the champion against with the incumbent.",
)
FEATURE_PSI = Check(
    "feature_psi",
    "No feature has moved beyond chance since the development window",
    "drift",
    "warn",
    "PSI of each feature against the champion's development window: beyond chance over all features jointly, and "
    "beyond the customary limit.",
)
SCORE_PSI = Check(
    "score_psi",
    "The score has not moved beyond chance since the development window",
    "drift",
    "warn",
    "PSI of the champion's score against the ITV loans of its development window, which it was not fitted on; one "
    "family with the features.",
)
EXPECTED_PERFORMANCE = Check(
    "expected_performance",
    "The champion is expected to do as well as it must",
    "performance_estimate",
    "warn",
    "The interval of the AUC and of the bad rate to come against the limits they will be held to.",
)
AUC_DECAY = Check(
    "auc_decay",
    "The champion ranks in production as it did when it was put in charge",
    "production_performance",
    "warn",
    "The champion's realized AUC against its AUC on OTV, or on its recipe's record, with the standard errors of both.",
)
CALIBRATION = Check(
    "calibration",
    "Realized bad rates are not above the PDs",
    "production_performance",
    "warn",
    "Jeffreys test of the champion's PDs against the realized bad rate, by score band and overall.",
)
CHAMPION_AGAINST_BASELINE = Check(
    "champion_against_baseline",
    "The champion is not worse than the baseline",
    "production_performance",
    "warn",
    "Realized AUC of the champion against that of p0's champion, frozen, on the same loans.",
)

CHECKS = {
    check.code: check
    for check in (
        ROW_ACCOUNTING,
        COHORT_VOLUME,
        SCHEMA,
        MISSING_RATE,
        CATEGORY_NOVELTY,
        BAD_RATE_SHIFT,
        LABEL_FIREWALL,
        LEAKS,
        TRAINED,
        SOMEONE_IN_CHARGE,
        OTV_DISCRIMINATION,
        CUT_OFF_SHIFT,
        FEATURE_PSI,
        SCORE_PSI,
        EXPECTED_PERFORMANCE,
        AUC_DECAY,
        CALIBRATION,
        CHAMPION_AGAINST_BASELINE,
    )
}
