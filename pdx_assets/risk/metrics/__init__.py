"""How good a PD is: discrimination, calibration, stability, fairness; numpy only, so cheap in tuning loops.

score_table.py is what every metric of (label, PD, weight) is computed from; comparison.py puts intervals
around differences; summary.py names the metrics stored with every model.
"""
