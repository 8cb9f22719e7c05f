"""What is called by address: refs, stubs and the router's verbs, wherever the actor lives. It never runs one."""

from penstock.rpc.addressed._cancel import CancelToken
from penstock.rpc.addressed._events import StreamEvent
from penstock.rpc.addressed._here import NOBODY, Caller, here
from penstock.rpc.addressed._message import Message
from penstock.rpc.addressed._payload import arguments_of
from penstock.rpc.addressed._ref import (
    ASK_TIMEOUT_S,
    ActorRef,
    AskOptions,
    ChannelOptions,
    PortOptions,
    Router,
)
from penstock.rpc.addressed._stream import Stream
from penstock.rpc.addressed._stub import ActorStub, ref, tell
from penstock.rpc.addressed._wire import (
    ARGUMENTS,
    PAYLOAD,
    LaneError,
    LaneMessage,
    LaneReply,
    ShortMessage,
    ShortReply,
    arguments_in,
)

__all__ = [
    "ARGUMENTS",
    "ASK_TIMEOUT_S",
    "NOBODY",
    "PAYLOAD",
    "ActorRef",
    "ActorStub",
    "AskOptions",
    "Caller",
    "CancelToken",
    "ChannelOptions",
    "LaneError",
    "LaneMessage",
    "LaneReply",
    "Message",
    "PortOptions",
    "Router",
    "ShortMessage",
    "ShortReply",
    "Stream",
    "StreamEvent",
    "arguments_in",
    "arguments_of",
    "here",
    "ref",
    "tell",
]
