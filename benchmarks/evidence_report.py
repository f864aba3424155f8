"""What evidence_policy.py found: false changes and their bound, AUC by policy, time to a better recipe, right picks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Document = Mapping[str, Any]


def upper_bound(hits: int, n: int, level: float = 0.95) -> float:
    """One-sided exact bound of a share. Source: Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404."""
    from scipy.stats import beta

    return 1.0 if hits >= n else float(beta.ppf(level, hits + 1, n - hits))


def years(document: Document) -> list[Sequence[Document]]:
    months = document["months"]
    return [months[i : i + 12] for i in range(0, len(months), 12)]


def changes(months: Sequence[Document], policy: str) -> list[Document]:
    return [m["policies"][policy]["change"] for m in months if "change" in m["policies"][policy]]


def false_years(documents: Sequence[Document], policy: str) -> tuple[int, int]:
    """Years with a change of recipe to a model that is not better, and years."""
    all_years = [year for d in documents for year in years(d)]
    return sum(any(c["gain"] <= 0 for c in changes(year, policy)) for year in all_years), len(all_years)


def months_to_better(document: Document, policy: str) -> int | None:
    """Months from p0 to the first change of recipe to a truly better model; None where there was none."""
    for i, month in enumerate(document["months"]):
        change = month["policies"][policy].get("change")
        if change is not None and change["gain"] > 0:
            return i
    return None


def mean_auc(document: Document, policy: str, kind: str) -> float:
    return float(np.mean([m["policies"][policy][kind] for m in document["months"]]))


def right_picks(documents: Sequence[Document], judge: str) -> tuple[int, int]:
    """Months in which OTV (or the record) prefers the recipe whose model is truly best of those OTV can judge."""
    right, asked = 0, 0
    for month in (m for d in documents for m in d["months"]):
        rivals = [r for r in month["truth"] if r.startswith("rolling_window ")]
        if month["picks"][judge] is not None and len(rivals) > 1:
            asked += 1
            right += month["picks"][judge] == max(rivals, key=lambda r: month["truth"][r])
    return right, asked


def print_report(documents: Sequence[Document]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=150)
    for world in dict.fromkeys(d["plan"]["world"] for d in documents):
        own = [d for d in documents if d["plan"]["world"] == world]
        seconds = np.mean([d["seconds"] for d in own])
        table = Table(
            title=f"{world}: {len(own)} lenders, {len(own[0]['months'])} months each, {seconds:.0f} s a lender"
        )
        heads = ("policy", "realized AUC", "true AUC", "true, less paper's", "recipe changes", "years false", "at most")
        for head in (*heads, "months to a better recipe"):
            table.add_column(head, justify="left" if head == "policy" else "right")
        for policy in own[0]["months"][0]["policies"]:
            aucs = [np.array([mean_auc(d, policy, kind) for d in own]) for kind in ("realized", "true")]
            paper = np.array([mean_auc(d, "paper", "true") for d in own])
            wrong, n = false_years(own, policy)
            first = [months_to_better(d, policy) for d in own]
            found = [m for m in first if m is not None]
            waited = f"{np.median(found):.0f} ({len(found)} of {len(own)})" if found else f"- (0 of {len(own)})"
            table.add_row(
                policy,
                *(_interval(a) for a in aucs),
                _interval(aucs[1] - paper),
                _interval(np.array([len(changes(d["months"], policy)) for d in own]), ".2f"),
                f"{wrong} of {n}",
                f"{upper_bound(wrong, n):.1%}",
                waited,
            )
        console.print(table)
        told = [f"{judge} {right} of {n}" for judge in ("otv", "record") for right, n in [right_picks(own, judge)]]
        console.print(f"picks the truly better of the recipes OTV can judge: {', '.join(told)} months")


def _interval(values: np.ndarray, form: str = ".4f") -> str:
    """Mean with Student's 95 % interval over lenders, which are independent."""
    if len(values) < 2:
        return f"{values.mean():{form}}"
    from scipy.stats import t

    reach = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():{form}} ± {reach:{form}}"
