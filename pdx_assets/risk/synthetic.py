"""Simulated books: loans whose true PDs are known, exported month by month as tape files.

The public face of the simulations, and how a folder of files appears whole, belong here. There is one
module a kind: synthetic_lender.py (with what applicants look like and what is true of them in
synthetic_applicants.py, what they repay and what of it is reported when in synthetic_repayment.py, and
the book that puts both together in synthetic_book.py), synthetic_two_wheeler.py, synthetic_retail_bank.py
and synthetic_p2p.py.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from pdx_assets.risk import synthetic_lender, synthetic_p2p, synthetic_retail_bank, synthetic_two_wheeler
from pdx_assets.risk.errors import HomeError
from pdx_assets.risk.spec import Simulated
from pdx_assets.risk.synthetic_applicants import expected_auc
from pdx_assets.risk.synthetic_book import SimulatedBook, simulate, true_pd

__all__ = ["SimulatedBook", "expected_auc", "simulate", "true_pd", "write_simulated_tape"]

# Raised whenever the same parameters give other bytes, so that folders written before are written anew.
GENERATORS = {"lender": 1, "two_wheeler_twin": 1, "retail_bank": 1, "p2p_twin": 1}
_STALE_SECONDS = 3600.0


def write_simulated_tape(simulated: Simulated, folder: Path) -> None:
    """Write a simulated book's export: what a portfolio with ``tape.simulated`` reads.

    ``loans/YYYY-MM.csv`` (loans of that month), ``truth/YYYY-MM.csv`` (loan_id, true_pd), for kind
    ``lender`` ``performance/YYYY-MM.csv`` (rows reported in that month, corrections of earlier months
    included; no file where nothing was reported), and ``lender.json`` (parameters, as-of date, file sizes).

    The folder appears whole or not at all, with the same bytes for the same parameters; a complete one
    is left alone and one of other parameters replaced. Several processes may do it at once.

    Raises:
        HomeError: the folder exists and is not a simulated tape.
    """
    if _complete(simulated, folder):
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
        _write(simulated, made)
        _swap(simulated, made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _files(simulated: Simulated) -> Iterator[tuple[str, str]]:
    """Name and text of every file but lender.json, each made when it is asked for."""
    match simulated.kind:
        case "lender":
            return synthetic_lender.files(simulated)
        case "two_wheeler_twin":
            return synthetic_two_wheeler.files(simulated)
        case "retail_bank":
            return synthetic_retail_bank.files(simulated)
        case "p2p_twin":
            return synthetic_p2p.files(simulated)


def _as_of(simulated: Simulated) -> date:
    match simulated.kind:
        case "lender":
            return synthetic_lender.as_of(simulated)
        case "two_wheeler_twin":
            return synthetic_two_wheeler.as_of(simulated)
        case "retail_bank":
            return synthetic_retail_bank.as_of(simulated)
        case "p2p_twin":
            return synthetic_p2p.as_of(simulated)


def _write(simulated: Simulated, folder: Path) -> None:
    sizes: dict[str, int] = {}
    for name, text in _files(simulated):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode("utf-8"))
        sizes[name] = path.stat().st_size
    said = json.dumps(_identity(simulated) | {"files": sizes}, indent=1, sort_keys=True) + "\n"
    (folder / "lender.json").write_bytes(said.encode("utf-8"))


def _identity(simulated: Simulated) -> dict[str, object]:
    # The lender's kind is left out: folders from before there were several kinds do not have it.
    declared = simulated.model_dump(mode="json", exclude={"kind"} if simulated.kind == "lender" else None)
    return {"generator": GENERATORS[simulated.kind], "lender": declared, "as_of": str(_as_of(simulated))}


def _ours(folder: Path) -> bool:
    if folder.is_dir():
        return (folder / "lender.json").exists() or not any(folder.iterdir())
    return not folder.exists()


def _complete(simulated: Simulated, folder: Path) -> bool:
    try:
        said = json.loads((folder / "lender.json").read_text(encoding="utf-8"))
        files = said.pop("files")
        return said == _identity(simulated) and all((folder / f).stat().st_size == size for f, size in files.items())
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _swap(simulated: Simulated, made: Path, folder: Path) -> None:
    """Put the finished folder in its place; another process may be doing the same."""
    try:
        made.rename(folder)
        return
    except OSError:
        if _complete(simulated, folder):
            return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        folder.rename(aside / "replaced")
        made.rename(folder)
    except OSError:
        if not _complete(simulated, folder):
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
