"""Secrets that show by their form, in any text: private keys, JSON Web Tokens, AWS keys, passwords in URLs.

Every search takes time linear in the text, because the texts are written by anybody. What is found is replaced by
``HIDDEN``, the rest of the text stays. It does not know what a password looks like: fields that hold one are named by
``secret_bodies`` or by a policy.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

HIDDEN: Final = "***"
SHORTEST: Final = 9  # a://b:c@d
MOST_SIGNS: Final = 64  # of @ in one document: past this a closer look costs more than a full search

# "PRIVATE KEY" inside base64, by where it falls in the groups of three bytes.
_ENCODED_PEM: Final = "LS0tLS1CRUdJTi"  # "-----BEGIN " in base64

# The usual names of an AWS secret access key, without their first letters.
_UPPER_NAME: Final = "SECRET_ACCESS_KEY"
_LOWER_NAME: Final = "ecret_access_key"
_CAMEL_NAME: Final = "ecretAccessKey"

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:.*?-----END [A-Z0-9 ]{0,40}-----|.*)", re.DOTALL
)
_BASE64_RUN = re.compile(rf"{_ENCODED_PEM}[A-Za-z0-9+/=\s]*+", re.ASCII)
_TOKEN_RUN = re.compile(r"[A-Za-z0-9_.-]{16,}+")
_AWS_ID = re.compile(r"(?<![A-Za-z0-9])A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])")
_AWS_SECRET = re.compile(
    r"((?:SECRET_ACCESS_KEY|ecret_access_key|ecretAccessKey)[\\\"'\s:=>]{1,10})[A-Za-z0-9/+]{40,}+"
)
_URL = re.compile(r"://[^\s\"<>]++", re.ASCII)
_AUTHORITY_END = re.compile(r"[/?#]")
_IMAGE_DIGEST = re.compile(r"sha(?:256|512):")
_LOGIN_ONLY = ("ssh", "git", "sftp", "rsync")  # ssh://git@host: a name, never a password

# Looking for one byte is 20 times as fast as for a few: letters that are rare in Kubernetes objects go first.
_RAW_TOKEN_OR_PEM = re.compile(rb"J(?:(?<=eyJ)|(?<=CRUdJ)Ti)")
_RAW_NAMES = (b"PRIVATE KEY", _UPPER_NAME.encode(), _CAMEL_NAME.encode())
_RAW_LOWER_NAME = _LOWER_NAME.encode()
_RAW_AWS_ID = re.compile(rb"A[KS]IA[A-Z0-9]{16}")
# Not among them: control characters, letters beyond ASCII, and < > & which Go always writes so.
_RAW_ESCAPE = re.compile(rb"\\(?:u00(?![018-9a-fA-F]|26|3[cCeE]|7[fF])|/)")


def may_hold_secrets(raw: bytes) -> bool:
    """Whether a text of this JSON document can hold a secret. Quick, and wrong only in saying yes too often.

    Letters may be written as escapes: a document that does so with ASCII ones, as no API server would, is a yes.
    """
    return (
        (b"J" in raw and _RAW_TOKEN_OR_PEM.search(raw) is not None)
        or (b"K" in raw and any(name in raw for name in _RAW_NAMES))
        or (b"_" in raw and _RAW_LOWER_NAME in raw)
        or (b"@" in raw and _has_login(raw))
        or _RAW_AWS_ID.search(raw) is not None
        or has_escapes(raw)
    )


def has_escapes(raw: bytes) -> bool:
    """Whether this JSON may write an ASCII letter or a slash as an escape, so that a plain search can miss it."""
    return b"\\" in raw and _RAW_ESCAPE.search(raw) is not None


def hide_secrets(text: str) -> str:
    """The text with ``***`` for whatever is a secret by its form. Hiding twice is hiding once."""
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(HIDDEN, text)
    if _ENCODED_PEM in text:
        text = _BASE64_RUN.sub(_without_encoded_key, text)
    if "eyJ" in text:
        text = _TOKEN_RUN.sub(_without_token, text)
    if "IA" in text:
        text = _AWS_ID.sub(HIDDEN, text)
    if "@" in text and "://" in text:
        text = _URL.sub(_without_login, text)
    if names_aws_secret(text):
        text = _AWS_SECRET.sub(rf"\1{HIDDEN}", text)
    return text


def names_aws_secret(name: str) -> bool:
    """Whether this is, or holds, one of the usual names of an AWS secret access key."""
    return _UPPER_NAME in name or _LOWER_NAME in name or _CAMEL_NAME in name


def _has_login(raw: bytes) -> bool:
    """Whether an ``@`` comes after a ``://`` within one string; image digests have one without."""
    if raw.count(b"@") > MOST_SIGNS:
        return True
    sign = raw.find(b"@")
    while sign >= 0:
        if raw.find(b"://", raw.rfind(b'"', 0, sign) + 1, sign) >= 0:
            return True
        sign = raw.find(b"@", sign + 1)
    return False


def _without_encoded_key(run: re.Match[str]) -> str:
    """Certificates stay, unless a key comes with them. The end of a text that was cut may be no whole base64."""
    encoded = "".join(run[0].split())
    content = binascii.a2b_base64(encoded[: len(encoded) // 4 * 4].replace("=", "A"))
    return HIDDEN if b"PRIVATE KEY" in content else run[0]


def _without_token(run: re.Match[str]) -> str:
    """A header that starts like ``{"`` in base64, and behind it two more parts, or one that starts the same."""
    text = run[0]
    start = text.find("eyJ")
    while start >= 0:
        dot = text.find(".", start)
        if dot < 0:
            break
        if text.startswith("eyJ", dot + 1) or text.find(".", dot + 1) >= 0:
            return text[:start] + HIDDEN
        start = text.find("eyJ", dot)
    return text


def _without_login(url: re.Match[str]) -> str:
    """``://***@host`` for ``://user:password@host``, in a text without white space that may hold several URLs."""
    text = url[0]
    last = text.rfind("@")
    done, copied, mark = [], 0, 0
    while 0 <= mark < last:
        begin = mark + 3
        end = _AUTHORITY_END.search(text, begin)
        before = (
            url.string[max(0, url.start() - 5) : url.start()] if mark == 0 else text[max(0, mark - 5) : mark]
        )
        sign = _end_of_login(text, begin, end.start() if end else len(text), scheme=before)
        if sign >= 0:
            done += [text[copied:begin], HIDDEN]
            copied = sign
        mark = text.find("://", max(begin, copied))
    return "".join([*done, text[copied:]])


def _end_of_login(text: str, begin: int, end: int, *, scheme: str) -> int:
    """Where the ``@`` behind a login stands, or -1 if the authority from ``begin`` to ``end`` has none to hide."""
    sign = text.rfind("@", begin, end)
    if sign < 0:  # a slash inside a password looks like the end of a host whose port is no number
        colon = text.find(":", begin, end)
        is_odd = 0 <= colon < end - 1 and text[begin] != "[" and not text[colon + 1 : end].isdecimal()
        return text.rfind("@", end) if is_odd else -1
    if text.find(":", begin, sign) >= 0:
        return sign
    return -1 if scheme.endswith(_LOGIN_ONLY) or _IMAGE_DIGEST.match(text, sign + 1) else sign
