"""Where a portfolio's tape is: the files to read, landed first where they are not on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pdx_assets.risk.errors import SpecError, TapeUnavailableError
from pdx_assets.risk.spec import (
    HttpSource,
    PerformancePanel,
    PortfolioSpec,
    SimulatedLender,
    SqlSource,
    Tape,
    TapeFormat,
)
from pdx_assets.risk.spec_file import expand_variables
from pdx_assets.risk.tape_delta import delta_parts, is_delta
from pdx_assets.risk.tape_formats import SUFFIXES, loan_formats, panel_formats
from pdx_assets.risk.tape_parquet import TablePart

if TYPE_CHECKING:
    from pdx_assets.risk.sources.landing import Landed, RemoteSource

_CHEAP_MINUTES, _WHOLE_MINUTES = 5.0, 60.0


@dataclass(frozen=True)
class TapeSource:
    """The files of a tape, in reading order.

    Attributes:
        parts: what the log of a table says of some of the files.
        landed: of files that were fetched, the name that messages and ``source_file`` give them.
    """

    loans: tuple[Path, ...]
    performance: tuple[Path, ...] = ()
    parts: tuple[TablePart, ...] = ()
    landed: tuple[tuple[Path, str], ...] = ()


@dataclass(frozen=True)
class Found:
    """The files of one part of a tape, loans or performance, as in :class:`TapeSource`."""

    files: tuple[Path, ...]
    parts: tuple[TablePart, ...] = ()
    landed: tuple[tuple[Path, str], ...] = ()


def performance_panel(spec: PortfolioSpec) -> PerformancePanel | None:
    """The declared panel, or for a simulated lender the one it writes."""
    if spec.tape.performance is None and isinstance(spec.tape.simulated, SimulatedLender):
        return PerformancePanel.model_validate(
            {"path": "performance", "status": "status", "reported_on": "reported_on"}
        )
    return spec.tape.performance


def locate_tape(
    spec: PortfolioSpec,
    *,
    override: str | None,
    simulated_folder: Path,
    landing: Path | None = None,
    look_again: bool = False,
) -> TapeSource:
    """The files a portfolio's loans and performance rows are read from.

    Args:
        spec: the portfolio.
        override: a path or address to use in place of the declared one; environment variables are expanded.
        simulated_folder: where the simulated lender's export lies, for a portfolio that has one.
        landing: where what is not on this machine is fetched to.
        look_again: ask a distant place now, however lately it was asked.

    A path is a file, a glob pattern, a folder (its files with a suffix PDx reads, by name) or a Delta table. A
    folder with a ``loans`` folder in it is an export like the simulated lender's: ``loans`` and ``performance``.

    Raises:
        TapeUnavailableError: nothing is there, or the place cannot be read.
        SpecError: an address needs an environment variable that is not set.
    """
    places = _Places(spec, landing, look_again)
    panel = performance_panel(spec)
    loans, export = places.loans(override, simulated_folder)
    if panel is None:
        return TapeSource(loans.files, (), loans.parts, loans.landed)
    performance = places.performance(panel, export)
    # Landed side by side, the two may have files of one name.
    named = tuple((path, f"performance/{name}") for path, name in performance.landed)
    return TapeSource(loans.files, performance.files, loans.parts + performance.parts, loans.landed + named)


def require_variables(spec: PortfolioSpec) -> None:
    """Every environment variable that the address of the loans needs is set.

    Raises:
        SpecError: one is not.
    """
    tape, where = spec.tape, f"portfolio {spec.name}: tape"
    expand_variables(tape.path, where=f"{where}.path")
    if tape.sql is not None:
        expand_variables(tape.sql.url, where=f"{where}.sql.url")
    if tape.http is not None:
        expand_variables(tape.http.url, where=f"{where}.http.url")
        if tape.http.auth is not None:
            expand_variables(f"${{{tape.http.auth.variable}}}", where=f"{where}.http.auth.variable")


class _Places:
    """Finds one tape's two parts; a place is a local path or a source to land."""

    def __init__(self, spec: PortfolioSpec, landing: Path | None, look_again: bool) -> None:
        self.spec, self.landing, self.look_again = spec, landing, look_again

    def loans(self, override: str | None, simulated_folder: Path) -> tuple[Found, str | Path | None]:
        """The loan files, and the export they are part of."""
        tape, where = self.spec.tape, f"portfolio {self.spec.name}: tape"
        place = _overridden(tape, override) if override else tape.path or tape.sql or tape.http
        formats = loan_formats(self.spec)
        if place is None:
            return self._files(simulated_folder / "loans", tape.format, formats), simulated_folder
        path = self._local(place, f"{where}.path")
        if path is not None:
            export = path if (path / "loans").is_dir() else None
            return self._files(path / "loans" if export else path, tape.format, formats), export
        landed = self._landed(place, where, "loans", tape.format)
        remote = None
        if isinstance(place, str) and landed.base != expand_variables(place, where=f"{where}.path"):
            remote = landed.base.removesuffix("/loans") + "/performance"
        return _of_landing(landed, formats), remote

    def performance(self, panel: PerformancePanel, export: str | Path | None) -> Found:
        """The performance files: of the export, else as declared."""
        where, formats = f"portfolio {self.spec.name}: tape.performance", panel_formats(panel)
        if isinstance(export, Path):
            return self._files(export / "performance", panel.format, formats)
        place = export or panel.path or panel.sql or panel.http
        assert place is not None
        path = self._local(place, f"{where}.path")
        if path is not None:
            return self._files(path, panel.format, formats)
        return _of_landing(self._landed(place, where, "performance", panel.format), formats)

    def _files(self, path: Path, form: TapeFormat, formats: dict[str, str]) -> Found:
        return local_files(path, form, formats, what=f"The tape of portfolio {self.spec.name}")

    def _local(self, place: str | SqlSource | HttpSource, where: str) -> Path | None:
        if not isinstance(place, str):
            return None
        text = expand_variables(place, where=where)
        return None if text.startswith("s3://") else Path(text).expanduser()

    def _landed(self, place: str | SqlSource | HttpSource, where: str, kind: str, form: TapeFormat) -> Landed:
        from pdx_assets.risk.sources.landing import land

        if self.landing is None:
            raise TapeUnavailableError(f"{where} is not on this machine, and there is no folder to fetch it to.")
        minutes = self.spec.tape.refresh_minutes
        if minutes is None:
            is_cheap = isinstance(place, str) or place.changes is not None
            minutes = _CHEAP_MINUTES if is_cheap else _WHOLE_MINUTES
        source = self._source(place, where, SUFFIXES.get(form, SUFFIXES["auto"]))
        return land(source, self.landing / kind, fresh_seconds=0.0 if self.look_again else minutes * 60)

    def _source(self, place: str | SqlSource | HttpSource, where: str, suffixes: tuple[str, ...]) -> RemoteSource:
        if isinstance(place, str):
            from pdx_assets.risk.sources.objects import ObjectSource

            return ObjectSource(expand_variables(place, where=f"{where}.path"), suffixes)
        from pdx_assets.risk.sources.database import DatabaseSource, months_until_today

        months = months_until_today(self.spec.first_cohort)
        if isinstance(place, SqlSource):
            return DatabaseSource(place, where=f"{where}.sql", months=months)
        from pdx_assets.risk.sources.api import ApiSource

        return ApiSource(place, where=f"{where}.http", months=months)


def _overridden(tape: Tape, override: str) -> str | SqlSource | HttpSource:
    """What ``--tape`` names: a path, or an address in place of that of the declared query or API.

    Raises:
        SpecError: an address holds a secret, or of a kind the tape does not declare.
    """
    scheme, is_address, _ = override.partition("://")
    if not is_address or scheme == "s3":
        return override
    kind = "http" if scheme in ("http", "https") else "sql"
    declared = tape.http if kind == "http" else tape.sql
    if declared is None:
        what = "an API" if kind == "http" else "a database"
        raise SpecError(
            f"--tape is the address of {what}, and the portfolio declares none.",
            expected="a path or an s3:// address",
            remedy=f"declare tape.{kind}, what to read from such an address",
        )
    return declared.model_copy(update={"url": override})


def _of_landing(landed: Landed, formats: dict[str, str]) -> Found:
    names = dict(landed.files)
    if is_delta(landed.folder):
        parts = delta_parts(landed.folder, formats)
        return Found(tuple(p.path for p in parts), parts, tuple((p.path, names[p.path]) for p in parts))
    return Found(tuple(names), (), landed.files)


def local_files(path: Path, form: TapeFormat, formats: dict[str, str], *, what: str) -> Found:
    """The files of a path on this machine: a file, a folder, a glob pattern or a Delta table.

    Args:
        what: the tape, in words, for messages.

    Raises:
        TapeUnavailableError: nothing is there, or the same loans twice.
    """
    if is_delta(path):
        if form not in ("auto", "delta"):
            raise TapeUnavailableError(f"{path} is a Delta table, and `format` says {form}.", expected="delta, or auto")
        parts = delta_parts(path, formats)
        return Found(tuple(part.path for part in parts), parts)
    suffixes = SUFFIXES.get(form, ())
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.name.lower().endswith(suffixes) and p.is_file())
        _refuse_twins(found)
    elif path.exists():
        found = [path]
    else:
        found = sorted(p for p in _matching(path) if p.is_file())
    if not found or form == "delta":
        wrong = f"has no files named *{', *'.join(suffixes)}" if path.is_dir() else "does not exist"
        if form == "delta":
            wrong = "is no Delta table"
        raise TapeUnavailableError(
            f"{what} is not there: {path} {wrong}.",
            expected="a file, a folder of them, a glob pattern that matches some, or a Delta table",
            remedy="give the path with --tape, or mend tape.path",
        )
    return Found(tuple(found))


def _refuse_twins(found: list[Path]) -> None:
    """One export in two formats would give every loan twice."""
    stems: dict[str, Path] = {}
    for path in found:
        stem = path.name
        for suffix in sorted(SUFFIXES["auto"], key=len, reverse=True):
            stem = stem.removesuffix(suffix)
        if stem in stems and stems[stem].suffixes != path.suffixes:
            raise TapeUnavailableError(
                f"{path.parent} holds {stems[stem].name} and {path.name}: the same loans twice, it seems.",
                expected="each export once",
                remedy="remove one, or say which with `format` or a pattern such as *.parquet",
            )
        stems.setdefault(stem, path)


def _matching(pattern: Path) -> Iterator[Path]:
    parts = pattern.parts
    first = next((i for i, part in enumerate(parts) if any(sign in part for sign in "*?[")), len(parts) - 1)
    return Path(*parts[:first]).glob(str(Path(*parts[first:])))


def file_names(source: TapeSource) -> dict[Path, str]:
    """How messages and ``source_file`` call each file: relative to the deepest folder all share."""
    landed = dict(source.landed)
    paths = [*source.loans, *source.performance]
    local = [p.absolute() for p in paths if p not in landed]
    parent = Path(os.path.commonpath([p.parent for p in local])) if local else Path()
    return {p: landed.get(p) or p.absolute().relative_to(parent).as_posix() for p in paths}
