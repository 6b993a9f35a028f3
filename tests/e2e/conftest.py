"""A control plane for each file, a namespace for each test: policies, rules and CRDs hold for a whole cluster.

With E2E_KUBECONFIG the tests use that cluster instead (kind with kind-config.yaml), and those that need to stop or crash the
API server are skipped.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pykube
import pytest

from controlplane.binaries.finding import find_binaries
from controlplane.binaries.progress import TerminalProgress
from controlplane.layout import Layout
from controlplane.plane import ControlPlane
from controlplane.ports import free_ports
from controlplane.testing import AuditTarget, wait_until

HERE = Path(__file__).parent
TEST_SECONDS = 180


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is end-to-end, and its time limit leaves out the start of the control plane."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(TEST_SECONDS, func_only=True))


@pytest.fixture(scope="module")
def plane_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the control plane."""
    return tmp_path_factory.mktemp("controlplane")


@pytest.fixture(scope="module")
def audit_target(plane_folder: Path) -> AuditTarget:
    """One address and token for the file; nothing listens there unless a test does."""
    certificate = Layout(plane_folder).webhook_certificate
    return AuditTarget(
        host="127.0.0.1",
        port=free_ports(1)[0],
        token=secrets.token_hex(16),
        certificate=certificate.certificate,
        key=certificate.key,
    )


@pytest.fixture(scope="module")
def control_plane(plane_folder: Path, audit_target: AuditTarget) -> Iterator[ControlPlane]:
    """The control plane that the tests of a file share: leave it running and unfrozen."""
    if "E2E_KUBECONFIG" in os.environ:
        pytest.skip("needs a control plane of its own, and E2E_KUBECONFIG names another cluster")
    plane = ControlPlane(
        plane_folder, nodes=2, audit_webhook=audit_target.url, audit_webhook_token=audit_target.token
    )
    with plane:
        yield plane


@pytest.fixture(scope="module")
def kubeconfig(request: pytest.FixtureRequest) -> Path:
    """The administrator's kubeconfig of the cluster under test."""
    if "E2E_KUBECONFIG" in os.environ:
        return Path(os.environ["E2E_KUBECONFIG"])
    plane: ControlPlane = request.getfixturevalue("control_plane")
    return plane.kubeconfig


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """kubectl of the control plane's version, built if it is not there."""
    return find_binaries(TerminalProgress(), programs=("kubectl",))["kubectl"]


@pytest.fixture
def api(kubeconfig: Path) -> Iterator[pykube.HTTPClient]:
    """A synchronous client with the administrator's rights."""
    client = pykube.HTTPClient(pykube.KubeConfig.from_file(str(kubeconfig)))
    with contextlib.closing(client.session):
        yield client


@pytest.fixture
def namespace(api: pykube.HTTPClient) -> Iterator[str]:
    """A new namespace in which pods can be created; deleted after the test, without waiting for it."""
    name = f"test-{secrets.token_hex(4)}"
    created = pykube.Namespace(api, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    created.create()
    account = pykube.ServiceAccount.objects(api).filter(namespace=name)
    wait_until(lambda: account.get_or_none(name="default"), f"the service account of {name}")
    yield name
    created.delete()
