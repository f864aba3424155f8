"""Who applies for the peer-to-peer twin's loans of one month, and what the application and the bureau say."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import polars as pl

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.synthetic_p2p_columns import GROUPS, MARGINALS, PURPOSES, STATES, TRAITS

# LendingClub's file has fourteen bureau columns from this month on, and two applicants from the other on.
BUREAU_FROM = Month(2015, 12)
JOINT_FROM = Month(2015, 10)
# Share of two applicants where they begin, and what it grows by each year.
JOINT_SHARE, JOINT_GROWTH = 0.035, 0.03


def draw_applications(rng: np.random.Generator, count: int, month: Month, shift: float) -> pl.DataFrame:
    """One month's applications.

    Args:
        rng: of this month.
        count: loans.
        month: of issue.
        shift: standard deviations by which applicants are worse than those of the first month.

    Returns:
        one row a loan: the columns of :data:`MARGINALS` (Float64, missing is null; credit lines as months
        before issue), those computed from them, and the categories (String).
    """
    traits = rng.standard_normal((count, len(TRAITS)), dtype=np.float32)
    traits[:, TRAITS.index("quality")] -= shift
    joint = rng.random(count) < _joint_share(month)
    absent = {group: _mixed(rng, traits, loadings) for group, loadings in GROUPS.items()}
    columns: dict[str, np.ndarray] = {}
    for name, marginal in MARGINALS.items():
        values = marginal.at(_mixed(rng, traits, marginal.loadings))
        for group, share in marginal.missing:
            if group == "joint":
                values[~joint] = np.nan
            elif group == "early":
                values[:] = np.nan if month < BUREAU_FROM else values
            else:
                values[absent[group] > NormalDist().inv_cdf(1 - share)] = np.nan
        columns[name] = values
    _reconcile(columns, rng)
    texts = _categories(rng, traits, columns, joint, month)
    numbers = pl.DataFrame(columns).fill_nan(None)
    return numbers.with_columns(pl.Series(name, list(cells), dtype=pl.String) for name, cells in texts.items())


def _joint_share(month: Month) -> float:
    if month < JOINT_FROM:
        return 0.0
    return JOINT_SHARE + JOINT_GROWTH * (month.ordinal - JOINT_FROM.ordinal) / 12


def _mixed(rng: np.random.Generator, traits: np.ndarray, loadings: np.ndarray) -> np.ndarray:
    """Standard normals, (n,), that share these loadings with the traits."""
    own = np.sqrt(max(0.0, 1 - float(loadings @ loadings)))
    noise: np.ndarray = rng.standard_normal(len(traits), dtype=np.float32)
    mixed: np.ndarray = traits @ loadings.astype(np.float32) + np.float32(own) * noise
    return mixed


def _reconcile(columns: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """What the bureau computes from other columns, and counts that cannot exceed others."""
    columns["loan_amnt"] = np.clip(np.round(columns["loan_amnt"] / 25) * 25, 1000, 40000)
    columns["annual_inc"] = np.round(columns["annual_inc"], -2)
    for low in ("fico_range_low", "sec_app_fico_range_low"):
        columns[low] = np.floor(columns[low] / 5) * 5
        columns[low.replace("low", "high")] = columns[low] + 4
    columns["total_rev_hi_lim"] = np.round(columns["total_rev_hi_lim"], -2)
    columns["revol_bal"] = np.round(columns["revol_util"] / 100 * columns["total_rev_hi_lim"])
    open_to_buy = columns["total_bc_limit"] * (1 - columns["bc_util"] / 100)
    columns["bc_open_to_buy"] = np.round(np.maximum(open_to_buy, 0))
    columns["avg_cur_bal"] = np.round(columns["tot_cur_bal"] / columns["open_acc"])
    columns["num_sats"] = np.maximum(columns["open_acc"] - (rng.random(len(open_to_buy)) < 0.02), 0)
    columns["total_acc"] = np.maximum(columns["total_acc"], columns["open_acc"])
    columns["num_rev_accts"] = np.maximum(columns["num_rev_accts"], columns["num_op_rev_tl"])
    columns["num_bc_tl"] = np.maximum(columns["num_bc_tl"], columns["num_bc_sats"])
    columns["pub_rec"] = np.maximum(columns["pub_rec"], columns["pub_rec_bankruptcies"] + columns["tax_liens"])


def _categories(
    rng: np.random.Generator, traits: np.ndarray, columns: dict[str, np.ndarray], joint: np.ndarray, month: Month
) -> dict[str, np.ndarray | pl.Series]:
    count = len(traits)
    home = _mixed(rng, traits, np.array([0.1, 0.45, 0, 0.3, 0]))
    checked = _mixed(rng, traits, np.array([-0.2, 0.15, 0, 0, 0.1]))
    second_checked = rng.standard_normal(count)
    size = (np.log1p(columns["loan_amnt"]) - 9.5) / 0.7
    purpose = rng.choice(len(PURPOSES), count, p=_shares([share for _, share in PURPOSES.values()]))
    titles = np.array([title for title, _ in PURPOSES.values()], object)[purpose]
    titles[rng.random(count) < 0.01] = None
    state = rng.choice(len(STATES), count, p=_shares(list(STATES.values())))
    zones = (np.arange(len(STATES)) * 37 + 10) % 990
    area = zones[state] + rng.integers(0, 10, count)
    # Paying creditors directly was offered from 2016 on.
    direct = 0.0 if month < Month(2016, 1) else min(0.08, 0.02 * (1 + (month.ordinal - Month(2016, 1).ordinal) / 12))
    levels = {
        "home_ownership": (home, ["RENT", "OWN", "MORTGAGE"], [0.40, 0.11, 0.49]),
        "verification_status": (checked, ["Not Verified", "Source Verified", "Verified"], [0.31, 0.41, 0.28]),
        "verification_status_joint": (
            second_checked,
            ["Not Verified", "Source Verified", "Verified"],
            [0.45, 0.3, 0.25],
        ),
    }
    texts: dict[str, np.ndarray | pl.Series] = {
        name: _by_rank(z, names, shares) for name, (z, names, shares) in levels.items()
    }
    texts["home_ownership"][rng.random(count) < 0.001] = "ANY"
    texts["verification_status_joint"][~joint] = None
    # Longer terms go with larger loans, and with applicants who owe more.
    long = _mixed(rng, traits, np.array([-0.15, 0, 0, 0, 0.15])) + 0.5 * size > 0.65
    texts |= {
        "term": np.where(long, " 60 months", " 36 months").astype(object),
        "purpose": np.array(list(PURPOSES), object)[purpose],
        "title": titles,
        "addr_state": np.array(list(STATES), object)[state],
        "zip_code": (pl.Series(area).cast(pl.String).str.zfill(3) + "xx"),
        "application_type": np.where(joint, "Joint App", "Individual").astype(object),
        "initial_list_status": np.where(rng.random(count) < 0.75, "w", "f").astype(object),
        "disbursement_method": np.where(rng.random(count) < direct, "DirectPay", "Cash").astype(object),
    }
    return texts


def _shares(weights: list[float]) -> np.ndarray:
    found = np.array(weights)
    return found / found.sum()


def _by_rank(z: np.ndarray, names: list[str], shares: list[float]) -> np.ndarray:
    """Levels in order of z, each with its share of a standard normal."""
    cuts = [NormalDist().inv_cdf(float(share)) for share in np.cumsum(shares)[:-1]]
    return np.array(names, object)[np.searchsorted(cuts, z)]
