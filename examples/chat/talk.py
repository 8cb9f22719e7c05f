"""One side of a conversation: what somebody says in a room, each message with its answer."""

from collections.abc import AsyncIterator

import penstock
import rules
from messages import ChatJoinRequest, Message
from responses import ChatResponse
from room import Room


async def talk(
    room: Room, join: ChatJoinRequest, messages: AsyncIterator[Message], answers: penstock.Sink[ChatResponse]
) -> None:
    """Keep the messages of a stream, to its end, and answer each. One who does not read the answers is not read either."""
    try:
        async for message in messages:
            if wrong := rules.wrong_message(message, join):
                await answers.send(ChatResponse(type="error", error_message=wrong, message=message))
            else:
                await answers.send(ChatResponse(type="ack", message=room.add(message)))
        answers.close()  # who has no more to say hears no more
    except penstock.StreamClosed:
        pass  # this listener was too far behind, and was told
    except penstock.StatusError as error:
        answers.fail(error)  # an item that does not fit, say: the caller gets it as the outcome of the call
