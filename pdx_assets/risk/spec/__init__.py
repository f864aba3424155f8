"""What a portfolio declares, validated.

Only declarations live here; spec_file.py reads them from YAML. What they mean is in the module of the
stage that obeys them: tape.py, cleaning.py, outcomes/, windows.py, models/, policy.py.
"""

from pdx_assets.risk.spec.base import Condition, Declared, LocatedError
from pdx_assets.risk.spec.columns import (
    MONTHS_IN,
    Column,
    Derived,
    Dtype,
    LoanId,
    Outliers,
    Ratio,
    Role,
    SamplingWeights,
    Scale,
)
from pdx_assets.risk.spec.evidence import Approval, Evidence
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
from pdx_assets.risk.spec.leaks import Leaks
from pdx_assets.risk.spec.method import (
    PAPER_STRATEGIES,
    AlgorithmName,
    Checks,
    CutOff,
    Decision,
    Economics,
    PolicyName,
    Profile,
    ProfileName,
    Strategy,
    Tuning,
    Windows,
)
from pdx_assets.risk.spec.portfolio import NAME, PortfolioSpec
from pdx_assets.risk.spec.simulated import (
    Drift,
    Faults,
    PeerToPeerTwin,
    RetailBank,
    Simulated,
    SimulatedLender,
    Stretch,
    TwoWheelerTwin,
)
from pdx_assets.risk.spec.source import HttpSource, SqlSource, TapeFormat
from pdx_assets.risk.spec.tape import PerformancePanel, Tape

__all__ = [
    "MONTHS_IN",
    "NAME",
    "NOT_KNOWABLE",
    "PAPER_STRATEGIES",
    "AlgorithmName",
    "Approval",
    "ChargedOff",
    "Checks",
    "Column",
    "Condition",
    "CutOff",
    "DaysPastDue",
    "Decision",
    "Declared",
    "Derived",
    "Drift",
    "Dtype",
    "Economics",
    "Evidence",
    "Experiment",
    "Faults",
    "HttpSource",
    "Label",
    "LastPaymentAndStatus",
    "Leaks",
    "LoanId",
    "LocatedError",
    "Outliers",
    "PaperDatasetName",
    "PeerToPeerTwin",
    "PerformancePanel",
    "PolicyName",
    "PortfolioSpec",
    "Profile",
    "ProfileName",
    "Ratio",
    "ReadyFlag",
    "RepaymentDates",
    "RetailBank",
    "Role",
    "SamplingWeights",
    "Scale",
    "Simulated",
    "SimulatedLender",
    "SqlSource",
    "Strategy",
    "Stretch",
    "Tape",
    "TapeFormat",
    "Tuning",
    "TwoWheelerTwin",
    "Windows",
]
