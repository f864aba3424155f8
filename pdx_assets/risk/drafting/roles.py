"""Which role each column seems to have, by its name and by what it holds; and why.

A name is a hint, content decides where it can: an id is unique, a borrower comes back, an outcome's date lies
after origination. What cannot be decided here is left to the person who reads the YAML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from pdx_assets.risk.drafting import names
from pdx_assets.risk.drafting.dates import DateFormat, as_float, exchanged
from pdx_assets.risk.drafting.profiles import Profile, read_dates
from pdx_assets.risk.spec import Dtype, Role

# Of a category's rows: models take smaller levels together (risk/models/preprocessing.py).
_LEAST_LEVEL = 0.01
# Columns with fewer values agree by chance.
_FEW_VALUES, _COPY = 20, 0.99


@dataclass(frozen=True)
class Guess:
    """A column's role, and what speaks for it.

    Attributes:
        why: the evidence, for a comment.
        decide: what a person has to decide about it; empty when nothing.
        suspicious: why it might tell the outcome although it was taken for a feature.
    """

    role: Role
    dtype: Dtype
    why: str
    decide: str = ""
    suspicious: str = ""


@dataclass(frozen=True)
class Roles:
    """Guesses for every column, with the profiles they rest on (dates may have been read anew)."""

    guesses: dict[str, Guess]
    profiles: dict[str, Profile] = field(repr=False)

    def named(self, role: Role) -> list[str]:
        return [name for name, guess in self.guesses.items() if guess.role == role]

    @property
    def origination(self) -> str | None:
        return next(iter(self.named("date")), None)

    def changed(self, changes: Mapping[str, Guess]) -> Roles:
        return replace(self, guesses=self.guesses | dict(changes))


def guess_roles(profiles: Mapping[str, Profile]) -> Roles:
    """A role for each column of a sample, before anything is known of the label."""
    settled = _with_settled_orders(dict(profiles))
    found: dict[str, Guess] = {}
    rows = next(iter(settled.values())).values.len() if settled else 0
    for name, column in settled.items():
        if column.empty:
            found[name] = Guess("ignore", "category", "empty in every row")
        elif column.constant and column.filled > 0.99:
            found[name] = Guess(
                "outcome" if names.written_later(column.words) else "ignore", _dtype(column), "the same in every row"
            )
    loan_id = _loan_id(settled, found)
    if loan_id is not None:
        found[loan_id] = Guess("id", "text", f"{settled[loan_id].distinct:,} different values in {rows:,} rows")
    for name, guess in _borrower(settled, found, rows).items():
        found[name] = guess
    origination, why, decide = _origination(settled, found)
    if origination is not None:
        found[origination] = Guess("date", "date", why, decide=_order_in_doubt(settled[origination]) or decide)
    issued = settled[origination].values if origination else None
    for name, column in settled.items():
        if name not in found:
            found[name] = _by_date(column, issued) or _by_name(column)
    _weigh_prices(settled, found)
    _drop_copies(settled, found)
    return Roles({name: found[name] for name in settled}, settled)


def _with_settled_orders(profiles: dict[str, Profile]) -> dict[str, Profile]:
    """Columns that leave day and month open follow a column of the same file that does not."""
    decided = {p.dates.format for p in profiles.values() if p.dates is not None and p.dates.other is None}
    for name, column in profiles.items():
        if column.dates is None or column.dates.other is None:
            continue
        for pattern in (column.dates.format, column.dates.other):
            day = pattern.split(" ")[0]
            if any(p.split(" ")[0] == day for p in decided) and exchanged(pattern) not in decided:
                profiles[name] = read_dates(column, DateFormat(pattern, column.dates.share))
                break
    return profiles


def _order_in_doubt(column: Profile) -> str:
    if column.dates is None or column.dates.other is None:
        return ""
    return f"day and month cannot be told apart in this file: {column.dates.format} or {column.dates.other}?"


def _loan_id(profiles: Mapping[str, Profile], taken: Mapping[str, Guess]) -> str | None:
    candidates = [
        p
        for n, p in profiles.items()
        if n not in taken and p.unique and p.filled > 0.5 and p.dtype in ("number", "text", "category") and _whole(p)
    ]
    called = [p for p in candidates if names.ID.search(p.words) or names.ID.search(p.words.replace("_", ""))]
    called.sort(key=lambda p: (p.filled < 0.999, bool(names.BORROWER.search(p.words)), "loan" not in p.words))
    if called:
        return called[0].name
    first = list(profiles)[:3]
    plain = [p for p in candidates if p.filled > 0.999 and (p.dtype != "number" or p.name in first)]
    return plain[0].name if plain else None


def _whole(column: Profile) -> bool:
    """Amounts can be unique too, but not whole."""
    if column.dtype != "number":
        return True
    held = column.values.drop_nulls()
    return bool((held == held.floor()).all())


def _borrower(profiles: Mapping[str, Profile], taken: Mapping[str, Guess], rows: int) -> dict[str, Guess]:
    for name, column in profiles.items():
        if name in taken or column.filled < 0.9 or not names.BORROWER.search(column.words) or column.dtype == "date":
            continue
        if column.distinct < 0.02 * column.filled * rows:
            continue
        most = column.values.drop_nulls().value_counts()["count"].max()
        again = column.filled * rows / column.distinct
        return {
            name: Guess("borrower", "text", f"{column.distinct:,} borrowers, {again:.1f} loans each, at most {most!s}")
        }
    return {}


def _origination(profiles: Mapping[str, Profile], taken: Mapping[str, Guess]) -> tuple[str | None, str, str]:
    dates = [p for n, p in profiles.items() if n not in taken and p.dtype == "date" and p.filled > 0.9]
    likely = [
        p for p in dates if p.filled > 0.98 and not names.AFTER.search(p.words) and not names.PROTECTED.search(p.words)
    ]
    for pattern in names.ORIGINATION:
        for column in likely:
            if pattern.search(column.words):
                rivals = [p.name for p in likely if p is not column and _within_days(p, column)]
                also = f"; {', '.join(rivals)} lies within days of it" if rivals else ""
                return column.name, _range(column) + also, ""
    if likely:
        column = likely[0]
        return column.name, _range(column), "is this the day the loan was granted?"
    return None, "", ""


def _within_days(one: Profile, other: Profile) -> bool:
    apart = (one.values - other.values).dt.total_days()
    return bool(apart.is_not_null().any()) and as_float(apart.abs().quantile(0.95)) <= 31


def _by_date(column: Profile, issued: pl.Series | None) -> Guess | None:
    """Dates by where they lie against origination."""
    if column.dtype != "date":
        return None
    doubt = _order_in_doubt(column)
    if names.PROTECTED.search(column.words):
        return Guess("ignore", "date", "a birth date: protected; make an age band in the export to measure fairness")
    if issued is None:
        return Guess("outcome", "date", _range(column), decide=doubt)
    after = (column.values - issued).dt.total_days().drop_nulls()
    if not after.len():
        return Guess("ignore", "date", "no row has both this date and the origination date")
    half = int(as_float(after.median()))
    late, early = as_float((after > 0).mean()), as_float((after < 0).mean())
    gaps = "" if column.filled > 0.999 else f", blank in {1 - column.filled:.1%}"
    if as_float(after.abs().quantile(0.95)) <= 3 and not names.AFTER.search(column.words):
        return Guess("ignore", "date", "within three days of origination in 95 % of rows: says nothing more")
    if names.AFTER.search(column.words) or late > 0.5:
        where = f"after origination in {late:.1%}" if late >= early else f"before origination in {early:.1%}"
        return Guess("outcome", "date", f"{where} of rows, {half} days in the middle{gaps}", decide=doubt)
    why = f"before origination in {early:.1%} of rows, {-half} days in the middle{gaps}"
    return Guess("feature", "date", why, decide=doubt)


def _by_name(column: Profile) -> Guess:
    words, dtype = column.words, _dtype(column)
    seen = described(column)
    if names.PERSONAL.search(words) and not words.startswith("num") and not re.search(r"avl|flag", words):
        return Guess("ignore", dtype, "a name, a contact or words about a person: not used")
    if column.dtype == "text":
        why = f"{column.distinct:,} different texts: too many to be a category"
        return Guess("ignore", "text", why, decide=column.note)
    if names.WEIGHT.search(words) and column.dtype == "number" and as_float(column.values.min()) > 0:
        return Guess("weight", "number", seen, decide="is this the loan's sample weight?")
    if names.PROTECTED.search(words):
        if column.dtype == "number" and column.distinct > 12:
            return Guess("ignore", dtype, f"{seen}; protected: make a band in the export to measure fairness")
        return Guess("protected", "category", seen)
    if names.written_later(words):
        return Guess("outcome", dtype, f"the name speaks of what comes after the decision; {seen}")
    if names.PRICE.search(words) and not names.HISTORY.search(words):
        return Guess("price", dtype, f"the name speaks of the price; {seen}")
    if dtype == "category" and (most := _largest_share(column)) < _LEAST_LEVEL:
        why = (
            f"{column.distinct:,} levels, the largest with {most:.2%} of rows: under 1 % they are one level to a model"
        )
        return Guess("ignore", dtype, why)
    if names.YEAR.search(words) and column.dtype == "number":
        return Guess("ignore", dtype, f"{seen}; a calendar year is no property of the applicant")
    if column.name.startswith("unnamed_") or _running_number(column):
        return Guess("ignore", dtype, f"{seen}; a running number")
    return Guess("feature", dtype, seen)


def _largest_share(column: Profile) -> float:
    held = column.values.drop_nulls()
    return as_float(held.value_counts()["count"].max()) / held.len() if held.len() else 0.0


def _drop_copies(profiles: Mapping[str, Profile], found: dict[str, Guess]) -> None:
    """A feature that repeats an earlier one says nothing more; where they differ, something happened in between."""
    kept: list[Profile] = []
    for name, guess in list(found.items()):
        column = profiles[name]
        if guess.role != "feature" or column.dtype != "number" or column.distinct <= _FEW_VALUES:
            continue
        for earlier in kept:
            same = as_float((column.values == earlier.values).mean())
            if same > _COPY:
                found[name] = Guess("ignore", "number", f"equal to {earlier.name} on {same:.1%} of rows")
                break
        else:
            kept.append(column)


def _running_number(column: Profile) -> bool:
    if not column.unique or column.dtype != "number" or not _whole(column):
        return False
    span = as_float(column.values.max()) - as_float(column.values.min())
    return span < 3 * column.distinct or bool(names.ID.search(column.words))


def _weigh_prices(profiles: Mapping[str, Profile], found: dict[str, Guess]) -> None:
    """What is to be repaid in all is the amount with the price on top; what is still owed falls to 0."""
    features = [p for n, p in profiles.items() if found[n].role == "feature" and p.dtype == "number"]
    amounts = [p.name for p in features if names.AMOUNT.search(p.words)]
    for name, guess in list(found.items()):
        column = profiles[name]
        if guess.role not in ("price", "outcome") or column.dtype != "number":
            continue
        if not re.search(r"due|repayable", column.words):
            continue
        for amount in amounts:
            ratio = column.values / profiles[amount].values
            share = as_float(ratio.is_between(1, 3).mean())
            if share > 0.99:
                why = f"{amount} and {as_float(ratio.median()) - 1:.0%} more in the middle: the price of the loan"
                found[name] = Guess("price", "number", why)
                break
        else:
            if guess.role == "price":
                found[name] = Guess("outcome", "number", f"an amount that is due; {described(column)}")


def _dtype(column: Profile) -> Dtype:
    return "category" if column.empty else column.dtype


def described(column: Profile) -> str:
    """What the column holds, in words."""
    gaps = "" if column.filled > 0.999 else f", blank in {1 - column.filled:.1%}"
    held = column.values.drop_nulls()
    if column.dtype == "number":
        low, middle, high = (f"{held.quantile(q):,.10g}" for q in (0.0, 0.5, 1.0))
        text = f"{low} to {high}, {middle} in the middle{gaps}"
    elif column.dtype == "date":
        text = _range(column) + gaps
    elif column.dtype == "category":
        top = held.value_counts(sort=True)[held.name or ""].head(4).to_list()
        more = ", ..." if column.distinct > 4 else ""
        text = f"{column.distinct:,} levels: {', '.join(map(str, top))}{more}{gaps}"
    else:
        text = f"{column.distinct:,} different texts{gaps}"
    return text + (f"; {column.note}" if column.note else "")


def _range(column: Profile) -> str:
    held = column.values.drop_nulls()
    return f"{held.min()!s} to {held.max()!s}"
