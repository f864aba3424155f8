"""Which decisions people hear of."""

from __future__ import annotations

import pytest

from pdx_assets.alerts.model import decision_alert


@pytest.mark.parametrize(
    ("verdict", "severity"),
    [
        *(("first", "info"), ("promoted", "info"), ("demoted", "warning")),
        *((v, None) for v in ("kept", "refitted", "no_contest", "vacant", "rolled_back")),
    ],
)
def test_a_change_of_recipe_is_told_and_a_refit_is_not(verdict: str, severity: str | None) -> None:
    document = {
        "portfolio": "small",
        "production_month": "2024-01",
        "decision": verdict,
        "champion": {"strategy": "all_known", "algorithm": "xgboost", "trained_for": "2024-01"},
        "reason": "because",
    }
    alert = decision_alert(document, link="http://ui", now=0.0)
    assert (alert.severity if alert else None) == severity
    if alert:
        assert alert.title == "all known xgboost of 2024-01 is the champion" and alert.kind == "promotion"
