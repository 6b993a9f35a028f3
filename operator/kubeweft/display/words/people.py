"""Users and programs in words, as people call them."""

from __future__ import annotations

from kubeweft.display.words.pens import Pen, Piece

SERVICE_ACCOUNT = "system:serviceaccount:"


def short_user(user: str) -> str:
    """A user as people call it: ``kube-system/deployment-controller`` for a service account."""
    return user.removeprefix(SERVICE_ACCOUNT).replace(":", "/") if user.startswith(SERVICE_ACCOUNT) else user


def program(user_agent: str) -> str:
    """The program of a user agent, which is also the name that its writes have as field manager."""
    return user_agent.split("/", 1)[0].split(" ", 1)[0]


def who_pieces(user: str, impersonated: str, agent: str, pen: Pen, *, style: str = "") -> list[Piece]:
    """``sa kube-system/deployment-controller (kube-controller-manager)``, ``jane as admin (kubectl)``."""
    prefix = SERVICE_ACCOUNT if user.startswith(SERVICE_ACCOUNT) else ""
    name = user.removeprefix(SERVICE_ACCOUNT)
    return [
        ("sa " if prefix and pen.brief else prefix, "dim"),
        (name.replace(":", "/") if prefix and pen.brief else name, style),
        (" as " if impersonated else "", "dim"),
        (impersonated, ""),
        (f" ({agent})" if agent else "", "dim"),
    ]
