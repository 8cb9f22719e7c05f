"""The chat: one method of each of the four kinds."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

import penstock
from messages import BatchSummary, ChatResponse, Message, SubscribeRequest
from room import Room


class Chat:
    def __init__(self) -> None:
        self.rooms: defaultdict[str, Room] = defaultdict(Room)

    async def send_message(self, message: Message) -> ChatResponse:
        """Say something in a room; the answer is the message with its id and timestamp."""
        self.rooms[message.room].add(message)
        return ChatResponse(type="message", message=message)

    async def send_message_batch(self, messages: AsyncIterator[Message]) -> BatchSummary:
        """Say many things, and get one summary at the end."""
        summary = BatchSummary(0, 0, [], 0)
        async for message in messages:
            await self.send_message(message)
            summary.total_messages += 1
            summary.total_characters += len(message.content)
            summary.users = sorted({*summary.users, message.user})
            summary.timestamp = message.timestamp
        return summary

    async def subscribe_to_room(self, request: SubscribeRequest) -> AsyncIterator[ChatResponse]:
        """Hear a room: first what was said after `since_timestamp`, then what is said from now on, without a gap between."""
        with (room := self.rooms[request.room]).joined(request.user) as (_, source):
            for response in room.since(request.since_timestamp):
                yield response
            async for response in source:
                yield response

    async def join_chat(self, messages: AsyncIterator[Message]) -> AsyncIterator[ChatResponse]:
        """Talk and hear at the same time. The first message says who joins which room; its content is not shown."""
        first = await anext(messages, None)
        if first is None:
            raise penstock.InvalidArgument("the first message says who joins which room")
        with self.rooms[first.room].joined(first.user) as (sink, source):
            sink.send_nowait(ChatResponse(type="ack"))
            talking = asyncio.create_task(self._talk(messages, sink))
            try:
                async for response in source:
                    yield response
            finally:
                talking.cancel()

    async def _talk(self, messages: AsyncIterator[Message], sink: penstock.Sink[ChatResponse]) -> None:
        try:
            async for message in messages:
                await self.send_message(message)
            sink.close()  # who has no more to say hears no more
        except penstock.StatusError as error:
            sink.fail(error)  # an item that does not fit, say: the caller gets it as the outcome of the call
