"""Where an OTLP receiver is: from what a person wrote to what gRPC or HTTP connect to.

Nothing is looked up here, and an address is never guessed: what is unclear is refused, with the forms that work.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from kubeweft.model.errors import UserError
from kubeweft.model.plan import Exporter

FORMS: Final = (
    "http://host:4318, https://host:4318, grpc://host:4317, grpcs://host:4317 (with TLS) or host:4317"
)
TRACES_PATH: Final = "/v1/traces"

_SCHEMES: Final = {  # scheme → (protocol, insecure)
    "http": ("HTTPProtobuf", True),
    "https": ("HTTPProtobuf", False),
    "grpc": ("GRPC", True),
    "grpcs": ("GRPC", False),
}
_HTTP_PORT: Final = 4318
_PREFIX: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")


def parse_endpoint(text: str, *, name: str = "") -> Exporter:
    """The exporter that ``--otlp`` means; UserError says what to write instead. Its name is the address itself.

    A name is what the spool remembers an exporter's position by, so a new address starts with new spans.
    """
    text = text.strip()
    prefix = _PREFIX.match(text)
    scheme = prefix[1].lower() if prefix else "grpc"
    if scheme not in _SCHEMES:
        raise UserError(f"OTLP address: the scheme {scheme}:// is not known; write {FORMS}")
    address = _split(text if prefix else f"grpc://{text}")
    if not prefix and address.port == _HTTP_PORT:
        place = address.netloc
        raise UserError(
            f"OTLP address: write http://{place} (4318 is OTLP over HTTP), or grpc://{place} if it is not"
        )
    protocol, insecure = _SCHEMES[scheme]
    if protocol == "GRPC":
        endpoint = _grpc_address(address)
    else:
        endpoint = f"{scheme}://{address.netloc}{address.path.rstrip('/')}"
    return Exporter(name=name or endpoint, endpoint=endpoint, protocol=protocol, insecure=insecure)


def grpc_target(exporter: Exporter) -> tuple[str, bool]:
    """``host:port``, and whether the connection is plain text: a scheme, where one is given, decides."""
    prefix = _PREFIX.match(exporter.endpoint)
    if not prefix:
        return _grpc_address(_split(f"grpc://{exporter.endpoint}")), exporter.insecure
    scheme = prefix[1].lower()
    if scheme not in _SCHEMES:
        raise UserError(
            f"OTLP address of {exporter.name}: the scheme {scheme}:// is not known; write {FORMS}"
        )
    return _grpc_address(_split(exporter.endpoint)), _SCHEMES[scheme][1]


def http_url(exporter: Exporter) -> str:
    """The URL that is posted to; ``/v1/traces`` is added where the address has no path of its own."""
    prefix = _PREFIX.match(exporter.endpoint)
    if not prefix or prefix[1].lower() not in ("http", "https"):
        raise UserError(f"OTLP address of {exporter.name}: HTTP wants a URL such as http://host:4318")
    address = _split(exporter.endpoint)
    path = address.path if address.path.strip("/") else TRACES_PATH
    return f"{address.scheme}://{address.netloc}{path}"


def _split(url: str) -> SplitResult:
    """The parts of a URL. Messages never quote the text: it may hold a password."""
    try:
        address = urlsplit(url)
        host, _ = address.hostname, address.port
    except ValueError as error:
        raise UserError(f"OTLP address: {error}; write {FORMS}") from None
    if address.username is not None or address.query or address.fragment:
        raise UserError("OTLP address: put tokens and passwords into headers, not into the address")
    if not host or re.search(r"[\s,;]", url):
        raise UserError(f"OTLP address: it names no host; write {FORMS}")
    return address


def _grpc_address(address: SplitResult) -> str:
    if address.path.strip("/"):
        raise UserError(
            "OTLP address: gRPC has no path; write grpc://host:4317, or http://host:4318/path for HTTP"
        )
    if address.port is None:
        raise UserError(f"OTLP address: the port is missing; write {FORMS}")
    return address.netloc
