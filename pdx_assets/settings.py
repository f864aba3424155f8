"""Environment -> one typed object, and what a PDx home pins for each portfolio. Secrets are never printed.

``PDX_HOME`` holds everything PDx writes. Profile, seed and tape are pinned per portfolio the first time
a home is used for it: results of two seeds in one home could not be told apart.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args

from pdx_assets.files import write_whole
from pdx_assets.risk.errors import HomeError
from pdx_assets.risk.spec import NAME, ProfileName

DEFAULT_PROFILE: ProfileName = "standard"
CLOCK = "clock"


@dataclass(frozen=True)
class Settings:
    """Where things are.

    Attributes:
        home: ``PDX_HOME``, default ``.pdx`` in the working directory.
        lake: ``PDX_LAKE``, a folder or s3:// URL, default ``<home>/lake``.
        mlflow_uri: ``PDX_MLFLOW_URI``, default sqlite under the home.
        mlflow_ui: ``PDX_MLFLOW_UI``, the address links point to.
        reports_ui: ``PDX_REPORTS_UI``, the address of the folder ``reports`` that links to reports point to.
        as_of: ``PDX_AS_OF``, else what ``<home>/clock`` says: the day PDx takes for today, so that nothing
            known later is seen. None, the default, is the real day.
    """

    home: Path
    lake: str
    mlflow_uri: str = field(repr=False)  # a server's address may carry its password
    mlflow_ui: str
    reports_ui: str
    as_of: date | None = None

    @classmethod
    def from_environment(cls) -> Settings:
        """The settings of this process, the clock as it stands now.

        Raises:
            HomeError: the clock is set to something that is no day, or to a day that has not come.
        """
        home = Path(os.environ.get("PDX_HOME") or ".pdx").expanduser().resolve()
        return cls(
            home=home,
            lake=os.environ.get("PDX_LAKE") or str(home / "lake"),
            mlflow_uri=os.environ.get("PDX_MLFLOW_URI") or f"sqlite:///{home / 'mlflow.db'}",
            mlflow_ui=(os.environ.get("PDX_MLFLOW_UI") or "http://127.0.0.1:5050").rstrip("/"),
            reports_ui=(os.environ.get("PDX_REPORTS_UI") or "http://127.0.0.1:5051").rstrip("/"),
            as_of=_clock(home),
        )

    @property
    def today(self) -> date:
        """The day on which PDx decides what exists; UTC, as partitions are."""
        return self.as_of or datetime.now(UTC).date()

    @property
    def clock_file(self) -> Path:
        """Where a home's clock can be set while servers run on it (``pdx replay`` does)."""
        return self.home / CLOCK

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def reports(self) -> Path:
        return self.home / "reports"

    def experiment(self, portfolio: str) -> Path:
        return self.home / "experiments" / _safe(portfolio)

    def staging(self, portfolio: str) -> Path:
        return self.home / "staging" / _safe(portfolio)

    def landing(self, portfolio: str) -> Path:
        return self.home / "landing" / _safe(portfolio)

    def simulated(self, portfolio: str) -> Path:
        return self.home / "simulated" / _safe(portfolio)

    def locks(self, portfolio: str) -> Path:
        return self.home / "locks" / _safe(portfolio)

    def _pin_file(self, portfolio: str) -> Path:
        return self.home / "portfolios" / f"{_safe(portfolio)}.json"

    def pinned(self, portfolio: str) -> Pinned:
        """Profile, seed and tape of a portfolio in this home; defaults when nothing is pinned yet."""
        path = self._pin_file(portfolio)
        if not path.exists():
            return Pinned()
        return Pinned(**json.loads(path.read_text(encoding="utf-8")))

    def settle(self, portfolio: str, *, profile: ProfileName | None, seed: int | None, tape: str | None) -> Pinned:
        """What this home would hold if asked so; None keeps what is pinned. Nothing is written.

        Raises:
            HomeError: another profile or seed is pinned already.
        """
        path = self._pin_file(portfolio)
        current = self.pinned(portfolio)
        if path.exists():
            for name, asked in (("profile", profile), ("seed", seed)):
                if asked is not None and asked != getattr(current, name):
                    raise HomeError(
                        f"{self.home} holds {portfolio} with {name} {getattr(current, name)!r}; asked for {asked!r}.",
                        expected="one profile and one seed in a home, so that results can be told apart",
                        remedy=f"set PDX_HOME to another folder for {name} {asked!r}",
                    )
        return replace(
            current,
            profile=profile or current.profile,
            seed=current.seed if seed is None else seed,
            tape=tape or current.tape,
        )

    def pin(
        self, portfolio: str, *, profile: ProfileName | None = None, seed: int | None = None, tape: str | None = None
    ) -> Pinned:
        """Pin what :meth:`settle` gives.

        Raises:
            HomeError: another profile or seed is pinned already.
        """
        path = self._pin_file(portfolio)
        wanted = self.settle(portfolio, profile=profile, seed=seed, tape=tape)
        if path.exists() and wanted == self.pinned(portfolio):
            return wanted
        write_whole(path, json.dumps(asdict(wanted), indent=1) + "\n")
        return wanted


@dataclass(frozen=True)
class Pinned:
    """What a home has settled for one portfolio."""

    profile: ProfileName = DEFAULT_PROFILE
    seed: int = 0
    tape: str | None = None

    def __post_init__(self) -> None:
        if self.profile not in get_args(ProfileName):
            raise HomeError(f"profile {self.profile!r} is unknown.", expected=" | ".join(get_args(ProfileName)))


def _clock(home: Path) -> date | None:
    where, text = "PDX_AS_OF", os.environ.get("PDX_AS_OF", "").strip()
    if not text:
        # The environment of a running server cannot be changed; a file can.
        where = str(home / CLOCK)
        try:
            text = (home / CLOCK).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise HomeError(f"{where} says {text!r}, which is not a day.", expected="YYYY-MM-DD, or nothing") from None
    if day > datetime.now(UTC).date():
        raise HomeError(f"{where} says {day}, which has not come yet.", expected="a day up to today, or nothing")
    return day


def _safe(portfolio: str) -> str:
    if not NAME.match(portfolio):
        raise HomeError(f"{portfolio!r} is not a portfolio name.", expected="lower-case letters, digits, underscores")
    return portfolio
