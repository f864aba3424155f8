"""What a portfolio declares, validated.

Only declarations live here; spec_file.py reads them from YAML. What they mean is in the module of the
stage that obeys them: tape.py, cleaning.py, outcomes.py, windows.py, models/, policy.py.
"""

from pdx_assets.risk.spec.base import Condition, Declared, LocatedError
from pdx_assets.risk.spec.columns import Column, Dtype, LoanId, Ratio, Role, SamplingWeights
from pdx_assets.risk.spec.experiment import Experiment, PaperDatasetName
from pdx_assets.risk.spec.label import (
    NOT_KNOWABLE,
    ChargedOff,
    DaysPastDue,
    Label,
    LastPaymentAndStatus,
    ReadyFlag,
    RepaymentDates,
)
from pdx_assets.risk.spec.method import (
    AlgorithmName,
    Checks,
    CutOff,
    Decision,
    PolicyName,
    Profile,
    ProfileName,
    Strategy,
    Tuning,
    Windows,
)
from pdx_assets.risk.spec.portfolio import NAME, PortfolioSpec
from pdx_assets.risk.spec.tape import Drift, Faults, PerformancePanel, SimulatedLender, Tape

__all__ = [
    "NAME",
    "NOT_KNOWABLE",
    "AlgorithmName",
    "ChargedOff",
    "Checks",
    "Column",
    "Condition",
    "CutOff",
    "DaysPastDue",
    "Decision",
    "Declared",
    "Drift",
    "Dtype",
    "Experiment",
    "Faults",
    "Label",
    "LastPaymentAndStatus",
    "LoanId",
    "LocatedError",
    "PaperDatasetName",
    "PerformancePanel",
    "PolicyName",
    "PortfolioSpec",
    "Profile",
    "ProfileName",
    "Ratio",
    "ReadyFlag",
    "RepaymentDates",
    "Role",
    "SamplingWeights",
    "SimulatedLender",
    "Strategy",
    "Tape",
    "Tuning",
    "Windows",
]
