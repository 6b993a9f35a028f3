"""How Kopf connects: with the very configuration that the rest of the process uses, handed over and nothing else.

Kopf asks at its start and whenever the API server answers 401, so renewed tokens and certificates are taken up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import kopf
from kubernetes_asyncio.client.configuration import Configuration

Login = Callable[[], Awaitable[Configuration]]


async def connect(login: Login) -> kopf.ConnectionInfo:
    """The connection that ``login`` describes, with whatever that raises."""
    configuration = await login()
    scheme, token = await _authorization(configuration)
    return kopf.ConnectionInfo(
        server=configuration.host or "",
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        username=configuration.username or None,
        password=configuration.password or None,
        scheme=scheme,
        token=token,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        proxy_url=configuration.proxy,
    )


async def _authorization(configuration: Configuration) -> tuple[str | None, str | None]:
    """Scheme and token of the header: the configuration keeps both in one text, such as ``Bearer abc``."""
    header = await configuration.get_api_key_with_prefix("BearerToken")
    scheme, space, token = (header or "").partition(" ")
    if not scheme:
        return None, None
    return (scheme, token) if space else (None, scheme)
