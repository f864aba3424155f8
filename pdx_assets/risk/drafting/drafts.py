"""A portfolio's draft: all guesses about a tape together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.drafting.dates import as_float
from pdx_assets.risk.drafting.label_guess import LabelGuess
from pdx_assets.risk.drafting.labels import guess_label, months_between, outcome_day_columns, panel_columns
from pdx_assets.risk.drafting.names import MAYBE_AFTER
from pdx_assets.risk.drafting.plans import WindowPlan, plan_windows
from pdx_assets.risk.drafting.profiles import Profile, profile
from pdx_assets.risk.drafting.relations import MAYBE_SUSPICIOUS, SUSPICIOUS, TELLS, strength
from pdx_assets.risk.drafting.roles import Guess, Roles, guess_roles
from pdx_assets.risk.drafting.sampling import TapeSample, read_sample
from pdx_assets.risk.errors import TapeError
from pdx_assets.risk.tape_staging import latest_supported

_MOST_ID_COLUMNS = 12


@dataclass(frozen=True)
class Draft:
    """Guesses for a portfolio.

    Attributes:
        as_of: the day the tape was drawn, as far as it tells.
        as_of_columns: outcome columns whose latest date that is; empty when no column says so.
        derive_from: columns the loan id is made of, where no column is one.
        plan: None without an origination date.
        panel: keys of ``tape.performance`` and the columns they seem to be, with the formats of its days.
    """

    name: str
    sample: TapeSample
    roles: Roles
    label: LabelGuess
    as_of: date | None
    as_of_columns: tuple[str, ...]
    loan_id: str | None
    derive_from: tuple[str, ...]
    plan: WindowPlan | None
    panel: dict[str, str]


def draft_portfolio(name: str, path: Path) -> Draft:
    """Guess a portfolio from its tape.

    Raises:
        TapeError, TapeUnavailableError: see :func:`read_sample`; or no column holds an origination date.
    """
    sample = read_sample(path)
    roles = guess_roles({c: profile(c, sample.rows[c]) for c in sample.columns})
    if roles.origination is None:
        raise TapeError(
            f"{path}: no column holds the day a loan was granted: {', '.join(sample.columns[:12])}.",
            expected="a column of dates that is filled on nearly every row, such as issue_date",
            remedy="export the origination date; docs/portfolio.md says how dates may be written",
        )
    issued = roles.profiles[roles.origination].values
    panel = None if sample.panel is None else {c: profile(c, sample.panel[c]) for c in sample.panel.columns}
    days = outcome_day_columns(roles)
    as_of = _panel_day(panel) or _latest([roles.profiles[n].values for n in days])
    first, last = issued.min(), issued.max()
    assert isinstance(first, date) and isinstance(last, date)
    label = guess_label(roles, as_of, months_between(first, last), panel)
    label = _balanced(label, roles)
    roles = _with_outcomes(roles, label)
    days = outcome_day_columns(roles)
    if label.bad is not None:
        roles = _judged_alone(roles, label.bad, issued)
    drawn = as_of or (Month.of(last) + label.horizon_months).last_day
    plan = plan_windows(*_counts(issued, label, sample.scale), drawn, label.horizon_months)
    column = next(iter(roles.named("id")), None)
    return Draft(
        name=name,
        sample=sample,
        roles=roles,
        label=label,
        as_of=drawn,
        as_of_columns=() if panel is not None else days,
        loan_id=column,
        derive_from=() if column and roles.profiles[column].filled > 0.99 else _identity(roles),
        plan=plan,
        panel=_panel(panel),
    )


def _latest(days: list[pl.Series]) -> date | None:
    if not days:
        return None
    latest = pl.DataFrame([d.alias(str(i)) for i, d in enumerate(days)]).select(pl.max_horizontal(pl.all()))
    return latest_supported(latest.to_series())


def _panel_day(panel: Mapping[str, Profile] | None) -> date | None:
    columns = panel_columns(panel) if panel else None
    if panel is None or columns is None:
        return None
    day = panel[columns.get("reported_on", columns["month"])]
    if day.dtype != "date":
        return None
    latest = day.values.max()
    assert isinstance(latest, date)
    return Month.of(latest).last_day if day.dates is not None and day.dates.names_no_day else latest


def _panel(panel: Mapping[str, Profile] | None) -> dict[str, str]:
    columns = panel_columns(panel) if panel else None
    if panel is None or columns is None:
        return {}
    for key, pattern in (("month", "month_format"), ("reported_on", "reported_format")):
        dates = panel[columns[key]].dates if key in columns else None
        if dates is not None:
            columns[pattern] = dates.format
    return columns


def _balanced(label: LabelGuess, roles: Roles) -> LabelGuess:
    """Half good and half bad is how a sample is drawn, not how a book turns out."""
    share = as_float(label.bad.mean()) if label.bad is not None else 0.0
    if not 0.45 < share < 0.55 or roles.named("weight"):
        return label
    asked = (
        f"{share:.0%} of the loans are bad. Was the file drawn so? Then declare sampling_weights, or a column of each "
        "loan's weight, or every PD will be too high"
    )
    return replace(label, decide=(*label.decide, asked))


def _with_outcomes(roles: Roles, label: LabelGuess) -> Roles:
    changes = {}
    for name in label.outcomes:
        guess = roles.guesses[name]
        changes[name] = replace(guess, role="outcome", why=f"the label is made of it; {guess.why}")
    return roles.changed(changes)


def _judged_alone(roles: Roles, bad: pl.Series, issued: pl.Series) -> Roles:
    """Features that tell the outcome by themselves become outcomes; those near it are marked."""
    changes: dict[str, Guess] = {}
    for name in (*roles.named("feature"), *roles.named("price")):
        column, guess = roles.profiles[name], roles.guesses[name]
        if column.dtype == "text" or (auc := strength(column, bad, issued)) is None:
            continue
        alone = f"alone it ranks good and bad loans with an AUC of {auc:.2f}"
        near = MAYBE_SUSPICIOUS if MAYBE_AFTER.search(column.words) else SUSPICIOUS
        if auc >= TELLS:
            why = f"{alone}: it was written after the outcome; {guess.why}"
            changes[name] = replace(guess, role="outcome", why=why)
        elif guess.role == "feature" and auc >= near:
            changes[name] = replace(guess, suspicious=f"{alone}, more than a column of an application usually does")
    return roles.changed(changes)


def _counts(issued: pl.Series, label: LabelGuess, scale: float) -> tuple[dict[Month, int], dict[Month, float] | None]:
    """Loans and bads by month, of the whole tape as far as the sample tells."""
    frame = pl.DataFrame([issued.dt.month_start().alias("month")])
    within = label.bad if label.within is None else label.within
    if within is not None:
        frame = frame.with_columns(within.alias("bad"))
    else:
        frame = frame.with_columns(pl.lit(None, dtype=pl.Boolean).alias("bad"))
    counts = frame.drop_nulls("month").group_by("month").agg(pl.len().alias("loans"), pl.col("bad").sum())
    loans = {Month.of(m): round(n * scale) for m, n in counts.select("month", "loans").iter_rows()}
    if within is None:
        return loans, None
    return loans, {Month.of(m): n * scale for m, n in counts.select("month", "bad").iter_rows()}


def _identity(roles: Roles) -> tuple[str, ...]:
    """Application-time columns that tell loans apart."""
    found = [*roles.named("date"), *roles.named("borrower"), *roles.named("feature")]
    filled = [n for n in found if roles.profiles[n].filled > 0.9 and roles.guesses[n].dtype != "text"]
    most_telling = sorted(filled[1:], key=lambda n: -roles.profiles[n].distinct)[: _MOST_ID_COLUMNS - 1]
    return (*filled[:1], *(n for n in filled if n in most_telling))
