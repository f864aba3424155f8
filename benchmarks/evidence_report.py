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


def months_waited(documents: Sequence[Document], policy: str) -> np.ndarray:
    """Months from p0 to the first truly better recipe by lender; where none came all of its months."""
    found = [(months_to_better(d, policy), len(d["months"])) for d in documents]
    return np.array([n if first is None else first for first, n in found], dtype=float)


def mean_auc(document: Document, policy: str, kind: str) -> float:
    return float(np.mean([m["policies"][policy][kind] for m in document["months"]]))


def judged(document: Document, judge: str) -> tuple[float, float] | None:
    """Share of a lender's months in which a judge puts the truly best recipe first, and how far behind it his are.

    The truth is a recipe's mean true AUC over the months: one month's model may be lucky, which nobody can know.
    """
    months = [m for m in document["months"] if judge in m["picks"]]
    if not months:
        return None
    truth = {r: float(np.mean([m["truth"][r] for m in document["months"]])) for r in months[0]["truth"]}
    best = max(truth, key=lambda r: truth[r])
    picked = [m["picks"][judge] for m in months]
    return float(np.mean([p == best for p in picked])), float(np.mean([truth[best] - truth[p] for p in picked]))


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
        for head in (*heads, "months to a better recipe (within the time)"):
            table.add_column(head, justify="left" if head == "policy" else "right")
        for policy in own[0]["months"][0]["policies"]:
            aucs = [np.array([mean_auc(d, policy, kind) for d in own]) for kind in ("realized", "true")]
            paper = np.array([mean_auc(d, "paper", "true") for d in own])
            wrong, n = false_years(own, policy)
            found = sum(months_to_better(d, policy) is not None for d in own)
            waited = f"{_interval(months_waited(own, policy), '.1f')} ({found} of {len(own)})" if found else "none"
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
        console.print(_judges(own))


def _judges(documents: Sequence[Document]) -> Any:
    from rich.table import Table

    table = Table(title="Who puts the truly best recipe first?")
    for head in ("judge", "share of months", "true AUC behind the best", "behind, less the record's"):
        table.add_column(head, justify="left" if head == "judge" else "right")
    names = list(dict.fromkeys(j for d in documents for m in d["months"] for j in m["picks"]))
    found = {judge: [judged(d, judge) for d in documents] for judge in names}
    for judge, values in found.items():
        both = [(v, r) for v, r in zip(values, found["record"], strict=True) if v is not None and r is not None]
        shares, behind = (np.array([v[i] for v, _ in both]) for i in (0, 1))
        paired = behind - np.array([r[1] for _, r in both])
        less = "" if judge == "record" else _interval(paired)
        table.add_row(judge, _interval(shares, ".0%"), _interval(behind), less)
    return table


def _interval(values: np.ndarray, form: str = ".4f") -> str:
    """Mean with Student's 95 % interval over lenders, which are independent."""
    if len(values) < 2:
        return f"{values.mean():{form}}"
    from scipy.stats import t

    reach = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():{form}} ± {reach:{form}}"
