"""The explorer as a widget of a notebook: the same page in a frame, and the kernel answers it."""

import json
import logging
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import anywidget
import numpy as np
import traitlets

from ._answer import slow
from ._describe import described
from ._explorer import Explorer
from ._export import exported
from ._files import one_document, page_files
from ._messages import Message, Refused, read, read_export
from ._reply import lane_of, reply

_LOG = logging.getLogger(__name__)


class ExplorerWidget(anywidget.AnyWidget):
    """The page of the explorer in a notebook; made by `explore.widget`.

    `height` is the frame's, in pixels. `state` is what is shown, as the address of the page tells
    it where a server gives it: it follows the page, and the page follows it. `latents` are the
    values of every model's sliders, by its name.
    """

    _esm = page_files()["notebook.js"].decode()
    height = traitlets.Int(900).tag(sync=True)
    state = traitlets.Unicode("").tag(sync=True)

    def __init__(self, explorer: Explorer, *, height: int = 900):
        super().__init__(height=height)
        self._explorer = explorer
        self._quick, self._patient = _Worker(), _Worker()
        self.on_msg(lambda widget, content, buffers: self._asked(content))

    @property
    def latents(self) -> Mapping[str, np.ndarray]:
        """The latents that the page shows, by the names of the models; none before it has."""
        told = dict(parse_qsl(self.state.lstrip("#")))
        return {
            subject.name: np.array([float(v) for v in told[f"z.{id}"].split(",")])
            for id, subject in self._explorer.subjects.items()
            if f"z.{id}" in told
        }

    def close(self) -> None:
        """Ends the threads that answer, and removes the widget."""
        self._quick.end()
        self._patient.end()
        super().close()

    def _asked(self, content: Mapping[str, Any]) -> None:
        """One message of a page: what is no message is nothing."""
        call, body = content.get("call"), content.get("body")
        where = {"view": content.get("view"), "id": content.get("id"), "call": call}
        if call == "page":
            self.send({**where, "body": one_document()})
        elif call == "describe":
            known = {"info": described(self._explorer), "fragment": self.state}
            self.send({**where, "body": known})
        elif call == "export" and isinstance(body, str):
            self._patient.put(("export", str(where["id"])), lambda: self._export(body, where))
        elif call == "ask" and isinstance(body, str):
            self._ask(body, {**where, "call": "frame"})

    def _ask(self, body: str, where: Mapping[str, Any]) -> None:
        try:
            ask, seq, message = read(self._explorer, body)
        except Refused as refusal:
            self.send({**where, "body": json.dumps({"refused": str(refusal)})})
            return
        worker = self._patient if slow(message) else self._quick
        lane = (*lane_of(ask, message), str(where["view"]))
        worker.put(lane, lambda: self._answer(ask, seq, message, where))

    def _answer(self, ask: str, seq: int, message: Message, where: Mapping[str, Any]) -> None:
        frame = reply(self._explorer, ask, seq, message)
        if isinstance(frame, bytes):
            self.send(dict(where), [frame])
        else:
            self.send({**where, "body": json.dumps(frame)})

    def _export(self, body: str, where: Mapping[str, Any]) -> None:
        try:
            made = exported(self._explorer, read_export(self._explorer, body))
        except Exception:
            # what went wrong is for the log; the page goes on
            _LOG.exception("an export of the page could not be made")
            self.send({**where, "body": {}})
            return
        self.send({**where, "body": {"type": made.type}}, [made.content])


class _Worker:
    """A thread that works on the newest of every lane, so that fast moves do not queue up."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, ...], Any] = {}
        self._bell, self._ended = threading.Condition(), False
        threading.Thread(target=self._run, daemon=True).start()

    def put(self, lane: tuple[str, ...], work: Any) -> None:
        """Work to be done, in place of older work of its lane."""
        with self._bell:
            self._waiting[lane] = work
            self._bell.notify()

    def end(self) -> None:
        """Nothing more is worked on."""
        with self._bell:
            self._ended = True
            self._bell.notify()

    def _run(self) -> None:
        while True:
            with self._bell:
                self._bell.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    return
                work = self._waiting.pop(next(iter(self._waiting)))
            work()
