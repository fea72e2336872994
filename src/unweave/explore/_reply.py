"""From a question to the frame that answers it, whichever way it came: lanes of questions, of
which only the newest counts, and what is said where there is no answer."""

import logging
from typing import Any

from ._answer import answer
from ._explorer import Explorer
from ._frames import packed
from ._messages import Message

_LOG = logging.getLogger(__name__)
_MOVES = ("turn", "encode", "between", "swap", "sample")


def lane_of(ask: str, message: Message) -> tuple[str, str]:
    """Whatever moves the sliders of a model is one lane: the last of them wins."""
    return ("move" if ask in _MOVES else ask, message.subject.id)


def reply(explorer: Explorer, ask: str, seq: int, message: Message) -> bytes | dict[str, Any]:
    """The frame of an answer, or why there is none."""
    where = {"ask": ask, "seq": seq, "model": message.subject.id}
    try:
        return packed(ask, seq, message.subject.id, answer(explorer, message))
    except (ValueError, TypeError, ArithmeticError) as error:
        return {"refused": " ".join(str(error).split()) or "this cannot be computed.", **where}
    except Exception:
        # what went wrong is for the terminal; the page goes on
        _LOG.exception("the question '%s' of the page could not be answered", ask)
        return {"refused": "this could not be computed; the terminal says why.", **where}
