"""Actors of one process: services with an identity, a mailbox, a life and a supervisor. It knows no connection."""

from penstock.actors._actor import Actor
from penstock.actors._channels import adopt, channel_call, handle_channel
from penstock.actors._host import ActorHost, actor_here, ended_here
from penstock.actors._info import ActorInfo, StreamInfo
from penstock.actors._reactive import StreamConsumer, StreamProducer
from penstock.actors._ref import ActorRef, Message, Router, ask_timeout, checked_address
from penstock.actors._registry import check_name
from penstock.actors._stub import ActorStub, ref, tell
from penstock.actors._supervision import Supervision
from penstock.actors._system import ActorSystem
from penstock.actors.cell import NO_CALLER, Caller, Mailbox, caller_here

__all__ = [
    "NO_CALLER",
    "Actor",
    "ActorHost",
    "ActorInfo",
    "ActorRef",
    "ActorStub",
    "ActorSystem",
    "Caller",
    "Mailbox",
    "Message",
    "Router",
    "StreamConsumer",
    "StreamInfo",
    "StreamProducer",
    "Supervision",
    "actor_here",
    "adopt",
    "ask_timeout",
    "caller_here",
    "channel_call",
    "check_name",
    "checked_address",
    "ended_here",
    "handle_channel",
    "ref",
    "tell",
]
