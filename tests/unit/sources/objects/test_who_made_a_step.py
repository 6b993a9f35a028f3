"""Who made a step between two versions, where two have written within one second."""

from __future__ import annotations

import orjson
import pytest

from kubeweft.model.observations import FieldManager
from kubeweft.sources.objects.comparing import compare_bodies

AT = 1_795_248_804_000_000_000
PERSON = FieldManager("kubectl", "Update", "", AT)
CONTROLLER = FieldManager("kube-controller-manager", "Update", "status", AT)
BEFORE = {"metadata": {"name": "demo"}, "spec": {"replicas": 2}, "status": {}}


@pytest.mark.parametrize(
    ("changed", "by"),
    [
        ({"spec": {"replicas": 4}}, PERSON),
        ({"status": {"replicas": 2}}, CONTROLLER),
        (
            {"metadata": {"name": "demo", "annotations": {"revision": "1"}}, "status": {"replicas": 2}},
            CONTROLLER,
        ),
        ({"metadata": {"name": "demo", "generation": 2}, "spec": {"replicas": 4}}, PERSON),
    ],
)
def test_nobody_but_a_writer_of_the_status_can_have_changed_it(
    changed: dict[str, object], by: FieldManager
) -> None:
    step = compare_bodies(orjson.dumps(BEFORE), orjson.dumps(BEFORE | changed), max_bytes=1000)
    assert step.actors((PERSON, CONTROLLER)) == (by,)
