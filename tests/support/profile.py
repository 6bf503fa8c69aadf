"""How Hypothesis draws examples: the same ones in every run, or fresh ones.

Neither keeps a database, and neither has a deadline: no test fails because the machine is busy.
"""

from hypothesis import HealthCheck, settings

COMMON = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}

settings.register_profile("same", **COMMON, derandomize=True)
settings.register_profile("fresh", **COMMON, derandomize=False)
