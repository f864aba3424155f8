"""Who hears of it: failed checks, failed runs, promotions and waiting approvals, told once per channel.

Alerts, the channels they go to, and the outbox between the two. No Dagster: orchestration/alerting.py turns what
happened in an instance into alerts.
"""
