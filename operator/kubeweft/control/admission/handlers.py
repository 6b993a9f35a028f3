"""What Kopf calls for each policy or rule that is created or changed: says no, warns, or lets it through.

Validating handlers write nothing onto objects. A check that fails by a fault of ours lets the object through: only what
is known to be wrong is refused.
"""

from __future__ import annotations

import logging
from typing import Any

import kopf

from kubeweft.control.admission.judging import Ask, Judge, Opinion
from kubeweft.control.declared.objects import LINK_RULES, POLICIES

logger = logging.getLogger(__name__)

GROUP, VERSION = "kubeweft.io", "v1alpha1"
HANDLER = "admission"
NOT_PROCESSABLE = 422
NOT_CHECKED = "Kubeweft could not check this object at admission; its status will tell"


def add_admission(registry: kopf.OperatorRegistry, judge: Judge, ask: Ask) -> None:
    """Register one handler for each of our types; ``ask`` tells about Secrets."""
    for plural in (POLICIES, LINK_RULES):

        @kopf.on.validate(
            GROUP,
            VERSION,
            plural,
            registry=registry,
            id=f"{HANDLER}/{plural}",
            operations=["CREATE", "UPDATE"],
            ignore_failures=True,
            side_effects=False,
        )
        async def check(resource: kopf.Resource, warnings: list[str], name: str, **given: Any) -> None:
            opinion = await _opinion(judge, ask, resource.plural, given["new"], given["old"])
            warnings.extend(opinion.warnings)
            if opinion.refusal:
                logger.info("refused at admission: object=%s/%s", resource.plural, name)
                raise kopf.AdmissionError(opinion.refusal, code=NOT_PROCESSABLE)


def quieten_kopf() -> None:
    """To Kopf a refusal is an error of the operator; it is one of whoever applied, and told to them."""
    logging.getLogger("kopf.objects").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return f" '{HANDLER}/" not in str(record.msg)


async def _opinion(judge: Judge, ask: Ask, resource: str, new: Any, old: Any) -> Opinion:
    try:
        return await judge.opinion(resource, new, old, ask=ask)
    # The root of a check: our own mistakes must not keep anybody from applying anything.
    except Exception:
        logger.exception("cannot be checked at admission: resource=%s", resource)
        return Opinion(warnings=(NOT_CHECKED,))
