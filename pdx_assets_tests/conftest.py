"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# A deadline measures the machine, not the code: on a busy one two hashing tests overran 200 ms.
settings.register_profile("pdx", deadline=None)
settings.load_profile("pdx")
