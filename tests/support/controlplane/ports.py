"""Free TCP ports on loopback, outside the range the kernel gives to outgoing connections.

Inside that range a client that keeps dialling a stopped server can be given the server's own port, and then the server cannot
come back to it.
"""

import contextlib
import random
import socket

_FIRST, _LAST = 20_000, 32_000


def free_ports(count: int) -> list[int]:
    """Distinct ports that nothing listened on a moment ago; RuntimeError if the machine has too few."""
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        for port in random.sample(range(_FIRST, _LAST), _LAST - _FIRST):
            candidate = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                candidate.bind(("127.0.0.1", port))
                ports.append(port)
            if len(ports) == count:
                return ports
    raise RuntimeError(f"no {count} free ports between {_FIRST} and {_LAST} on 127.0.0.1")


def is_listening(port: int) -> bool:
    """Whether a connection to the port on 127.0.0.1 is accepted."""
    with contextlib.closing(socket.socket()) as client:
        client.settimeout(0.5)
        return client.connect_ex(("127.0.0.1", port)) == 0
