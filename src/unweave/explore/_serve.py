"""Serving the explorer on this machine until it is interrupted."""

import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np

from ._answer import answer
from ._explorer import Explorer
from ._extras import check_packages
from ._messages import Sample, Turn

_NEEDED = ("starlette", "uvicorn", "websockets", "plotly")
_HOST = "127.0.0.1"
_PATIENCE = 30.0


def check_installed() -> None:
    """Raises `ValueError` where a package that the explorer needs is missing, with the line that
    installs it."""
    check_packages("the explorer", _NEEDED, "explore")


def warm(explorer: Explorer) -> None:
    """Compiles what the first move of every slider would wait for."""
    for subject in explorer.subjects.values():
        message = Sample(subject, 0 if len(explorer.observations) else None, None, 0)
        first = answer(explorer, message)
        answer(explorer, Turn(subject, message.on, None, np.asarray(first.plain["z"])))


def serve(
    explorer: Explorer,
    *,
    port: int = 0,
    browser: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Serves the explorer on 127.0.0.1 until Ctrl-C.

    **Arguments:** `port`, 0 for one that is free; `browser`, whether to open one; `say` is told
    the address.

    **Raises:** `ValueError` where a package is missing, `OSError` where the port is taken.
    """
    server, address = _server(explorer, port)
    say(address)
    if browser:
        webbrowser.open(address)
    with suppress(KeyboardInterrupt):
        server[0].run(sockets=[server[1]])


@contextmanager
def served(explorer: Explorer, *, port: int = 0) -> Iterator[str]:
    """Serves the explorer from a thread, for as long as the block runs; gives its address."""
    (server, bound), address = _server(explorer, port)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    try:
        yield address
    finally:
        server.should_exit = True
        thread.join(_PATIENCE)


def _server(explorer: Explorer, port: int):
    check_installed()
    import uvicorn

    from ._messages import MOST_BYTES
    from ._server import application

    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((_HOST, port))
    except OSError as error:
        bound.close()
        raise ValueError(
            f"port {port} of {_HOST} cannot be had ({error.strerror}); give another --port, or "
            "none for one that is free."
        ) from None
    # whoever is told the address may call before the server runs: the call waits
    bound.listen()
    own = bound.getsockname()[1]
    token = secrets.token_urlsafe(32)
    config = uvicorn.Config(
        application(explorer, token=token, port=own), log_level="critical", ws_max_size=MOST_BYTES,
        h11_max_incomplete_event_size=MOST_BYTES, timeout_graceful_shutdown=2, lifespan="off",
        server_header=False, ws_ping_interval=20.0, ws="websockets-sansio",
    )  # fmt: skip
    return (uvicorn.Server(config), bound), f"http://{_HOST}:{own}/?token={token}"
