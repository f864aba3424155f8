"""Documents of a home as the stages leave them, made by hand: two months, the second not measured; nothing trained."""

from __future__ import annotations

from typing import Any

from pdx_assets.stages.workspace import Workspace


def figures(auc: float) -> dict[str, Any]:
    """Metrics as stored, KS and the others at fixed distances of the AUC."""
    auc = round(auc, 6)
    near = {"ks": auc - 0.4, "f1": auc - 0.5, "capture_rate_top3_deciles": auc - 0.1}
    return {"auc": auc, **near, "n_loans": 800, "n_bads": 80, "bad_rate": 0.1, "mean_pd": 0.1}


def keep_results(ws: Workspace) -> list[str]:
    """Write p0 and the month after it; the fixed window's last algorithm is champion of both. The two months."""
    months = [str(ws.spec.p0), str(ws.spec.periods.shift(ws.spec.p0, 1))]
    best = f"fixed_window_{ws.spec.algorithms[-1]}"
    for number, key in enumerate(months):
        measured: dict[str, Any] = {}
        for strategy in ws.spec.strategies:
            for place, algorithm in enumerate(ws.spec.algorithms):
                own = number == 0 or strategy == "fixed_window"
                digest = f"fixed_window_{algorithm}" if own else f"{strategy}_{algorithm}_{key}"
                auc = 0.70 + 0.01 * place - (0.0 if own else 0.005)
                measured[digest] = figures(auc)
                pointer = {
                    "status": "bundle",
                    "strategy": strategy,
                    "algorithm": algorithm,
                    "trained_for": months[0] if own else key,
                    "bundle_sha256": digest,
                    "metrics": {"train": figures(auc + 0.1), "itv": figures(auc + 0.02)},
                }
                ws.lake.put_document(f"challenger_{strategy}_{algorithm}", key, pointer)
        ws.lake.put_document("otv_scores", key, {"metrics": measured})
        champion = {
            "strategy": "fixed_window",
            "algorithm": ws.spec.algorithms[-1],
            "trained_for": months[0],
            "bundle_sha256": best,
            "score": 0.73,
        }
        decision = {"production_month": key, "decision": "first", "reason": "by hand", "champion": champion}
        ws.lake.put_document("decisions/main", key, decision)
        if number == 0:
            realized = {digest: figures(m["auc"] - 0.05) for digest, m in measured.items()}
            ws.lake.put_document("production_performance", key, {"champion": best, "metrics": realized})
    inputs = {"numbers": ws.spec.number_features, "categories": ws.spec.category_features}
    study = {"depends_on": {"inputs": inputs}}
    ws.lake.put_document(f"tuning_{ws.spec.algorithms[0]}", months[0], {"studies": {"fixed_window": study}})
    shift = ws.spec.periods.shift
    spans = {
        part: {"first": str(shift(ws.spec.p0, first)), "last": str(shift(ws.spec.p0, last))}
        for part, (first, last) in {"development": (-27, -16), "otv": (-15, -13)}.items()
    }
    ws.lake.put_document("window_fixed_window", months[0], spans)
    return months
