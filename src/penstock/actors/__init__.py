"""Actors of one process: services with an identity, a mailbox, a life and a supervisor. It knows no connection."""

from penstock.actors._actor import Actor
from penstock.actors._host import ActorHost, actor_here
from penstock.actors._info import ActorInfo, StreamInfo, info_of, streams_of
from penstock.actors._reactive import StreamConsumer, StreamProducer
from penstock.actors._ref import ActorRef, Message, Router, VerbOptions, checked_address
from penstock.actors._registry import check_name
from penstock.actors._stub import ActorStub, ref, tell
from penstock.actors._supervision import Supervision
from penstock.actors._system import ActorSystem
from penstock.actors.cell import Mailbox, caller_here
from penstock.actors.local import adopt, channel_call, handle_channel

__all__ = [
    "Actor",
    "ActorHost",
    "ActorInfo",
    "ActorRef",
    "ActorStub",
    "ActorSystem",
    "Mailbox",
    "Message",
    "Router",
    "StreamConsumer",
    "StreamInfo",
    "StreamProducer",
    "Supervision",
    "VerbOptions",
    "actor_here",
    "adopt",
    "caller_here",
    "channel_call",
    "check_name",
    "checked_address",
    "handle_channel",
    "info_of",
    "ref",
    "streams_of",
    "tell",
]
