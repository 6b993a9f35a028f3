"""Who we are to an API server: finds the configuration of a cluster, and says what to do where there is none.

Formats, plug-ins and logins are kubernetes-asyncio's. Its ``load_kube_config`` is not used: what it writes back after an
OIDC login fails in version 36.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from kubernetes_asyncio.client.configuration import Configuration
from kubernetes_asyncio.config import ConfigException, incluster_config
from kubernetes_asyncio.config.kube_config import KubeConfigLoader, KubeConfigMerger

from kubeweft.model.errors import UserError

LONGEST_LOGIN = 60.0
HOME_KUBECONFIG = Path("~/.kube/config")
IN_CLUSTER_VARIABLE = incluster_config.SERVICE_HOST_ENV_NAME
ACCOUNT_FOLDER = Path(incluster_config.SERVICE_TOKEN_FILENAME).parent
NO_CONFIGURATION = (
    "no Kubernetes cluster is configured: pass --kubeconfig FILE, set KUBECONFIG, put the file at ~/.kube/config, "
    "or run inside a cluster with a service account"
)
_BROKEN = (  # what the library raises for files that are not as it expects
    ConfigException,
    yaml.YAMLError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    aiohttp.ClientError,  # a login by OIDC asks its issuer
)
_NOT_FROM_OUTSIDE = {
    "exec": "it would start a program here",
    "auth-provider": "it would act as a plug-in here",
    "tokenFile": "it would read a file here; put the token into 'token'",
    "client-certificate": "it would read a file here; use 'client-certificate-data'",
    "client-key": "it would read a file here; use 'client-key-data'",
    "certificate-authority": "it would read a file here; use 'certificate-authority-data'",
}
_IN_FILES = frozenset({"client-certificate-data", "client-key-data", "certificate-authority-data"})


@dataclass(frozen=True, slots=True)
class Access:
    """A configuration to connect with, and how to bring it up to date (None: it never changes).

    ``renew`` raises ``UserError``, and then leaves the configuration as it is.
    """

    configuration: Configuration
    renew: Callable[[], Awaitable[None]] | None


async def find_access(
    *, kubeconfig: str, context: str, environ: Mapping[str, str], account: Path = ACCOUNT_FOLDER
) -> Access:
    """The first of: the given file, ``KUBECONFIG``, the pod's service ``account``, ``~/.kube/config``.

    Raises ``UserError`` if there is none, or if it cannot be used.
    """
    home = HOME_KUBECONFIG.expanduser()
    if kubeconfig:
        return await from_files(kubeconfig, context)
    if environ.get("KUBECONFIG"):
        return await from_files(environ["KUBECONFIG"], context)
    if environ.get(IN_CLUSTER_VARIABLE):
        return await from_account(account, environ)
    if home.is_file():
        return await from_files(str(home), context)
    raise UserError(NO_CONFIGURATION)


async def from_files(paths: str, context: str) -> Access:
    """Access from one kubeconfig file, or several as in ``KUBECONFIG``."""
    files = [Path(path).expanduser() for path in paths.split(os.pathsep) if path]
    found = [file for file in files if file.is_file()]
    if not found:
        raise UserError(f"there is no kubeconfig file {paths}: check --kubeconfig and KUBECONFIG")
    complaint = f"the kubeconfig {paths} cannot be used"
    with explained(complaint):
        merged = KubeConfigMerger(os.pathsep.join(map(str, found)))
        writable = all(os.access(file, os.W_OK) for file in found)
        loader = KubeConfigLoader(
            merged.config,
            active_context=context or None,
            config_base_path=None,
            # OIDC may hand out a new refresh token, which is the only good one from then on
            config_persister=(lambda _: merged.save_changes()) if writable else None,
        )
    return await _log_in(loader.load_and_set, complaint)


@contextlib.asynccontextmanager
async def from_text(text: bytes, context: str) -> AsyncIterator[Access]:
    """Access from a kubeconfig that came from outside, such as a Secret: it must hold everything itself.

    Keys and certificates are in files for the length of the block only: a client has read them once it is made. Raises
    ``UserError`` if it would start programs or read files of this machine.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError("the kubeconfig is no valid YAML") from None
    if not isinstance(content, dict):
        raise UserError("the kubeconfig is no YAML mapping")
    _check_self_contained(content)
    complaint = "the kubeconfig cannot be used"
    with tempfile.TemporaryDirectory(prefix="kubeweft-") as folder:
        _move_into_files(content, Path(folder))
        with explained(complaint):
            loader = KubeConfigLoader(content, active_context=context or None)
        access = await _log_in(loader.load_and_set, complaint)
        yield Access(access.configuration, None)


async def from_account(folder: Path, environ: Mapping[str, str]) -> Access:
    """Access from the service account that is mounted into a pod at ``folder``."""

    async def load(configuration: Configuration) -> None:
        loader = incluster_config.InClusterConfigLoader(
            str(folder / "token"), str(folder / "ca.crt"), try_refresh_token=False, environ=dict(environ)
        )
        loader.load_and_set(configuration)

    return await _log_in(
        load,
        f"{IN_CLUSTER_VARIABLE} says that this is a pod, but its service account cannot be used "
        "(allow automountServiceAccountToken, or pass --kubeconfig FILE)",
    )


def _check_self_contained(content: Mapping[str, Any]) -> None:
    for settings in _settings(content):
        for field in _NOT_FROM_OUTSIDE.keys() & settings.keys():
            raise UserError(f"the kubeconfig must not use '{field}': {_NOT_FROM_OUTSIDE[field]}")


def _move_into_files(content: Mapping[str, Any], folder: Path) -> None:
    """Put what OpenSSL reads from files only into files of ours: those the library makes outlive the connection."""
    numbers = itertools.count()
    for settings in _settings(content):
        for field in _IN_FILES & settings.keys():
            with contextlib.suppress(ValueError, TypeError):  # the library complains, if it needs it
                decoded = base64.standard_b64decode(settings[field])
                if decoded:
                    file = folder / str(next(numbers))
                    file.write_bytes(decoded)
                    del settings[field]
                    settings[field.removesuffix("-data")] = str(file)


def _settings(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What a kubeconfig says of each user and each cluster."""
    for section, part in (("users", "user"), ("clusters", "cluster")):
        entries = content.get(section)
        for entry in entries if isinstance(entries, list) else ():
            settings = entry.get(part) if isinstance(entry, dict) else None
            if isinstance(settings, dict):
                yield settings


async def _log_in(load: Callable[[Configuration], Awaitable[None]], complaint: str) -> Access:
    configuration = Configuration()
    configuration.connection_pool_maxsize = (
        0  # a watch holds its connection: a limit would starve the next types
    )
    configuration.disable_strict_ssl_verification = (
        True  # as client-go: kubeadm's CA lacks what Python 3.13 demands
    )

    async def renew() -> None:
        with explained(complaint):
            try:
                async with asyncio.timeout(LONGEST_LOGIN):
                    await load(configuration)
            except TimeoutError:
                raise ConfigException(f"the login took longer than {LONGEST_LOGIN:.0f} s") from None
        token = configuration.api_key.get("BearerToken")
        if token:
            configuration.api_key["BearerToken"] = (
                token.strip()
            )  # files end with a line break, headers must not

    await renew()
    return Access(configuration, renew)


@contextlib.contextmanager
def explained(complaint: str) -> Iterator[None]:
    """What is wrong with a configuration becomes a ``UserError``."""
    try:
        yield
    except _BROKEN as error:
        raise UserError(
            f"{complaint}: {_say(error)}"
        ) from None  # its context would quote what _say leaves out


def _say(error: BaseException) -> str:
    """The library quotes the entry it stumbled over, which may be a user with a token: leave that out."""
    text = re.sub(r"\{.*\}", "{…}", str(error), flags=re.DOTALL)
    return text if isinstance(error, ConfigException | OSError) else f"{type(error).__name__}: {text}"
