"""Bureau and application columns of the peer-to-peer twin: how each is spread, when missing, what it goes with.

A column is a monotone function of a normal variable, which mixes five traits of the applicant with a share
of its own. The quantiles are round figures near those of LendingClub's published file.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

# quality: pays on time; wealth: income and limits; activity: seeks credit; history: old file; leverage: owes.
TRAITS = ("quality", "wealth", "activity", "history", "leverage")
_LETTERS = {trait[0]: i for i, trait in enumerate(TRAITS)}
_SHARES = (0.05, 0.25, 0.50, 0.75, 0.95)
_KNOTS = np.array([-4.0, *(NormalDist().inv_cdf(share) for share in _SHARES), 4.0])

# name, scale, decimals, minimum, quantiles at 5, 25, 50, 75 and 95 %, maximum, missing, traits.
# Missing: a group of absent experience and its share (delinquency:0.5); early: before 2015-12; joint: one applicant.
_TABLE = """
loan_amnt                      log 0   1000  3200  8000 13000 20000  35000   40000 -                  w.45 l.15
annual_inc                     log 0   5000 29000 46500 69000 98000 170000 1400000 -                  w.75 h.15
dti                            lin 2      0     5  11.8    18    25     35     120 -                  l.75 w-.25
delinq_2yrs                    lin 0      0     0     0     0     0      2       9 -                  q-.6 h.2
fico_range_low                 lin 0    660   660   675   695   720    765     845 -                  q.75 l-.2 h.15 w.1
inq_last_6mths                 lin 0      0     0     0     0     1      2       5 -                  a.65
mths_since_last_delinq         lin 0      0     5    16    33    53     74     110 delinquency:0.50   q.25 h.2
mths_since_last_record         lin 0      0    29    51    74    91    111     119 record:0.84        q.15
open_acc                       lin 0      1     4     8    11    15     22      60 -                  a.4 w.3 h.3 l.2
pub_rec                        lin 0      0     0     0     0     0      1       8 -                  q-.5
revol_util                     lin 1      0     9    29    47    68     90     129 -                  l.5 q-.45
total_rev_hi_lim               log 0    300  6100 15400 26900 45900 100200  395000 -                  w.6 h.35 q.2
total_acc                      lin 0      2     8    15    22    30     46      90 -                  h.5 a.25 w.25
collections_12_mths_ex_med     lin 0      0     0     0     0     0    0.4       3 -                  q-.4
mths_since_last_major_derog    lin 0      0    11    29    47    63     76     120 delinquency:0.74   q.2 h.15
annual_inc_joint               log 0  20000 54000 81000 110000 144000 220000 714000 joint             w.7
dti_joint                      lin 2      0   6.6  13.2  19.2  23.6   32.5      40 joint              l.65
acc_now_delinq                 lin 0      0     0     0     0     0    0.3       3 -                  q-.5
tot_coll_amt                   log 0      0     0     0     0     0    700   46000 -                  q-.5 w-.1
tot_cur_bal                    log 0      0  8700 29000 79000 219500 451000 2375000 -                 w.65 h.25 l.25
open_acc_6m                    lin 0      0     0     0     1     1      3      11 early              a.75
open_act_il                    lin 0      0     0     1     2     3      9      29 early              l.5 a.3
open_il_12m                    lin 0      0     0     0     0     1      3       6 early              a.6 l.3
open_il_24m                    lin 0      0     0     0     1     2      5      11 early              a.6 l.35
mths_since_rcnt_il             lin 0      0     2     7    13    24     66     226 early+instalment:0.03 a-.55
total_bal_il                   log 0      0     0 10000 24300 49000 118600  367000 early              l.6 w.25
il_util                        lin 0      0    23    55    71    86    101     200 early+instalment:0.13 l.4 q-.15
open_rv_12m                    lin 0      0     0     0     1     2      4      11 early              a.7
open_rv_24m                    lin 0      0     0     1     2     4      7      22 early              a.7 h.1
max_bal_bc                     log 0      0   460  2300  4400  7850  17000   50000 early              w.4 l.45
all_util                       lin 0      0    21    43    58    71     90     160 early              l.6 q-.3
inq_fi                         lin 0      0     0     0     1     2      4       8 early              a.5 l.2
total_cu_tl                    lin 0      0     0     0     0     2      7      21 early              h.3
inq_last_12m                   lin 0      0     0     0     1     3      7      19 early              a.7
acc_open_past_24mths           lin 0      0     1     2     4     6     10      30 -                  a.75
bc_util                        lin 1      0     7    32    57    82     97     129 cards:0.010        l.45 q-.45
chargeoff_within_12_mths       lin 0      0     0     0     0     0    0.3       2 -                  q-.5
delinq_amnt                    log 0      0     0     0     0     0      0   23000 -                  q-.5
mo_sin_old_il_acct             lin 0      4    31    97   130   154    214     466 instalment:0.025   h.6
mo_sin_old_rev_tl_op           lin 0      8    44   113   160   221    355     680 -                  h.8
mo_sin_rcnt_rev_tl_op          lin 0      0     1     4     9    17     45     127 -                  a-.6
mo_sin_rcnt_tl                 lin 0      0     1     3     6    10     23     115 -                  a-.7
mort_acc                       lin 0      0     0     0     1     3      5      10 -                  w.45 h.35
mths_since_recent_bc           lin 0      0     2     6    14    28     87     327 cards:0.008        a-.5
mths_since_recent_bc_dlq       lin 0      0     5    17    36    58     77     125 delinquency:0.78   q.2
mths_since_recent_inq          lin 0      0     0     2     6    11     19      24 inquiry:0.09       a-.65
mths_since_recent_revol_delinq lin 0      0     5    16    31    49     75     125 delinquency:0.68   q.2
num_accts_ever_120_pd          lin 0      0     0     0     0     0      3      12 -                  q-.55 h.2
num_actv_bc_tl                 lin 0      0     1     2     3     5      8      17 -                  a.3 w.3 l.3
num_actv_rev_tl                lin 0      0     1     3     5     7     11      23 -                  a.35 l.4
num_bc_sats                    lin 0      0     1     3     4     6     11      20 -                  w.4 q.2 h.2
num_bc_tl                      lin 0      0     2     4     6    10     16      36 -                  h.45 w.35
num_il_tl                      lin 0      0     1     3     6    11     22      55 -                  h.35 l.35
num_op_rev_tl                  lin 0      1     3     5     7    11     17      33 -                  a.35 w.35 h.2
num_rev_accts                  lin 0      2     4     8    12    18     28      51 -                  h.5 a.2 w.2
num_tl_120dpd_2m               lin 0      0     0     0     0     0    0.1       2 unreported:0.046   q-.4
num_tl_30dpd                   lin 0      0     0     0     0     0    0.3       3 -                  q-.5
num_tl_90g_dpd_24m             lin 0      0     0     0     0     0    0.6       7 -                  q-.55
num_tl_op_past_12m             lin 0      0     0     1     2     3      5      15 -                  a.75
pct_tl_nvr_dlq                 lin 1     28    76  91.7  98.6   100    100     100 -                  q.65
percent_bc_gt_75               lin 1      0     0     0    33    67    100     100 cards:0.010        l.45 q-.4
pub_rec_bankruptcies           lin 0      0     0     0     0     0      1       3 -                  q-.4
tax_liens                      lin 0      0     0     0     0     0    0.5       7 -                  q-.35
tot_hi_cred_lim                log 0   1500 19600 53000 119000 268700 517700 2479000 -                w.7 h.25 q.1
total_bal_ex_mort              log 0      0  7200 21900 41000 69500 147500  456000 -                  l.5 w.35
total_bc_limit                 log 0      0  2400  8500 17000 34000  74700  190000 -                  w.55 q.35 h.2
total_il_high_credit_limit     log 0      0     0 17700 36600 65500 130000  390000 -                  l.45 w.35
revol_bal_joint                log 0      0  6600 14000 23000 39000  79000  170000 joint              w.4 l.4
sec_app_fico_range_low         lin 0    540   595   645   675   700    740     845 joint              q.4
sec_app_inq_last_6mths         lin 0      0     0     0     0     1      2       6 joint              a.35
sec_app_mort_acc               lin 0      0     0     0     1     2      5      10 joint              w.3
sec_app_open_acc               lin 0      1     3     7    10    15     23      45 joint              a.2 w.2
sec_app_revol_util             lin 1      0   9.5    37    53    72     96     120 joint              l.35 q-.2
sec_app_open_act_il            lin 0      0     0     1     2     4      8      20 joint              l.3
sec_app_num_rev_accts          lin 0      0     3     7    10    16     25      60 joint              h.2
sec_app_chargeoff_within_12_mths lin 0    0     0     0     0     0    0.4       4 joint              q-.3
sec_app_collections_12_mths_ex_med lin 0  0     0     0     0     0      1       4 joint              q-.3
sec_app_mths_since_last_major_derog lin 0 0     0    14    28    57     71      90 joint+second:0.62  q.2
earliest_cr_line               lin 0     36    72   135   180   240    380     700 -                  h.85
sec_app_earliest_cr_line       lin 0     36    65   125   170   230    360     650 joint              h.35
emp_length                     lin 0      0     0     2     6    10     10      10 employment:0.072   h.35 w.1
"""


@dataclass(frozen=True)
class Marginal:
    """One column of numbers.

    Attributes:
        is_money: quantiles are joined on the log1p scale.
        values: minimum, the five quantiles and the maximum.
        missing: what makes a cell blank: group names, with the share missing where the group has one.
        loadings: weight of each trait, (5,); what is left to variance 1 is the column's own.
    """

    name: str
    is_money: bool
    decimals: int
    values: np.ndarray
    missing: tuple[tuple[str, float], ...]
    loadings: np.ndarray

    def at(self, z: np.ndarray) -> np.ndarray:
        """Values of standard normals."""
        if self.is_money:
            found = np.expm1(np.interp(z, _KNOTS, np.log1p(self.values)))
        else:
            found = np.interp(z, _KNOTS, self.values)
        return np.round(found, self.decimals)


def _parsed(line: str) -> Marginal:
    name, scale, decimals, *rest = line.split()
    values, missing, traits = rest[:7], rest[7], rest[8:]
    loadings = np.zeros(len(TRAITS))
    for trait in traits:
        loadings[_LETTERS[trait[0]]] = float(trait[1:])
    groups = [] if missing == "-" else [part.partition(":") for part in missing.split("+")]
    return Marginal(
        name,
        scale == "log",
        int(decimals),
        np.array(values, np.float64),
        tuple((group, float(share or 1)) for group, _, share in groups),
        loadings,
    )


MARGINALS: dict[str, Marginal] = {m.name: m for m in map(_parsed, _TABLE.strip().splitlines())}

# Trait loadings of the groups of absent experience: who has never been late has no month of it.
GROUPS: dict[str, np.ndarray] = {
    "delinquency": np.array([0.6, 0, 0, -0.2, 0]),
    "record": np.array([0.5, 0, 0, 0, 0]),
    "cards": np.array([0, -0.3, 0, -0.3, 0]),
    "instalment": np.array([0, 0, 0, -0.2, -0.4]),
    "inquiry": np.array([0.1, 0, -0.6, 0, 0]),
    "unreported": np.zeros(5),
    "second": np.array([0.3, 0, 0, 0, 0]),
    "employment": np.array([0, -0.4, 0, 0.2, 0]),
}

_STATES = """
CA:13.5 NY:8.2 TX:8.2 FL:7.2 IL:4.0 NJ:3.6 PA:3.4 OH:3.3 GA:3.3 VA:2.8 NC:2.8 MI:2.6 MD:2.4 AZ:2.4 MA:2.3
CO:2.1 WA:2.1 MN:1.75 IN:1.7 MO:1.6 TN:1.6 CT:1.5 NV:1.4 WI:1.3 AL:1.2 OR:1.2 SC:1.2 LA:1.15 KY:1.05
OK:0.9 KS:0.85 AR:0.75 UT:0.7 NM:0.55 MS:0.55 NH:0.5 HI:0.47 RI:0.44 WV:0.37 NE:0.35 DE:0.28 MT:0.28
ME:0.25 DC:0.24 AK:0.23 WY:0.21 VT:0.21 SD:0.2 ID:0.2 ND:0.16
"""
STATES: dict[str, float] = {state: float(share) for state, _, share in (p.partition(":") for p in _STATES.split())}

# Purpose, its title on the site, its share.
PURPOSES: dict[str, tuple[str, float]] = {
    "debt_consolidation": ("Debt consolidation", 0.565),
    "credit_card": ("Credit card refinancing", 0.215),
    "home_improvement": ("Home improvement", 0.07),
    "other": ("Other", 0.063),
    "major_purchase": ("Major purchase", 0.022),
    "medical": ("Medical expenses", 0.0135),
    "car": ("Car financing", 0.0125),
    "small_business": ("Business", 0.012),
    "vacation": ("Vacation", 0.0095),
    "moving": ("Moving and relocation", 0.0085),
    "house": ("Home buying", 0.007),
    "renewable_energy": ("Green loan", 0.002),
}
