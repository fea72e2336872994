"""Who may talk to the explorer: whoever has its token, from its own page, by its own address."""

import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ._messages import MOST_BYTES

#: No script, style, picture or connection but the page's own; nobody frames it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """Answers for an application what it must not see, and adds the headers to what it answers.

    **Arguments:** `app`; `token`; `port`, at which the page is.
    """

    def __init__(self, app: ASGIApp, token: str, port: int):
        self._app = app
        self._token = token.encode()
        self._hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost")}
        self.cookie = f"unweave-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None and scope["type"] == "http":
            await self._app(scope, _bounded(receive), _with_headers(send))
        elif refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _refuse(*refusal, _with_headers(send))
        else:
            # before it is accepted a websocket is closed with status 403
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = scope["headers"]
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return 400, "This host is not the explorer's."
        method = scope.get("method", "GET")
        if method not in ("GET", "HEAD", "POST"):
            return 405, "The explorer knows GET and POST."
        if scope["type"] == "websocket" or method == "POST":
            origins = [value for name, value in headers if name == b"origin"]
            if origins != [b"http://" + hosts[0]]:
                return 403, "The request comes from another page."
        if not self._has_token(scope):
            return 403, "The token is missing or wrong; open the address that unweave printed."
        lengths = [value for name, value in headers if name == b"content-length"]
        if any(not value.isdigit() or int(value[:12]) > MOST_BYTES for value in lengths):
            return 413, "The request is too large."
        return None

    def _has_token(self, scope: Scope) -> bool:
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [])
        for name, value in scope["headers"]:
            if name == b"cookie":
                given += self._cookies(value)
        # every one is compared, and each in the same time
        return any([hmac.compare_digest(one.encode(), self._token) for one in given])

    def _cookies(self, header: bytes) -> list[str]:
        try:
            cookies = SimpleCookie(header.decode("latin-1"))
        except CookieError:
            return []
        return [cookies[self.cookie].value] if self.cookie in cookies else []


class TooLarge(ValueError):
    """A body that is longer than it may be, whatever its header said."""


def _bounded(receive: Receive) -> Receive:
    """Reads at most `MOST_BYTES`, also of a body that does not say how long it is."""
    total = 0

    async def bounded() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > MOST_BYTES:
            raise TooLarge
        return message

    return bounded


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *HEADERS]
        await send(message)

    return sent


async def _refuse(status: int, sentence: str, send: Send) -> None:
    body = sentence.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"),
               (b"content-length", str(len(body)).encode())]  # fmt: skip
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
