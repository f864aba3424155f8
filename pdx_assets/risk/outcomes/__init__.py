"""What happened to each loan, when, and from when it was known; and labels as views of it.

Events and labels are bitemporal: a row says from which day it was known and, where a correction took it
back, until which. So what a decision date could know is a filter, never a guess. Windows and their
firewall (windows.py) read these dates; nothing here looks at features.

Events come from the label definition the portfolio declares, one module a kind (definitions.py); labels
from events (labels.py).
"""

from pdx_assets.risk.outcomes.definitions import bad_events, outcome_events
from pdx_assets.risk.outcomes.labels import cohort_labels, label_rows, label_view, labels_every_loan, never_labelled
from pdx_assets.risk.outcomes.repayment_dates import require_horizon
from pdx_assets.risk.outcomes.tables import EVENT_SCHEMA, LABEL_SCHEMA

__all__ = [
    "EVENT_SCHEMA",
    "LABEL_SCHEMA",
    "bad_events",
    "cohort_labels",
    "label_rows",
    "label_view",
    "labels_every_loan",
    "never_labelled",
    "outcome_events",
    "require_horizon",
]
