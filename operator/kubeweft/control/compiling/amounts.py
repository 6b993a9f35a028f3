"""How much is kept and how much leaves: retention and sampling of policies, checked and combined. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kubeweft.control.compiling.verdicts import Problem
from kubeweft.control.declared import schema
from kubeweft.model.errors import BadInput
from kubeweft.model.plan import Retention, Sampling

SHORTEST_AGE = 60.0
SMALLEST_STORE = 1024**2
_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
_UNITS: dict[str, int] = {
    "": 1,
    **{unit: int(1000**power) for power, unit in enumerate("kMGTP", start=1)},
    **{f"{unit}i": int(1024**power) for power, unit in enumerate("KMGTP", start=1)},
}


def compile_sampling(sampling: schema.Sampling) -> Sampling:
    """What of a policy's spans goes to its exporters."""
    return Sampling(
        percent=sampling.percent,
        keep_errors=sampling.keep_errors,
        spans_per_second=sampling.max_spans_per_second or 0,
    )


def compile_retention(retention: schema.Retention, problems: list[Problem]) -> Retention:
    """How long a policy wants spans to be kept; 0 where it does not say, or says what cannot be read."""
    return Retention(
        max_age=_max_age(retention.max_age, problems), max_bytes=_max_bytes(retention.max_bytes, problems)
    )


def longest(retentions: Iterable[Retention]) -> Retention:
    """The longest and the largest of all: no limit where one of them sets none."""
    every = list(retentions)
    ages, sizes = [r.max_age for r in every], [r.max_bytes for r in every]
    return Retention(
        max_age=max(ages) if ages and all(ages) else 0.0,
        max_bytes=max(sizes) if sizes and all(sizes) else 0,
    )


def quantity_in_bytes(quantity: str | int) -> int:
    """A size as Kubernetes writes it, such as ``10Gi`` or ``500M``, in bytes; raises ``BadInput``."""
    found = _QUANTITY.fullmatch(str(quantity))
    if found is None:
        raise BadInput("must be a size such as 10Gi, 500M or a number of bytes")
    whole, _, fraction = found[1].partition(".")
    unit = _UNITS[found[2] or ""]
    parts = int("1" + "0" * len(fraction))
    return int(whole) * unit + -(-int(fraction or 0) * unit // parts)  # parts of a byte are rounded up


def _max_age(text: str | None, problems: list[Problem]) -> float:
    if text is None:
        return 0.0
    try:
        age = schema.seconds(text)
        if age < SHORTEST_AGE:
            raise BadInput("must be at least 1m; leave it out for no limit")
    except BadInput as error:
        problems.append(Problem("InvalidSpec", "spec.retention.maxAge", str(error)))
        return 0.0
    return age


def _max_bytes(quantity: str | int | None, problems: list[Problem]) -> int:
    if quantity is None:
        return 0
    try:
        size = quantity_in_bytes(quantity)
        if size < SMALLEST_STORE:
            raise BadInput("must be at least 1Mi; leave it out for no limit")
    except BadInput as error:
        problems.append(Problem("InvalidSpec", "spec.retention.maxBytes", str(error)))
        return 0
    return size
