"""How Hypothesis draws examples: the same ones in every run, or fresh ones.

Neither keeps a database, and neither has a deadline: no test fails because the machine is busy.
"""

from hypothesis import HealthCheck, settings

SAME, FRESH = "same", "fresh"
COMMON = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}
FEWER = 10
"""Of fresh examples every run tries a tenth, for there are other ones in the next."""

settings.register_profile(SAME, **COMMON, derandomize=True)
settings.register_profile(FRESH, **COMMON, derandomize=False, max_examples=10)


def examples(count, **options):
    """Return the decorator of a property: how many examples are tried, and what `hypothesis.settings` takes besides."""
    fresh = settings.get_current_profile_name() == FRESH
    return settings(max_examples=max(count // FEWER, 2) if fresh else count, **options)
