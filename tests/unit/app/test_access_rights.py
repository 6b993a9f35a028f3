"""The rights that ``--auth kubernetes`` needs: Kubernetes' own role for asking, and nothing more."""

from __future__ import annotations

from pathlib import Path

import yaml

CONFIG = Path(__file__).parents[3] / "config"


def test_the_service_account_may_ask_and_no_more() -> None:
    (binding,) = yaml.safe_load_all((CONFIG / "rbac/access/auth-delegator.yaml").read_text())
    account = yaml.safe_load((CONFIG / "default/service-account.yaml").read_text())["metadata"]
    assert binding["kind"] == "ClusterRoleBinding"
    assert binding["roleRef"]["name"] == "system:auth-delegator"
    (subject,) = binding["subjects"]
    assert (subject["kind"], subject["name"], subject["namespace"]) == (
        "ServiceAccount",
        account["name"],
        account["namespace"],
    )
