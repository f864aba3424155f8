"""What a materialization shows to a person: tables, pictures and plain words as Dagster metadata.

The UI unfolds a table of any length, and markdown of fewer than 1,000 characters; longer markdown waits behind
"[Show Markdown]". So tables are tables, a sketch fits into the 1,000, and the full picture is one click away.
Entries appear in the order given. Keys in words are for people; keys in snake_case are read by programs.
"""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

UNFOLDED = 1000  # characters, from dagster-webserver 1.13's MetadataEntry

METRICS = {
    "auc": "AUC",
    "ks": "KS",
    "f1": "F1",
    "capture_rate_top3_deciles": "capture",
    "brier": "Brier",
}
# The same at length, with what a column has no room for: both at the cut that refuses the worst 30 %.
AT_LENGTH = METRICS | {
    "f1": "F1 at the worst 30 %",
    "capture_rate_top3_deciles": "bads in the worst 30 %",
    "average_precision": "average precision",
    "brier": "Brier score",
}
SHARES = {"capture_rate_top3_deciles", "bad_rate", "mean_pd"}


def png(data: bytes, alternative: str) -> dg.MarkdownMetadataValue:
    """A picture, shown when its entry is clicked."""
    return dg.MetadataValue.md(f"![{alternative}](data:image/png;base64,{base64.b64encode(data).decode()})")


def sketch(svg: str, alternative: str) -> dg.MarkdownMetadataValue:
    """A small picture, shown at once."""
    return dg.MetadataValue.md(_as_image(svg, alternative))


def is_unfolded(svg: str, alternative: str) -> bool:
    """Whether the UI shows a sketch at once."""
    return len(_as_image(svg, alternative)) < UNFOLDED


def _as_image(svg: str, alternative: str) -> str:
    # In <> a destination may hold spaces; encoding only what must be saves a third of the 1,000 characters.
    return f"![{alternative}](<data:image/svg+xml,{urllib.parse.quote(svg, safe=' =:/,.-+;()' + chr(39))}>)"


def champion_pictures(months: Sequence[str], recipes: Sequence[str | None]) -> dict[str, dg.MarkdownMetadataValue]:
    """Who was in charge, month by month, (m,) each: a sketch going back as far as fits, and all of it at full size."""
    from pdx_assets.risk.plots import champion_timeline
    from pdx_assets.risk.sketches import timeline_sketch

    kept = next(k for k in range(len(months)) if is_unfolded(timeline_sketch(months[k:], recipes[k:]), "Champions"))
    return {
        "Champions so far": sketch(timeline_sketch(months[kept:], recipes[kept:]), "Champions"),
        "Champions so far, large": png(champion_timeline(months, [r or "vacant" for r in recipes]), "Champions so far"),
    }


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> dg.TableMetadataValue:
    """A table, cells as people read them (:func:`cell`)."""
    records = [dg.TableRecord({h: cell(v) for h, v in zip(header, row, strict=True)}) for row in rows]
    return dg.MetadataValue.table(records, schema=dg.TableSchema([dg.TableColumn(h, "string") for h in header]))


def models_table(models: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]], **roles: str) -> dg.TableMetadataValue:
    """One line a model, best AUC first.

    Args:
        models: (a document with strategy and algorithm, its metrics).
        roles: digest -> word, in a last column of its own when there are any.
    """
    ordered = sorted(models, key=lambda model: -(model[1].get("auc") or -1.0))
    return table(
        ["window", "algorithm", *METRICS.values(), *(["role"] if roles else [])],
        (
            [
                *recipe(who),
                *(measured(name, metrics) for name in METRICS),
                *([roles.get(who["bundle_sha256"], "")] if roles else []),
            ]
            for who, metrics in ordered
        ),
    )


def samples_table(samples: Mapping[str, Mapping[str, Any]]) -> dg.TableMetadataValue:
    """One column a sample, such as train and ITV: a model's metrics side by side."""
    rows: dict[str, str] = {"loans": "n_loans", "bads": "n_bads", "bad rate": "bad_rate", "mean PD": "mean_pd"}
    rows |= {words: name for name, words in AT_LENGTH.items()}
    return table(["", *samples], ([words, *(measured(n, m) for m in samples.values())] for words, n in rows.items()))


def recipe(who: Mapping[str, Any]) -> tuple[str, str]:
    """Window and algorithm in words."""
    return who["strategy"].replace("_", " "), who["algorithm"].replace("_", " ")


def measured(name: str, metrics: Mapping[str, Any]) -> Any:
    """A metric as shown: shares in percent."""
    return percent(metrics.get(name)) if name in SHARES else metrics.get(name)


def percent(share: float | None) -> str | None:
    """0.0813 -> '8.1 %'."""
    return None if share is None else f"{100 * share:.1f} %"


def months_and_loans(part: Mapping[str, Any]) -> str:
    """'2023-03 to 2023-05: 2,396 loans, 197 bads (8.2 %)'."""
    rates = [percent(part["bad_rate"])] if part["bad_rate"] is not None else []
    rates += [f"{percent(part[key])} by weight" for key in ("weighted_bad_rate",) if part.get(key) is not None]
    rate = f" ({', '.join(map(str, rates))})" if rates else ""
    return f"{part['first']} to {part['last']}: {part['loans']:,} loans, {part['bads']:,} bads{rate}"


def plotted(values: Mapping[str, float | None]) -> dict[str, float]:
    """Numbers that Dagster draws over partitions, without digits nobody reads; undefined ones are left out."""
    return {name: round(float(value), 4) for name, value in values.items() if value is not None}


def cell(value: Any) -> str:
    """None is empty, numbers have four decimals or thousands separators."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)
