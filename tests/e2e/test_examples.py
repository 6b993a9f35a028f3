"""The numbered examples, typed as their pages say, on real clusters."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.kubeconfigs import embedded
from controlplane.plane import ControlPlane
from operator_process import KUBEWEFT, OperatorProcess
from walkthrough import carry_out, commands_of

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "examples").glob("[0-9]*/README.md"))
NEEDING_ANOTHER_CLUSTER = {"03-cross-cluster-annotation", "05-several-clusters"}


@pytest.fixture(scope="module")
def east(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a second cluster: an API server is all it needs."""
    folder = tmp_path_factory.mktemp("east")
    with ControlPlane(folder, nodes=0, controllers=False) as plane:
        for_a_secret = folder / "east.yaml"
        for_a_secret.write_bytes(embedded(plane.kubeconfig))
        yield for_a_secret


@pytest.fixture(scope="module")
def operator(
    kubeconfig: Path, kubectl: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """One operator for all pages, with its definitions installed."""
    crds = ["apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds")]
    subprocess.run([str(kubectl), "--kubeconfig", str(kubeconfig), *crds], check=True, capture_output=True)
    with OperatorProcess(tmp_path_factory.mktemp("examples"), kubeconfig) as running:
        yield running


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
@pytest.mark.timeout(240)
def test_the_page_is_true(
    page: Path, operator: OperatorProcess, kubeconfig: Path, kubectl: Path, request: pytest.FixtureRequest
) -> None:
    environment = {
        **os.environ,
        "PATH": f"{KUBEWEFT.parent}:{kubectl.parent}:{os.environ['PATH']}",
        "KUBECONFIG": str(kubeconfig),
        "KUBEWEFT_STORE": str(operator.store),
    }
    if page.parent.name in NEEDING_ANOTHER_CLUSTER:
        environment["EAST_KUBECONFIG"] = str(request.getfixturevalue("east"))
    try:
        assert carry_out(page, folder=ROOT, environment=environment) > 5
    except AssertionError as error:
        raise AssertionError(f"{error}\n{operator.log_text()[-3000:]}") from None


def test_every_page_is_in_the_list_and_has_commands() -> None:
    listed = (ROOT / "examples" / "README.md").read_text()
    for page in PAGES:
        assert f"({page.parent.name}/)" in listed
        assert commands_of(page.read_text())
