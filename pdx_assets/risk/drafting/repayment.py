"""A label from the days on which loans were due and repaid: ``kind: repayment_dates``."""

from __future__ import annotations

import re
from datetime import date

import polars as pl

from pdx_assets.risk.drafting.dates import as_float
from pdx_assets.risk.drafting.label_guess import LabelGuess, dates_named, month_numbers, originated
from pdx_assets.risk.drafting.profiles import Profile
from pdx_assets.risk.drafting.roles import Roles

# Days past due of which the largest is taken that still leaves bads to learn from.
THRESHOLDS = (90, 60, 30, 15, 7, 3, 1)
_ENOUGH_BADS_A_MONTH, _ENOUGH_BAD = 12, 0.02
_SHORTEST_USUAL = 7
_FEW = 0.005

_DUE = re.compile(r"due_?date|date_?due|(^|_)due(_d|_on)?$|matur|expected_?repay")
_TERM_DAYS = re.compile(r"(term|tenor|tenure|duration|period)_?(in_)?_?days?|days_?(term|tenor)|^(term|tenor|tenure)$")
_REPAID = re.compile(
    r"re_?paid|repa(y|id)_?ment_?date|first_?repa|paid_?(date|on|back|off)|date_?(re)?paid|closed?_?date|date_?closed"
    r"|(^|_)closed?(_on|_at)?$"
)
_LAST_PAYMENT = re.compile(r"last_?(pymnt|payment|paid|repayment)")

# Key of the definition, the column that says when a loan is due, and the one that says when it was repaid.
Pair = tuple[str, Profile, Profile]


def from_repayment(roles: Roles, as_of: date | None, months: int) -> LabelGuess | None:
    """Late by so many days that enough loans are; None without such columns, or when nobody is ever late."""
    pairs = _pairs(roles)
    if not pairs or as_of is None:
        return None
    (key, due, repaid), *others = pairs
    issued = originated(roles)
    due_on = _due_on(key, due, issued)
    late = {t: _late(due_on, repaid.values, t, as_of) for t in THRESHOLDS}
    if not as_float(late[1].sum()):
        return None
    usual = max(_SHORTEST_USUAL, int(as_float((due_on - issued).dt.total_days().median())))
    threshold = _threshold(late, usual, _ENOUGH_BADS_A_MONTH * months)
    on_book = month_numbers(due_on.dt.offset_by(f"{threshold}d")) - month_numbers(issued)
    horizon = max(1, int(as_float(on_book.quantile(0.99))))
    rates = ", ".join(f"{t} days: {as_float(late[t].mean()):.1%}" for t in sorted(late))
    why = [
        f"{due.name} says when a loan is due and {repaid.name} when it was repaid",
        f"bad when late by more than (share of loans whose time has come): {rates}",
        f"{horizon} months on book hold the due date and {threshold} days for 99 % of loans",
        *(f"the file also allows {k}: {d.name}, repaid: {r.name}" for k, d, r in others[:2]),
    ]
    if odd := _closed_unpaid(repaid, _closed(roles)):
        why.append(f"{odd:,} loans have a day of closing but no {repaid.name}: they count as not repaid")
    decide = [
        f"how many days late is bad? {threshold} is the most that leaves enough bads (up to {usual}, the usual time to "
        "the due date)"
    ]
    if full := [p.name for p in (repaid, *_closed(roles)) if p.filled > 1 - _FEW / 2]:
        decide.append(
            f"{full[0]} is hardly ever blank. Does the file hold repaid loans only? Then its last months hold quick "
            "payers only: export the whole book, or stop before bad rates fall, with pdx run --to"
        )
    return LabelGuess(
        kind="repayment_dates",
        definition={"threshold": threshold, key: due.name, "repaid": repaid.name},
        name=f"bad_{threshold}d_late_{horizon}m",
        horizon_months=horizon,
        why=tuple(why),
        decide=tuple(decide),
        bad=late[threshold],
        outcomes=tuple(p.name for p in (due, repaid) if p.dtype == "date"),
    )


def _pairs(roles: Roles) -> list[Pair]:
    """When a loan is due with when it was repaid; the pair least in doubt first."""
    repaid = [p for p in dates_named(roles, _REPAID) if not _LAST_PAYMENT.search(p.words)]
    due = [("due", p) for p in dates_named(roles, _DUE) if p.filled > 0.9]
    due += [("term_days", p) for p in roles.profiles.values() if _TERM_DAYS.search(p.words) and _in_days(p)]
    pairs = [(key, d, r) for key, d in due for r in repaid]
    # A first instalment's due date goes with a first payment, a loan's with its closing.
    alike = [p for p in pairs if ("first" in p[1].words) == ("first" in p[2].words)]
    closed = _closed(roles)

    def doubt(pair: Pair) -> tuple[bool, bool]:
        # A loan that was closed was repaid, whatever the day of its first payment says.
        return _closed_unpaid(pair[2], closed) > _FEW * pair[2].values.len(), pair[0] == "term_days"

    return sorted(alike or pairs, key=doubt)


def _in_days(column: Profile) -> bool:
    if column.dtype != "number" or column.filled < 0.98 or column.declared.unit not in (None, "days"):
        return False
    values = column.values.drop_nulls()
    looks = as_float(values.median()) >= 7 and as_float(values.max()) <= 400 and column.distinct < 40
    return looks and ("day" in column.words or column.declared.unit == "days" or as_float(values.max()) > 60)


def _closed(roles: Roles) -> list[Profile]:
    return [p for p in dates_named(roles, _REPAID) if "clos" in p.words]


def _closed_unpaid(repaid: Profile, closed: list[Profile]) -> int:
    """Loans with a day of closing and no day of repayment."""
    found = [int((repaid.values.is_null() & p.values.is_not_null()).sum()) for p in closed if p.name != repaid.name]
    return max(found, default=0)


def _threshold(late: dict[int, pl.Series], usual: int, enough: int) -> int:
    """The largest threshold with enough bads, not beyond the usual time to the due date; else the most bads."""
    good = [t for t, bad in late.items() if t <= usual and as_float(bad.mean()) >= _ENOUGH_BAD and bad.sum() >= enough]
    return max(good, default=max(late, key=lambda t: (as_float(late[t].sum()), t)))


def _due_on(key: str, due: Profile, issued: pl.Series) -> pl.Series:
    if key == "due":
        return due.values
    return issued + pl.Series(due.values.round().cast(pl.Int64) * 86_400_000).cast(pl.Duration("ms"))


def _late(due_on: pl.Series, repaid_on: pl.Series, threshold: int, as_of: date) -> pl.Series:
    """Boolean, null where the time to tell has not come."""
    limit = due_on.dt.offset_by(f"{threshold}d")
    late = (repaid_on > limit).fill_null(repaid_on.is_null())
    return late.set(~(limit <= as_of).fill_null(False), None)
