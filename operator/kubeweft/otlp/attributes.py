"""What a span says at an OTLP receiver: the attributes of its resource (the object) and its own, in a fixed order.

Both ways out (our own encoding and the SDK's ``ReadableSpan``) are made from here, so they cannot drift apart.
Nothing about our own process belongs here: a span sent by another replica has to be the same bytes.
"""

from __future__ import annotations

from typing import Final

from kubeweft.model import vocabulary
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Attributes, AttributeValue, Source, Span

SCOPE_NAME: Final = "kubeweft"
# The version of what spans look like, not of the program: an upgrade must not change the bytes of a span.
SCOPE_VERSION: Final = "1.0.0"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"

# Bytes of the JSON text. Badger makes a key of each attribute, with 64 bytes beside its value, and refuses those over 65,000.
LARGEST_SNAPSHOT: Final = 64_000

_LEAST_INT, _GREATEST_INT = -(2**63), 2**63 - 1


def resource_attributes(key: ObjectKey, source: Source) -> Attributes:
    """The resource is the object; the service name carries the source, so that a trace viewer colours by it."""
    attributes: Attributes = {
        vocabulary.SERVICE_NAME: f"kubeweft-{source}",
        vocabulary.SERVICE_NAMESPACE: "kubeweft",
        **_key_attributes(key),
        vocabulary.SOURCE: source,
    }
    name_of_kind = vocabulary.NAMES_OF_KINDS.get((key.group, key.resource))
    if name_of_kind is not None:
        attributes[name_of_kind] = key.name
    return attributes


def span_attributes(span: Span) -> Attributes:
    """The span's own attributes; an object span also repeats whose it is, and a body becomes the snapshot.

    Some trace stores search only the attributes of spans, so an object has to be found by its name there. An object
    span need not be a root: it may have been moved into the trace of another object.
    """
    is_object = span.source == "object" or not span.parent_span_id
    if not is_object and not span.body:
        return span.attributes
    attributes: Attributes = {}
    if is_object:
        attributes.update(_key_attributes(span.key))
    attributes.update(span.attributes)
    if len(span.body) > LARGEST_SNAPSHOT:
        attributes[vocabulary.SNAPSHOT_BYTES] = len(span.body)
    elif span.body:
        attributes[vocabulary.SNAPSHOT] = span.body.decode("utf-8", "replace")
    return attributes


def clean_text(text: str) -> str:
    """Text that UTF-8 can hold: paired surrogates are joined, lone ones become U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def clean_value(value: AttributeValue) -> AttributeValue:
    """A value that OTLP can hold: integers beyond 64 bits become text."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int) and not _LEAST_INT <= value <= _GREATEST_INT:
        return str(value)
    return value


def times(span: Span) -> tuple[int, int]:
    """Start and end that receivers can hold (they read the unsigned 64 bits of OTLP as signed), at least 1 ns apart.

    Jaeger takes a span without any length for one of negative length: it changes the end, adds a warning, and then
    shows each repeat of the span beside it, because their bytes differ from the changed ones.
    """
    start = min(max(span.start, 0), _GREATEST_INT - 1)
    return start, min(max(span.end, start + 1), _GREATEST_INT)


def _key_attributes(key: ObjectKey) -> Attributes:
    attributes: Attributes = {
        vocabulary.CLUSTER: key.cluster,
        vocabulary.GROUP: key.group,
        vocabulary.RESOURCE: key.resource,
    }
    if key.namespace:
        attributes[vocabulary.NAMESPACE] = key.namespace
    attributes[vocabulary.NAME] = key.name
    return attributes
