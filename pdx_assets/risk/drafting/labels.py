"""Which columns tell how a loan ended, and what label could be made of them.

Tried in this order: a performance panel; due and repayment dates (repayment.py); a day of charge-off; status and
last payment; a ready flag. docs/portfolio.md says what each kind of label means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import polars as pl

from pdx_assets.risk.drafting.dates import as_float
from pdx_assets.risk.drafting.label_guess import LabelGuess, alternatives, dates_named, month_numbers, originated
from pdx_assets.risk.drafting.profiles import Profile
from pdx_assets.risk.drafting.repayment import from_repayment
from pdx_assets.risk.drafting.roles import Roles

_BAD = re.compile(
    r"charge?d?.?off|chg.?off|default|written.?off|write.?off|(?<![a-z])late(?![a-z])|delinq|arrear|overdue"
    r"|non.?perform|\bbad\b|\bnpl\b",
    re.IGNORECASE,
)
_CHARGED = re.compile(r"charge?d?.?off|chg.?off|written.?off|write.?off", re.IGNORECASE)
_CHARGE_DAY = re.compile(r"charge?d?_?off|chg_?off|writ\w*_?off|default")
_PAID = re.compile(r"fully.?paid|paid.?(off|in.full)|repaid|settled|^paid$|matured", re.IGNORECASE)
# A few days late is not yet three months late.
_EARLY = re.compile(r"grace|late \(?\s*(1|16)\s*-\s*(15|30)", re.IGNORECASE)
_LAST_PAYMENT = re.compile(r"last_?(pymnt|payment|paid|repayment)_?(d|date|on)?$")
_FLAG = re.compile(r"default|(^|_)bad|good_?bad|target|(^|_)label|outcome|delinquent|(^|_)y$|npl|dpd_?\d+|status")
_BAD_FLAG = re.compile(r"1|y|yes|true|bad|b", re.IGNORECASE)
_AHEAD = re.compile(r"due|matur|next|expect|schedul|end_date|plan_start|expir")
_HORIZONS = (3, 6, 12, 18, 24, 36, 48, 60)


def guess_label(
    roles: Roles, as_of: date | None, months: int, panel: Mapping[str, Profile] | None = None
) -> LabelGuess:
    """The most telling label that the columns allow.

    Args:
        roles: guesses for the loan columns; they name an origination date.
        as_of: latest outcome date of the sample.
        months: months of origination that the tape spans.
        panel: profiles of the performance rows, where there are any.
    """
    found = _from_panel(panel, months) if panel is not None else None
    found = found or from_repayment(roles, as_of, months)
    found = found or _from_charge_off(roles, months) or _from_last_payment(roles, months) or _from_flag(roles, months)
    return found or LabelGuess()


def outcome_day_columns(roles: Roles) -> tuple[str, ...]:
    """Outcome columns with days on which something had happened: the latest says when the tape was drawn."""
    names = (n for n in roles.named("outcome") if roles.profiles[n].dtype == "date")
    return tuple(n for n in names if not _AHEAD.search(roles.profiles[n].words))


def panel_columns(panel: Mapping[str, Profile]) -> dict[str, str] | None:
    """Keys of ``tape.performance`` and the columns they seem to be; None without days past due."""
    wanted = {
        "loan_id": r"(loan|account|contract)_?(id|no|nr|number)$|^id$",
        "month": r"month|period|(^|_)as_?of",
        "days_past_due": r"days_?past_?due|dpd|days_?late|arrears_?days",
        "status": r"status",
        "reported_on": r"report",
    }
    found = {
        key: next((n for n, p in panel.items() if re.search(pattern, p.words)), None) for key, pattern in wanted.items()
    }
    if found["loan_id"] is None or found["month"] is None or found["days_past_due"] is None:
        return None
    return {key: column for key, column in found.items() if column is not None}


def _from_panel(panel: Mapping[str, Profile], months: int) -> LabelGuess | None:
    columns = panel_columns(panel)
    if columns is None:
        return None
    horizon = 12 if months >= 30 else max(3, months // 4)
    return LabelGuess(
        kind="days_past_due",
        definition={"threshold": 90},
        name=f"bad_90dpd_{horizon}m",
        horizon_months=horizon,
        why=(f"the performance rows hold {columns['days_past_due']}; 90 days is the usual threshold",),
    )


def _from_charge_off(roles: Roles, months: int) -> LabelGuess | None:
    days = dates_named(roles, _CHARGE_DAY)
    if not days:
        return None
    on_book = month_numbers(days[0].values) - month_numbers(originated(roles))
    if on_book.null_count() == on_book.len():
        return None
    choices = [h for h in _HORIZONS if h <= max(3, 0.4 * months)]
    share = {h: as_float((on_book <= h).mean()) for h in choices}
    # A horizon that holds half of the charge-offs, but three years at most if these hold a fifth.
    half = next((h for h in choices if share[h] >= 0.5), choices[-1])
    horizon = 36 if half > 36 and share[36] > 0.2 else half
    definition: dict[str, Any] = {"date": days[0].name}
    bad = days[0].values.is_not_null()
    for column, levels in _statuses(roles, _CHARGED):
        if levels:
            definition |= {"status": column.name, "bad_status": alternatives(levels)}
            bad = column.values.is_in(levels)
            break
    seen = ", ".join(f"{h}: {s:.0%}" for h, s in share.items())
    return LabelGuess(
        kind="charged_off",
        definition=definition,
        name=f"charged_off_{horizon}m",
        horizon_months=horizon,
        why=(
            f"{days[0].name} is a day of charge-off, filled on {days[0].filled:.1%} of rows",
            f"share of all charge-offs by months on book: {seen}",
        ),
        decide=(f"within how many months does a charge-off count? {horizon} hold {share[horizon]:.0%} of those seen",),
        bad=bad,
        within=bad & (on_book <= horizon).fill_null(False),
        outcomes=tuple(definition[k] for k in ("date", "status") if k in definition),
    )


def _statuses(roles: Roles, bad: re.Pattern[str]) -> Iterator[tuple[Profile, list[str]]]:
    """Outcome columns with a few levels, and those of them that sound bad."""
    for name in roles.named("outcome"):
        column = roles.profiles[name]
        if column.dtype == "category" and 2 <= column.distinct <= 30:
            yield column, sorted(v for v in column.values.drop_nulls().unique() if bad.search(v))


def _from_last_payment(roles: Roles, months: int) -> LabelGuess | None:
    paid = dates_named(roles, _LAST_PAYMENT)
    found = [(p, levels) for p, levels in _statuses(roles, _BAD) if levels and "status" in p.words]
    if not paid or not found:
        return None
    column, levels = min(found, key=lambda pair: (-pair[0].filled, pair[0].name != "loan_status"))
    levels = [v for v in levels if not _EARLY.search(v)]
    repaid = sorted(v for v in column.values.drop_nulls().unique() if _PAID.search(v) and v not in levels)
    horizon = 12 if months >= 30 else max(5, months // 3)
    definition: dict[str, Any] = {
        "threshold": 90,
        "status": column.name,
        "bad_status": alternatives(levels),
        "last_payment": paid[0].name,
    }
    if repaid:
        definition["paid_off_status"] = alternatives(repaid)
    bad = column.values.is_in(levels)
    # 90 days past due comes four months after the last payment's (docs/portfolio.md).
    on_book = (month_numbers(paid[0].values) - month_numbers(originated(roles))).fill_null(0)
    return LabelGuess(
        kind="last_payment_and_status",
        definition=definition,
        name=f"bad_90dpd_{horizon}m",
        horizon_months=horizon,
        why=(
            f"{column.name} says how a loan stands and {paid[0].name} when it was last paid",
            f"bad: {', '.join(levels)}",
        ),
        decide=(f"are these the bad levels of {column.name}?",),
        bad=bad,
        within=bad & (on_book + 4 <= horizon),
        outcomes=(column.name, paid[0].name),
    )


def _from_flag(roles: Roles, months: int) -> LabelGuess | None:
    for name in roles.named("outcome"):
        column = roles.profiles[name]
        if not _FLAG.search(column.words) or column.filled < 0.5 or column.distinct != 2 or column.dtype == "date":
            continue
        texts = column.values.cast(pl.Int64).cast(pl.String) if column.dtype == "number" else column.values
        levels = texts.drop_nulls().value_counts(sort=True).to_series(0).to_list()
        bads = [v for v in levels if _BAD_FLAG.fullmatch(v) or _BAD.search(v)]
        # Bad loans are the fewer where the words do not say.
        bad = bads[0] if len(bads) == 1 else levels[-1]
        good = next(v for v in levels if v != bad)
        horizon = 12 if months >= 30 else max(1, months // 5)
        return LabelGuess(
            kind="ready_flag",
            definition={"flag": name, "bad": alternatives([bad]), "good": alternatives([good])},
            name=f"{column.words}_{horizon}m",
            horizon_months=horizon,
            why=(f"{name} has two values, {bad} on {as_float((texts == bad).mean()):.1%} of rows",),
            decide=("how many months after origination is the flag final? No column says",),
            bad=texts == bad,
            outcomes=(name,),
        )
    return None


def months_between(first: date, last: date) -> int:
    """Calendar months from one day's to another's, both counted."""
    return (last.year - first.year) * 12 + last.month - first.month + 1
