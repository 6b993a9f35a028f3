"""What holds for all tests: no limits of time for the examples of a property, because machines are shared and slow."""

from hypothesis import HealthCheck, settings

settings.register_profile("kubeweft", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kubeweft")
