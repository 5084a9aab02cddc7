"""The studio's server: one address, one port, until it is interrupted."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from types import FrameType

import uvicorn
from threadpoolctl import threadpool_limits

from backquery.errors import BackqueryError
from backquery.studio.app import build_app
from backquery.studio.guard import Guard
from backquery.studio.opened import Opened
from backquery.studio.protocol import FRAME_LIMIT

USUAL_PORT = 8471
HTTP_PORT = 80

SWITCH_SECONDS = 0.001
"""How long a thread may keep the interpreter while another waits: a slider must not wait for a training."""


def bind(address: str, port: int | None) -> socket.socket:
    """A listening socket on exactly this address; without a `port`, the usual one or any that is free."""
    if _is_every_address(address):
        raise BackqueryError(
            f"{address} stands for every address of this machine, and the studio answers to one alone; "
            "name the one that visitors will type"
        )
    for number in [USUAL_PORT, 0] if port is None else [port]:
        try:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            return socket.create_server((address, number), family=family, backlog=128)
        except OSError as error:
            reason = str(error.strerror or error)
        except OverflowError as error:
            reason = str(error)
    raise BackqueryError(f"cannot serve on {address}, port {number}: {reason}; choose another port or address")


def authority_of(listener: socket.socket, address: str) -> str:
    """The Host by which a browser asks for what this socket serves, written as browsers write it."""
    port = port_of(listener)
    host = f"[{ip_address(address).compressed}]" if ":" in address else address.lower()
    return host if port == HTTP_PORT else f"{host}:{port}"


def port_of(listener: socket.socket) -> int:
    """The port that was bound."""
    return int(listener.getsockname()[1])


def serve(opened: Opened, listener: socket.socket, address: str, announce: Callable[[Guard], None]) -> None:
    """Serve until SIGINT, which ends it at once and is no error; `announce` is called when browsers may come."""
    guard = Guard(build_app(opened), authority_of(listener, address))
    opened.prepare()
    announce(guard)
    sys.setswitchinterval(SWITCH_SECONDS)
    # Its products are small, and several threads make them: more of BLAS's own would wait for one another.
    with threadpool_limits(1, "blas"), suppress(KeyboardInterrupt):
        _Server(settings(guard)).run(sockets=[listener])


class _Server(uvicorn.Server):
    """A server that waits for nobody when it is told to end."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal is meant."""
        super().handle_exit(sig, frame)
        self.force_exit = True


def settings(guard: Guard) -> uvicorn.Config:
    """How the server is run: no more than this page needs."""
    return uvicorn.Config(
        guard,
        ws="websockets-sansio",
        ws_max_size=FRAME_LIMIT,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )


def _is_every_address(address: str) -> bool:
    try:
        return ip_address(address).is_unspecified
    except ValueError:
        return not address
