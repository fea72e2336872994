"""The explorer as a web application: a page, its description, a socket, and exports."""

import json
import logging
from collections.abc import Mapping

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ._describe import described
from ._explorer import Explorer
from ._export import exported
from ._files import TYPES, page_files
from ._guard import Guard, TooLarge
from ._messages import Refused, read_export
from ._talk import talk

_LOG = logging.getLogger(__name__)
#: So many pages may be open at once, and so many slow questions be worked on.
MOST_PAGES, _SLOW_AT_ONCE = 16, 1


def application(explorer: Explorer, *, token: str, port: int) -> Guard:
    """The application for requests to `127.0.0.1:port` that carry the token."""
    page = _page()
    description = json.dumps(described(explorer)).encode()
    open_pages = 0
    slots = anyio.CapacityLimiter(_SLOW_AT_ONCE)

    async def start(request: Request) -> Response:
        if "token" not in request.query_params:
            return page["index.html"]
        # the token leaves the address, so that it is in no history and no screenshot
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(guard.cookie, token, httponly=True, samesite="strict", path="/")
        return response

    async def file(request: Request) -> Response:
        # looked up, not opened: a name that is not there is nothing
        return page.get(request.path_params["name"]) or PlainTextResponse("No such file.", 404)

    async def describe(request: Request) -> Response:
        return Response(description, media_type="application/json")

    async def export(request: Request) -> Response:
        try:
            text = (await request.body()).decode()
            wanted = read_export(explorer, text)
        except (TooLarge, ClientDisconnect):
            return PlainTextResponse("The request is too large.", 413)
        except (Refused, UnicodeDecodeError) as refusal:
            return PlainTextResponse(str(refusal), 400)
        try:
            made = await to_thread.run_sync(exported, explorer, wanted)
        except Exception:
            # what went wrong is for the terminal; the page goes on
            _LOG.exception("the export %s could not be made", wanted.kind)
            return PlainTextResponse("This could not be made; the terminal says why.", 500)
        disposition = {"Content-Disposition": f'attachment; filename="{made.name}"'}
        return Response(made.content, media_type=made.type, headers=disposition)

    async def socket(websocket: WebSocket) -> None:
        nonlocal open_pages
        if open_pages >= MOST_PAGES:
            await websocket.close(1013)
            return
        open_pages += 1
        try:
            await talk(websocket, explorer, slots)
        finally:
            open_pages -= 1

    routes = [
        Route("/", start),
        Route("/page/{name}", file),
        Route("/describe", describe),
        Route("/export", export, methods=["POST"]),
        WebSocketRoute("/socket", socket),
    ]
    guard = Guard(Starlette(routes=routes), token, port)
    return guard


def _page() -> Mapping[str, Response]:
    """The files of the page by their names, read once."""
    return {
        name: Response(content, media_type=TYPES[name.rpartition(".")[2]])
        for name, content in page_files().items()
    }
