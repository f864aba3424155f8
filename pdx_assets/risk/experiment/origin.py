"""What is real and what is simulated, and what a portfolio is marked with: the words beside every table."""

from __future__ import annotations

from dataclasses import dataclass

from pdx_assets.risk.experiment.paper import PaperDataset
from pdx_assets.risk.spec import PortfolioSpec


@dataclass(frozen=True)
class Source:
    """Where a home's loans were read from.

    Attributes:
        file: name of the file, or in words how many; None where it is not known.
        is_given: with ``--tape``, instead of what the portfolio declares.
        as_of: the tape's as-of date, ISO.
        is_weighted: whether its loans have weights other than 1, where the portfolio declares any.
    """

    file: str | None
    is_given: bool
    as_of: str | None
    is_weighted: bool = True


def told(spec: PortfolioSpec, source: Source, paper: PaperDataset | None) -> tuple[str, ...]:
    """Sentences to print beside every table of a portfolio."""
    simulated = spec.tape.simulated
    as_of = f" (tape as of {source.as_of})" if source.as_of else ""
    if simulated is not None and not source.is_given:
        seed = getattr(simulated, "seed", None)
        drawn = "drawn by PDx's simulated lender" + ("" if seed is None else f", seed {seed}")
        said = [f"Simulated: every loan of {spec.name} is {drawn}{as_of}; no borrower is real."]
    else:
        instead = ", given with --tape" if source.is_given else ""
        file = source.file or "its tape"
        said = [f"Real: the loans of {spec.name} were read from {file}{instead}{as_of}; PDx simulated none of them."]
    said += spec.marks.values()
    if spec.is_weighted and source.is_weighted:
        said.append(
            "Loans are weighted: bad rates and metrics are of the book they stand for, loans and bads count rows."
        )
    elif spec.is_weighted:
        said.append("Every loan weighs 1, although weights are declared: figures are of these loans as they are.")
    if paper is not None:
        said.append(f"The paper's figures are of its own dataset: {paper.description}.")
    return tuple(said)


def columns(spec: PortfolioSpec, source: Source) -> dict[str, str]:
    """The same in short, for every line of a table that has no room for sentences: column to value."""
    simulated = spec.tape.simulated is not None and not source.is_given
    said = {f"{spec.name}: loans are": "simulated" if simulated else "real"}
    return said | ({f"{spec.name}: labels": "not knowable in time"} if spec.hindsight else {})
