"""Which columns tell how a loan ended, and what label could be made of them.

Tried in this order: a performance panel; due and repayment dates; a day or status of charge-off; status and last
payment; a ready flag. docs/portfolio.md says what each kind of label means.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from pdx_assets.risk.drafting.profiles import Profile, words
from pdx_assets.risk.drafting.roles import Roles

_BAD = re.compile(r"charge?d?.?off|chg.?off|default|written.?off|write.?off|(?<![a-z])late(?![a-z])|delinq|arrear|overdue|non.?perform|\bbad\b|\bnpl\b", re.I)
_CHARGED = re.compile(r"charge?d?.?off|chg.?off|written.?off|write.?off", re.I)
_PAID = re.compile(r"fully.?paid|paid.?(off|in.full)|^p\s?i\s?f$|repaid|settled|^paid$|matured", re.I)
_DUE = re.compile(r"due_?date|date_?due|(^|_)due(_d|_on)?$|matur|expected_?repay")
_TERM_DAYS = re.compile(r"(term|tenor|tenure|duration|period)_?(in_)?_?days?|days_?(term|tenor)|^term$|^tenor$|^tenure$")
_REPAID = re.compile(r"re_?paid|repa(y|id)_?ment_?date|first_?repa|paid_?(date|on|back|off)|date_?(re)?paid|closed?_?date|date_?closed|(^|_)closed?(_on|_at)?$")
_LAST_PAYMENT = re.compile(r"last_?(pymnt|payment|paid|repayment)_?(d|date|on)?$")
_FLAG = re.compile(r"default|(^|_)bad|good_?bad|target|(^|_)label|outcome|delinquent|(^|_)y$|npl|dpd_?\d+|status")
# Days past due of which the largest is taken that still leaves bads to learn from.
THRESHOLDS = (90, 60, 30, 15, 7, 3, 1)
_ENOUGH_BADS_A_MONTH, _ENOUGH_BAD = 12, 0.02


@dataclass(frozen=True)
class LabelGuess:
    """A label that the tape seems to allow.

    Attributes:
        kind: of the definition; empty when nothing tells how a loan ended.
        definition: its keys and values beside the kind.
        name, horizon_months: of the label.
        why: evidence, a line each.
        decide: what a person has to decide.
        bad: a row of the sample each: ended badly, did not, or null where it is too early to say. Rough.
        outcomes: columns it reads that must have role outcome.
    """

    kind: str = ""
    definition: dict[str, Any] = field(default_factory=dict)
    name: str = "bad"
    horizon_months: int = 12
    why: tuple[str, ...] = ()
    decide: str = ""
    bad: pl.Series | None = field(default=None, repr=False)
    outcomes: tuple[str, ...] = ()


def guess_label(roles: Roles, as_of: date | None, months: int, panel: Mapping[str, Profile] | None = None) -> LabelGuess:
    """The most telling label that the columns allow.

    Args:
        roles: guesses for the loan columns.
        as_of: latest outcome date of the sample.
        months: months of origination that the tape spans.
        panel: profiles of the performance rows, where there are any.
    """
    if panel is not None and (found := _from_panel(panel, months)) is not None:
        return found
    if roles.origination is None:
        return LabelGuess()
    tries = (_from_repayment, _from_charge_off, _from_last_payment, _from_flag)
    return next((g for g in (make(roles, as_of, months) for make in tries) if g is not None), LabelGuess())


def outcome_day_columns(roles: Roles) -> tuple[str, ...]:
    """Outcome columns with days on which something had happened: the latest says when the tape was drawn."""
    ahead = re.compile(r"due|matur|next|expect|schedul|end_date|plan_start|expir")
    names = (n for n in roles.named("outcome") if roles.guesses[n].dtype == "date")
    return tuple(n for n in names if not ahead.search(roles.profiles[n].words))


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
        "days_past_due",
        {"threshold": 90},
        f"bad_90dpd_{horizon}m",
        horizon,
        (f"the performance rows hold {columns['days_past_due']}",),
    )


def _dates(roles: Roles, pattern: re.Pattern[str]) -> list[Profile]:
    taken = {roles.origination}
    return [p for n, p in roles.profiles.items() if p.dtype == "date" and n not in taken and pattern.search(p.words)]


def _from_repayment(roles: Roles, as_of: date | None, months: int) -> LabelGuess | None:
    choices = [c for c in _repayment_columns(roles) if as_of is not None]
    if not choices or as_of is None:
        return None
    (key, due, repaid), *others = choices
    issued = roles.profiles[roles.origination or ""].values
    due_on, repaid_on = _due_on(key, due, issued), repaid.values
    rates = dict(_late_rates(due_on, repaid_on, as_of))
    if not any(bads for bads, _, _ in rates.values()):
        return None
    good_enough = [
        t for t, (bads, rate, _) in rates.items() if rate >= _ENOUGH_BAD and bads >= _ENOUGH_BADS_A_MONTH * months
    ]
    threshold = max(good_enough, default=max(rates, key=lambda t: rates[t][0]))
    table = ", ".join(f"{t} days: {rate:.1%}" for t, (_, rate, _) in sorted(rates.items()))
    on_book = _months(due_on.dt.offset_by(f"{threshold}d")) - _months(issued)
    horizon = max(1, int(on_book.quantile(0.99) or 1))
    why = [
        f"{due.name} says when a loan is due and {repaid.name} when it was repaid",
        f"bad when late by more than (share of loans whose time has come): {table}",
        f"{horizon} months hold due date and {threshold} days for 99 % of loans",
    ]
    open_loans = repaid_on.null_count()
    if not open_loans:
        why.append(f"{repaid.name} is never blank: the file may hold repaid loans only, and then its last months hold quick payers only")
    closed = [p for p in _dates(roles, re.compile("close")) if p.name != repaid.name]
    if open_loans and closed and (odd := int((repaid_on.is_null() & closed[0].values.is_not_null()).sum())):
        why.append(f"{odd:,} loans have {closed[0].name} but no {repaid.name}: they count as not repaid")
    why += [f"the file also allows {k}: {d.name}, repaid: {r.name}" for k, d, r in others[:2]]
    return LabelGuess(
        "repayment_dates",
        {"threshold": threshold, key: due.name, "repaid": repaid.name},
        f"bad_{threshold}d_late_{horizon}m",
        horizon,
        tuple(why),
        f"how many days late is bad? {threshold} is the most that leaves enough bads",
        _late(due_on, repaid_on, threshold, as_of),
        tuple(p.name for p in (due, repaid) if p.dtype == "date"),
    )


def _repayment_columns(roles: Roles) -> list[tuple[str, Profile, Profile]]:
    """Pairs of when a loan is due and when it was repaid, the most alike first."""
    repaid = [p for p in _dates(roles, _REPAID) if not _LAST_PAYMENT.search(p.words)]
    due = [("due", p) for p in _dates(roles, _DUE) if p.filled > 0.9]
    terms = [p for p in roles.profiles.values() if p.dtype == "number" and p.filled > 0.98 and _TERM_DAYS.search(p.words)]
    due += [("term_days", p) for p in terms if p.declared.unit != "months" and ("day" in p.words or _looks_like_days(p))]

    def unlike(pair: tuple[str, Profile, Profile]) -> tuple[bool, bool, bool]:
        key, one, other = pair
        first = ("first" in one.words) != ("first" in other.words)
        return first, key == "term_days", "clos" in other.words and "first" in one.words

    pairs = [(key, d, r) for key, d in due for r in repaid]
    return sorted((p for p in pairs if not unlike(p)[0]), key=unlike)


def _looks_like_days(column: Profile) -> bool:
    values = column.values.drop_nulls()
    return bool(values.len()) and float(values.median() or 0) >= 7 and float(values.max() or 0) <= 400 and column.distinct < 40  # type: ignore[arg-type]


def _due_on(key: str, due: Profile, issued: pl.Series) -> pl.Series:
    if key == "due":
        return due.values
    return (issued.cast(pl.Datetime("us")) + pl.Series(due.values * 86_400_000_000).cast(pl.Duration("us"))).cast(pl.Date)


def _late(due_on: pl.Series, repaid_on: pl.Series, threshold: int, as_of: date) -> pl.Series:
    limit = due_on.dt.offset_by(f"{threshold}d")
    late = (repaid_on > limit).fill_null(repaid_on.is_null())
    return late.zip_with((limit <= as_of).fill_null(False), pl.Series([None], dtype=pl.Boolean).new_from_index(0, late.len()))


def _late_rates(due_on: pl.Series, repaid_on: pl.Series, as_of: date) -> Iterator[tuple[int, tuple[int, float, int]]]:
    for threshold in THRESHOLDS:
        late = _late(due_on, repaid_on, threshold, as_of).drop_nulls()
        if late.len():
            yield threshold, (int(late.sum()), float(late.mean() or 0), late.len())  # type: ignore[arg-type]


def _from_charge_off(roles: Roles, as_of: date | None, months: int) -> LabelGuess | None:
    days = [p for p in _dates(roles, re.compile(r"charge?d?_?off|chg_?off|writ\w*_?off|default"))]
    status = [(p, levels) for p, levels in _statuses(roles, _CHARGED) if levels]
    if not days:
        return None
    issued, off = roles.profiles[roles.origination or ""].values, days[0].values
    after = (_months(off) - _months(issued)).drop_nulls()
    if not after.len():
        return None
    choices = [h for h in (3, 6, 12, 18, 24, 36, 48, 60) if h <= max(3, 0.4 * months)]
    share = {h: float((after <= h).mean() or 0) for h in choices}  # type: ignore[arg-type]
    horizon = next((h for h in choices if share[h] >= 0.5), choices[-1])
    if horizon > 36 and share.get(36, 0) > 0.2:
        horizon = 36
    definition: dict[str, Any] = {"date": days[0].name}
    bad = off.is_not_null()
    if status:
        column, levels = status[0]
        definition |= {"status": column.name, "bad_status": alternatives(levels)}
        bad = column.values.is_in(levels)
    seen = ", ".join(f"{h}: {s:.0%}" for h, s in share.items())
    return LabelGuess(
        "charged_off",
        definition,
        f"charged_off_{horizon}m",
        horizon,
        (
            f"{days[0].name} is a day of charge-off, filled on {days[0].filled:.1%} of rows",
            f"share of all charge-offs by months on book: {seen}",
        ),
        f"within how many months does a charge-off count? {horizon} holds {share[horizon]:.0%} of those seen",
        bad,
        tuple(definition[k] for k in ("date", "status") if k in definition),
    )


def _statuses(roles: Roles, bad: re.Pattern[str]) -> Iterator[tuple[Profile, list[str]]]:
    for name in roles.named("outcome"):
        column = roles.profiles[name]
        if column.dtype == "category" and 2 <= column.distinct <= 30:
            yield column, sorted(v for v in column.values.drop_nulls().unique() if bad.search(v))


def _from_last_payment(roles: Roles, as_of: date | None, months: int) -> LabelGuess | None:
    paid = _dates(roles, _LAST_PAYMENT)
    found = [(p, levels) for p, levels in _statuses(roles, _BAD) if levels and "status" in p.words]
    if not paid or not found:
        return None
    column, levels = min(found, key=lambda pair: (-pair[0].filled, pair[0].name != "loan_status"))
    # A status of a few days late is not yet one of three months late.
    early = [v for v in levels if re.search(r"grace|late \(?\s*(1|16)\s*-\s*(15|30)", v, re.I)]
    levels = [v for v in levels if v not in early]
    repaid = sorted(v for v in column.values.drop_nulls().unique() if _PAID.search(v) and v not in levels)
    horizon = 12 if months >= 30 else max(5, months // 3)
    definition = {"threshold": 90, "status": column.name, "bad_status": alternatives(levels), "last_payment": paid[0].name}
    if repaid:
        definition["paid_off_status"] = alternatives(repaid)
    bad = column.values.is_in(levels)
    return LabelGuess(
        "last_payment_and_status",
        definition,
        f"bad_90dpd_{horizon}m",
        horizon,
        (f"{column.name} says how a loan stands and {paid[0].name} when it was last paid", f"bad: {', '.join(levels)}"),
        f"are these the bad levels of {column.name}?",
        bad,
        (column.name, paid[0].name),
    )


def _from_flag(roles: Roles, as_of: date | None, months: int) -> LabelGuess | None:
    for name, column in roles.profiles.items():
        if not _FLAG.search(column.words) or column.filled < 0.5 or column.distinct != 2:
            continue
        if roles.guesses[name].role != "outcome":
            continue
        texts = column.values.drop_nulls()
        counts = (_written(texts) if column.dtype == "number" else texts).value_counts(sort=True)
        levels = counts.to_series(0).to_list()
        bads = [v for v in levels if re.fullmatch(r"1|y|yes|true|bad|b", v, re.I) or _BAD.search(v)]
        bad = bads[0] if len(bads) == 1 else levels[-1]
        good = next(v for v in levels if v != bad)
        horizon = 12 if months >= 30 else max(1, months // 5)
        is_bad = (_written(column.values) if column.dtype == "number" else column.values) == bad
        return LabelGuess(
            "ready_flag",
            {"flag": name, "bad": alternatives([bad]), "good": alternatives([good])},
            f"{words(name)}_{horizon}m",
            horizon,
            (f"{name} has two values, {bad} on {float(is_bad.mean() or 0):.1%} of rows",),  # type: ignore[arg-type]
            "after how many months is the flag final? No column says",
            is_bad,
            (name,),
        )
    return None


def _written(values: pl.Series) -> pl.Series:
    """Whole numbers as they are written on a tape."""
    return values.cast(pl.Int64, strict=False).cast(pl.String)


def alternatives(levels: list[str]) -> str:
    """A regular expression, in Python and in Rust, that the levels match."""
    return "|".join(re.sub(r"([\\.^$|?*+()\[\]{}])", r"\\\1", level.strip()) for level in levels)


def _months(days: pl.Series) -> pl.Series:
    return days.dt.year() * 12 + days.dt.month().cast(pl.Int32)


def months_between(first: date, last: date) -> int:
    """Calendar months from one day's to another's, both counted."""
    return (last.year - first.year) * 12 + last.month - first.month + 1


def periods_for(months: int, per: int) -> int:
    return math.ceil(months / per)
