"""The gap radar: how a champion will turn out to have done on a month whose labels do not exist yet.

From calibrated scores (confidence.py, with loans weighted towards the month's applicants by importance.py), from what
has happened to the month's own loans so far (arrears.py), from both (combined.py), and by how well all of that did
before (track_record.py). Pure: who is asked on which day is stages/radar.py's business.
"""
