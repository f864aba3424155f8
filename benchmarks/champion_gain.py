"""Champion against its frozen baseline in production, with a bootstrap interval, from one or more homes.

    python benchmarks/champion_gain.py lendingclub HOME [HOME ...]

Each home holds one finished `pdx run` (another seed, say). The baseline is the champion of the first
production month, left alone. The interval resamples loans within month and class (1,000 draws, 95 %).
"""

from __future__ import annotations

import argparse
import os

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portfolio")
    parser.add_argument("homes", nargs="+", metavar="HOME")
    arguments = parser.parse_args()
    print("| seed | champion | baseline | difference [95 %] | fixed-window XGBoost | changes |")
    print("|---|---|---|---|---|---|")
    for home in arguments.homes:
        os.environ["PDX_HOME"] = home
        print(line(arguments.portfolio))


def line(portfolio: str) -> str:
    from pdx_assets.cli import open_workspace
    from pdx_assets.results import collect
    from pdx_assets.risk.calendar import Month
    from pdx_assets.risk.metrics.comparison import month_stratified
    from pdx_assets.stages.production import realized
    from pdx_assets.stages.scores import read_scores

    ws = open_workspace(portfolio)
    found = collect(ws)
    champions = [c for c in found["champions"] if c["production"] and c["baseline_production"]]
    baseline = champions[0]["bundle_sha256"]
    held = ws.lake.contents("clean_features")
    months, labels, ours, theirs, weights = [], [], [], [], []
    for champion in champions:
        month = Month.parse(champion["production_month"])
        loans = realized(ws, month)
        for digest, into in ((champion["bundle_sha256"], ours), (baseline, theirs)):
            scores = read_scores(ws, [digest], {month: held[month].sha256})
            into.append(loans.join(scores, on="loan_id").sort("loan_id")["pd"].to_numpy())
        labels.append(loans.sort("loan_id")["label"].to_numpy())
        if "weight" in loans.columns:
            weights.append(loans.sort("loan_id")["weight"].to_numpy())
        months += [str(month)] * len(labels[-1])
    label, pd, other = (np.concatenate(parts) for parts in (labels, ours, theirs))
    weight = np.concatenate(weights) if weights else None
    gain = month_stratified(months, label, pd, other, weight, seed=0).mean
    fixed = [
        m["production"]["auc"]
        for m in found["models"]
        if (m["strategy"], m["algorithm"]) == ("fixed_window", "xgboost") and m["production"]
    ]
    mean = {name: np.mean([c[name]["auc"] for c in champions]) for name in ("production", "baseline_production")}
    changes = sum(c["decision"] in ("promoted", "demoted") for c in champions)
    return (
        f"| {ws.pinned.seed} | {mean['production']:.4f} | {mean['baseline_production']:.4f} | "
        f"{gain.estimate:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}] | {np.mean(fixed):.4f} | {changes} |"
    )


if __name__ == "__main__":
    main()
