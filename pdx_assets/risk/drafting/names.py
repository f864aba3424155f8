"""What column names hint at. ``words`` of profiles.py makes ChgOffDate ``chg_off_date`` before they are searched."""

from __future__ import annotations

import re

ID = re.compile(
    r"(loan|account|acct|contract|agreement|application|appl|deal|facility|unique|system|record)s?_?(loan)?_?"
    r"(id|no|nr|num|number|key|ref)(_|$)|^(id|uid|uuid|key)$|loanid|_chk_dgt$"
)
BORROWER = re.compile(
    r"(customer|client|borrower|member|person|applicant|debtor|msisdn|user|cust)_?(id|no|nr|num|number|key|code|ref)?$"
)
# About a person, not about a risk.
PERSONAL = re.compile(
    r"(^|_)(name|first_?name|last_?name|surname|full_?name|e?mail|phone|mobile|telephone|address|street|ssn|bvn|nin"
    r"|passport|iban|url|desc|description|comments?|notes?|remarks?|emp_title)(_number|_no)?$|referred_?by|refer(r)?er"
)
PROTECTED = re.compile(
    r"(^|_)(gender|sex|race|ethnic\w*|religion|marital\w*|nationality|citizen\w*|disab\w*|pregnan\w*"
    r"|age|age_?(band|group|years)|dob|birth\w*|date_of_birth)(_|$)|birth_?date"
)
WEIGHT = re.compile(r"(^|_)(sampling_|sample_|case_)?(weight|wgt)(_|$)")
PRICE = re.compile(
    r"(^|_)(int(erest)?_?rate|interest|apr|rate|annual_rate|margin|spread|fees?|installment|instalment|emi|grade"
    r"|sub_?grade|price|pricing|total_?due|total_?repayable|amount_?due|tariff)(_|$)|totaldue|interestrate"
)
AMOUNT = re.compile(r"(loan|principal|disbursed|credit)?_?(amount|amnt|amt)$")
# Best first: cohorts are months of origination.
ORIGINATION = (
    re.compile(r"(^|_)issue"),
    re.compile(r"disburs"),
    re.compile(r"(^|_)fund(ed|ing)?_?(d|date|on|at)"),
    re.compile(r"originat"),
    re.compile(r"(^|_)grant"),
    re.compile(r"approv"),
    re.compile(r"(^|_)book"),
    re.compile(r"(^|_)(loan_?)?(open|start|begin)"),
    re.compile(r"(^|_)loan_?date"),
    re.compile(r"applica|applied|(^|_)appl?_?date|signed"),
    re.compile(r"creat|request|submit"),
    re.compile(r"(^|_)(date|month|cohort)$"),
)
# Written after the decision, unless the name speaks of history as well.
AFTER = re.compile(
    r"(^|_)(loan|account|mis|repay\w*|payment|contract|final|current)_?status|^status$|pymnt_|_pymnt|(^|_)last_"
    r"|(^|_)next_|first_?re?pa(y|id)|re_?paid|repayment_?(date|d|amount)|paid_?(off|date|on|amount|back)?(_|$)"
    r"|(^|_)closed?(_|$)|closed?_?date|recover"
    r"|(?<!months_since_)(charge_?off|chg_?off|charged_?off|write_?off|written_?off)(?!_?within)|settle|hardship"
    r"|deferral|(^|_)out_|outstanding|total_rec|total_pymnt|arrears|days_?past_?due|days_?late|(^|_)(max_?)?dpd"
    r"|good_?bad|(^|_)(is_?|loan_?)?(default|defaulted|bad|target|label|outcome|delinquent)(_?(flag|ind|date|status))?$"
    r"|foreclos|repossess|matur|due_?date|payment_plan_start|orig_projected|pymnt_plan|collection_recovery"
    r"|balance_?gross"
)
# Could be the present loan's or an earlier one's: content is asked before it is called a feature.
MAYBE_AFTER = re.compile(
    r"default|delinq|overdue|arrear|charge_?off|collect|balance|(^|_)late|bankrupt|status|penalt|paid"
)
HISTORY = re.compile(
    r"(^|_)(prev|previous|prior|past|ever|bureau|mths|months|mo|num|inq|sec_app|tot|pub|tax|acc|revol|savings)(_|$)"
    r"|_(12|24|6)_?m|since|within|(^|_)last_\d+_?(d|m|mths|months)|verification|employment|marital|home|resid"
    r"|list_status|joint"
)
YEAR = re.compile(r"(^|_)(fy|fiscal_year|year)$")


def written_later(name: str) -> bool:
    """Whether a name, as words, speaks of what comes after the decision."""
    return bool(AFTER.search(name)) and not HISTORY.search(name)
