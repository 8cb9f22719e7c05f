"""The chat: methods of each of the four kinds."""

import asyncio
from collections.abc import AsyncIterator

import penstock
import rules
from messages import BatchSummary, ChatJoinRequest, Message, SubscribeRequest, User
from responses import ChatResponse
from room import Room
from talk import talk


class Chat:
    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}

    def _room(self, name: str) -> Room:
        if name not in self.rooms and len(self.rooms) == rules.ROOMS_MAX:
            raise penstock.ResourceExhausted("there are no more rooms")
        return self.rooms.setdefault(name, Room())

    async def send_message(self, message: Message) -> ChatResponse:
        """Say something in a room. An `ack` has the message with its id and timestamp; an `error` says why it is not taken."""
        if wrong := rules.wrong_message(message):
            return ChatResponse(type="error", error_message=wrong, message=message)
        return ChatResponse(type="ack", message=self._room(message.room).add(message))

    async def send_message_batch(self, messages: AsyncIterator[Message]) -> BatchSummary:
        """Say many things, and get one summary at the end."""
        summary = BatchSummary(0, 0, [], 0)
        async for message in messages:
            summary.add(self._room(message.room).add(rules.checked(message)))
        return summary

    async def members(self, room: str) -> list[User]:
        """List those who are in a room, and how many messages each has said there."""
        return [*self.rooms[room].users.values()] if room in self.rooms else []

    async def subscribe_to_room(self, request: SubscribeRequest) -> AsyncIterator[ChatResponse]:
        """Hear a room: first what was said after `since_timestamp`, then what is said from now on, without a gap between."""
        with (room := self._room(rules.named(request).room)).joined(request.user) as (_, source):
            for response in room.since(request.since_timestamp):
                yield response
            async for response in source:
                yield response

    async def join_chat(self, messages: AsyncIterator[Message], join: ChatJoinRequest) -> AsyncIterator[ChatResponse]:
        """Hear what was said, an `ack` with those who are here, and what happens; each message is answered, in their order."""
        with (room := self._room(rules.named(join).room)).joined(join.user) as (sink, source):
            for response in [*room.since(join.since_timestamp), room.present()]:
                yield response
            talking = asyncio.create_task(talk(room, join, messages, sink))
            try:
                async for response in source:
                    yield response
            finally:
                talking.cancel()
