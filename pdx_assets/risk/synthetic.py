"""The simulated lender: a loan book whose true PDs are known, exported month by month as tape files.

The public face of the simulation, and the files, belong here. Its parts: what applicants look like and
what is true of them (synthetic_applicants.py), what they repay and what of it is reported when
(synthetic_repayment.py), and the book that puts both together (synthetic_book.py).
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from pdx_assets.risk.errors import HomeError
from pdx_assets.risk.seeds import seed_from
from pdx_assets.risk.spec import SimulatedLender
from pdx_assets.risk.synthetic_applicants import expected_auc
from pdx_assets.risk.synthetic_book import SimulatedBook, cohort_truth, simulate, true_pd

__all__ = ["SimulatedBook", "expected_auc", "simulate", "true_pd", "write_simulated_tape"]

# Raised whenever the same parameters give other bytes, so that folders written before are written anew.
GENERATOR = 1
_STALE_SECONDS = 3600.0


def write_simulated_tape(lender: SimulatedLender, folder: Path) -> None:
    """Write the lender's export: what a portfolio with ``tape.simulated`` reads.

    ``loans/YYYY-MM.csv`` (applications of that month), ``performance/YYYY-MM.csv`` (rows reported in that
    month, corrections of earlier months included; no file where nothing was reported),
    ``truth/YYYY-MM.csv`` (loan_id, true_pd) and ``lender.json`` (parameters, as-of date, file sizes).

    The folder appears whole or not at all, with the same bytes for the same parameters; a complete one
    is left alone and one of other parameters replaced. Several processes may do it at once.

    Raises:
        HomeError: the folder exists and is not a simulated tape.
    """
    if _complete(lender, folder):
        return
    if not _ours(folder):
        raise HomeError(
            f"{folder} exists and is not a simulated tape: it has no lender.json.",
            expected="no such folder, an empty one, or one written by an earlier run",
            remedy="move what is there away, or choose another folder",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        made.chmod(0o755)
        _write(simulate(lender), made)
        _swap(lender, made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write(book: SimulatedBook, folder: Path) -> None:
    sizes: dict[str, int] = {}

    def put(name: str, text: str) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode("utf-8"))
        sizes[name] = path.stat().st_size

    lender = book.lender
    for cohort in book.cohorts:
        seed = seed_from(lender.seed, "simulated lender", "dirt", cohort.month)
        text = book.exported_loans(cohort).write_csv()
        put(f"loans/{cohort.month}.csv", malformed(text, lender.faults.dirty_share, np.random.default_rng(seed)))
        put(f"truth/{cohort.month}.csv", cohort_truth(cohort).select("loan_id", "true_pd").write_csv())
    for month, rows in book.reports():
        text = rows.with_columns(pl.col("month").dt.strftime("%Y-%m")).write_csv()
        put(f"performance/{month}.csv", text)
    put("lender.json", json.dumps(_identity(lender) | {"files": sizes}, indent=1, sort_keys=True) + "\n")


def _identity(lender: SimulatedLender) -> dict[str, object]:
    as_of = SimulatedBook(lender, ()).as_of
    return {"generator": GENERATOR, "lender": lender.model_dump(mode="json"), "as_of": str(as_of)}


def _ours(folder: Path) -> bool:
    if folder.is_dir():
        return (folder / "lender.json").exists() or not any(folder.iterdir())
    return not folder.exists()


def _complete(lender: SimulatedLender, folder: Path) -> bool:
    try:
        said = json.loads((folder / "lender.json").read_text(encoding="utf-8"))
        files = said.pop("files")
        return said == _identity(lender) and all((folder / f).stat().st_size == size for f, size in files.items())
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _swap(lender: SimulatedLender, made: Path, folder: Path) -> None:
    """Put the finished folder in its place; another process may be doing the same."""
    try:
        made.rename(folder)
        return
    except OSError:
        if _complete(lender, folder):
            return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        folder.rename(aside / "replaced")
        made.rename(folder)
    except OSError:
        if not _complete(lender, folder):
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what killed processes left behind; a younger one may still be at work."""
    for left in folder.parent.glob(f".{folder.name}.*.partial"):
        try:
            stale = time.time() - left.stat().st_mtime > _STALE_SECONDS
        except FileNotFoundError:
            continue
        if stale:
            shutil.rmtree(left, ignore_errors=True)


def malformed(text: str, share: float, rng: np.random.Generator) -> str:
    """The CSV text of one month with a share of its rows spoilt, in turn in each of the ways of ``_SPOILT``.

    A spoilt row replaces the good one, but a repeated row (a duplicate id) is added.
    """
    lines = text.splitlines()
    header, rows = lines[0].split(","), lines[1:]
    count = int(np.floor(share * len(rows) + rng.random())) if share else 0
    turn = int(rng.integers(len(_SPOILT)))
    for k, row in enumerate(rng.permutation(len(rows))[:count].tolist()):
        cells = dict(zip(header, rows[row].split(","), strict=True))
        rows[row] = _SPOILT[(turn + k) % len(_SPOILT)](cells)
    return "\n".join([lines[0], *rows]) + "\n"


def _line(cells: dict[str, str], **changed: str) -> str:
    return ",".join((cells | changed).values())


_SPOILT: tuple[Callable[[dict[str, str]], str], ...] = (
    lambda c: _line(c, annual_income=c["annual_income"].replace("0", "O")),
    lambda c: _line(c, application_date=c["application_date"][:8] + "32"),
    lambda c: _line(c, loan_id=""),
    lambda c: _line(c) + "\n" + _line(c),
    lambda c: _line(c).rsplit(",", 3)[0],
    lambda c: _line(c) + ",,",
    lambda c: _line(c, application_date="1900-01-01"),
    lambda c: _line(c, bureau_score="NO HIT"),
)
