"""Services with identity, a mailbox, a life and a supervisor. It knows no transport."""

from penstock.actors._actor import Actor
from penstock.actors._info import ActorInfo, DeadLetter, StreamInfo
from penstock.actors._names import check_name
from penstock.actors._reactive import StreamConsumer, StreamProducer
from penstock.actors._system import ActorSystem
from penstock.actors.cell import Mailbox, Supervision, Timer

__all__ = [
    "Actor",
    "ActorInfo",
    "ActorSystem",
    "DeadLetter",
    "Mailbox",
    "StreamConsumer",
    "StreamInfo",
    "StreamProducer",
    "Supervision",
    "Timer",
    "check_name",
]
