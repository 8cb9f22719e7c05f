"""The records of all subscriptions. Each is the one item of a retained stream, so it is as durable as the streams are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from penstock.codec import MSGPACK
from penstock.errors import ResourceExhausted
from penstock.retention import Notes, Retained, Streams, append_all, made_for_others, page_of
from penstock.web.durable_streams._seen import RESERVED, offset_token
from penstock.web.durable_streams._settings import StreamsOverHttp
from penstock.web.durable_streams.subscriptions._record import BEFORE_ALL, SubscriptionRecord, Wanted, link, matches

#: The names of the streams that keep the records.
RECORDS: Final = f"{RESERVED}subscriptions/"
RECORD_BYTES_MAX: Final = 4 * 1024 * 1024
#: Streams of one subscription. A pattern that matches more does not link those.
LINKS_MAX: Final = 1_024

_record_in: Final = MSGPACK.decode_for(SubscriptionRecord).value


class Records:
    """The subscriptions to the streams of one event loop, by their ids.

    streams: those streams. named: the records.
    """

    def __init__(self, streams: Streams, settings: StreamsOverHttp) -> None:
        self.streams = streams
        self.named: dict[str, SubscriptionRecord] = {}
        self._settings = settings

    async def load(self) -> None:
        """Take up the subscriptions of an earlier run of the program."""
        for name, stream in tuple(self.streams.named.items()):
            kept = stream._kept
            if name.startswith(RECORDS) and kept.readable_to > kept.oldest and not kept.notes.deleted:
                record: SubscriptionRecord = _record_in((await page_of(kept, kept.readable_to - 1, 1))[0])
                self.named[record.id] = record

    def tail_of(self, name: str) -> str:
        """Return the offset of the end of a stream."""
        stream = self.streams.named.get(name)
        if stream is None or stream._kept.notes.deleted:
            return BEFORE_ALL
        return offset_token(stream._kept, stream._kept.readable_to)

    async def make(self, name: str, wanted: Wanted, base: str) -> SubscriptionRecord:
        """Make a subscription, which begins at the present ends of its streams. Raises `ResourceExhausted`, `ValueError`."""
        if len(self.named) >= self._settings.subscriptions_max:
            raise ResourceExhausted(f"there are {len(self.named)} subscriptions (subscriptions_max)")
        record = SubscriptionRecord(name, wanted, base, datetime.now(UTC).isoformat(timespec="milliseconds"), {})
        link(record, wanted.streams, self.tail_of, explicit=True)
        if wanted.pattern is not None:
            found = [name for name in self.streams.named if not name.startswith(RESERVED) and matches(wanted.pattern, name)]
            link(record, found[: LINKS_MAX - len(record.links)], self.tail_of, explicit=False)
        self.named[name] = record
        await self.save(record)._kept.flush()
        return record

    def save(self, record: SubscriptionRecord) -> Retained[Any]:
        """Write a record, soon. Return its stream."""
        name, durable = f"{RECORDS}{record.id}", self._settings.durable
        stream = self.streams.named.get(name)
        if stream is None:
            notes = Notes(content_type="application/json")
            stream = made_for_others(self.streams, name, notes, durable=durable, max_items=1, max_bytes=RECORD_BYTES_MAX)
        append_all(stream, [record])
        return stream

    async def delete(self, record: SubscriptionRecord) -> None:
        """Delete a subscription."""
        del self.named[record.id]
        await self.streams.lives.delete(self.streams.named[f"{RECORDS}{record.id}"])
