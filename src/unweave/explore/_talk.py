"""One connection: of every kind of question only the newest is kept until it is answered."""

import asyncio
import json
import threading
from contextlib import suppress
from typing import Any

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect

from ._answer import slow
from ._explorer import Explorer
from ._messages import MOST_BYTES, Message, Refused, read
from ._reply import lane_of, reply

#: A connection that sends more nonsense than this is closed.
MOST_REFUSALS = 50


class Mailbox:
    """The newest message of every lane, taken in the order in which the lanes came to wait."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], tuple[str, int, Message]] = {}
        self._bell = anyio.Event()

    def put(self, ask: str, seq: int, message: Message) -> None:
        """Keeps the message, and drops an older one of its lane."""
        self._waiting[lane_of(ask, message)] = (ask, seq, message)
        self._bell.set()

    async def take(self) -> tuple[str, int, Message]:
        """Waits for a message."""
        while not self._waiting:
            self._bell = anyio.Event()
            await self._bell.wait()
        return self._waiting.pop(next(iter(self._waiting)))


async def talk(socket: WebSocket, explorer: Explorer, slots: anyio.CapacityLimiter) -> None:
    """Answers the frames of a connection until it is closed. `slots` bounds how many slow
    questions are worked on at once, over all connections."""
    await socket.accept()
    quick, patient, turn = Mailbox(), Mailbox(), anyio.Lock()

    async def send(frame: bytes | dict[str, Any]) -> None:
        async with turn:
            if isinstance(frame, bytes):
                await socket.send_bytes(frame)
            else:
                await socket.send_text(json.dumps(frame))

    async def work(mailbox: Mailbox, limiter: anyio.CapacityLimiter) -> None:
        while True:
            ask, seq, message = await mailbox.take()
            try:
                async with limiter:
                    frame = await _apart(explorer, ask, seq, message)
                await send(frame)
            except (WebSocketDisconnect, RuntimeError):
                return  # the page has gone

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work, quick, anyio.CapacityLimiter(1))
        tasks.start_soon(work, patient, slots)
        await _listen(socket, explorer, quick, patient, send)
        tasks.cancel_scope.cancel()


async def _listen(
    socket: WebSocket, explorer: Explorer, quick: Mailbox, patient: Mailbox, send: Any
) -> None:
    refusals = 0
    while refusals < MOST_REFUSALS:
        event = await socket.receive()
        if event["type"] == "websocket.disconnect":
            return
        text = event.get("text")
        if text is None:
            text = ""  # bytes are no message
        if len(text) > MOST_BYTES:
            await socket.close(1009)
            return
        try:
            ask, seq, message = read(explorer, text)
        except Refused as refusal:
            refusals += 1
            await send({"refused": str(refusal)})
            continue
        (patient if slow(message) else quick).put(ask, seq, message)
    await socket.close(1008)


async def _apart(
    explorer: Explorer, ask: str, seq: int, message: Message
) -> bytes | dict[str, Any]:
    """The answer from a thread that nobody has to wait for when the server ends."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[bytes | dict[str, Any]] = loop.create_future()

    def done(frame: bytes | dict[str, Any]) -> None:
        if not found.done():
            found.set_result(frame)

    def run() -> None:
        frame = reply(explorer, ask, seq, message)
        with suppress(RuntimeError):  # the loop is closed: the server has ended
            loop.call_soon_threadsafe(done, frame)

    threading.Thread(target=run, daemon=True).start()
    return await found
