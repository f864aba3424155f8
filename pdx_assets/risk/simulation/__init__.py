"""What another policy would have made of the same models and scores: how its champions really did."""

from pdx_assets.risk.simulation.compare import Compared, compare
from pdx_assets.risk.simulation.realized import Followed, MonthOfPolicy, Realized, realize

__all__ = ["Compared", "Followed", "MonthOfPolicy", "Realized", "compare", "realize"]
