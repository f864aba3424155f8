"""What every stage needs: the portfolio's declarations, its lake, and what this home has pinned."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pdx_assets.lake import Lake
from pdx_assets.risk.locks import one_at_a_time
from pdx_assets.risk.spec import PortfolioSpec, Profile
from pdx_assets.settings import Pinned, Settings


@dataclass(frozen=True, eq=False)
class Workspace:
    """One portfolio in one PDx home; equal workspaces share what a process keeps in memory.

    ``asked`` stands in for what the home has pinned while it is being checked whether it can be had. Without
    ``may_score`` loans that no model has scored yet stay so, and who needs their scores fails.
    """

    spec: PortfolioSpec
    settings: Settings
    asked: Pinned | None = None
    may_score: bool = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workspace) and (self.settings, self.pinned, self.spec) == (
            other.settings,
            other.pinned,
            other.spec,
        )

    def __hash__(self) -> int:
        return hash((self.spec.name, self.settings))

    @classmethod
    def of(cls, spec: PortfolioSpec) -> Workspace:
        return cls(spec, Settings.from_environment())

    @cached_property
    def lake(self) -> Lake:
        return Lake(self.settings.lake, self.spec.name)

    @cached_property
    def pinned(self) -> Pinned:
        return self.asked or self.settings.pinned(self.spec.name)

    @property
    def profile(self) -> Profile:
        return self.spec.profile(self.pinned.profile)

    def made_once(
        self, kind: str, key: str, make: Callable[[], tuple[dict[str, Any], float]]
    ) -> tuple[dict[str, Any], float]:
        """A content-addressed document: the stored one, or one that ``make`` makes and stores; and the seconds spent.

        Of two processes that ask at once, one makes it and the other waits.
        """
        found = self.lake.find_document(kind, key)
        if found is not None:
            return found, 0.0
        with self.only_one(key):
            found = self.lake.find_document(kind, key)
            return (found, 0.0) if found is not None else make()

    @contextlib.contextmanager
    def only_one(self, key: str) -> Iterator[None]:
        """Hold a lock named ``key`` on this machine, so that two runs do not do the same work twice.

        The system frees it when its holder dies. Correctness never rests on it: what is guarded is
        content-addressed, and done twice gives the same bytes.
        """
        folder = self.settings.locks(self.spec.name)
        folder.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(folder / key):
            yield
