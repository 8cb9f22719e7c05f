/** What each frame does that arrives over one link. A broken rule is thrown as a `Violation`. */
import { Assembly } from "./assembly.ts";
import type { Connection } from "./connection.ts";
import { Decoder, FIRST_BODY_MAX } from "./decoder.ts";
import type { Event } from "./events.ts";
import {
  ACCEPT,
  ACK,
  CANCEL,
  COMPRESSED,
  CREDIT,
  END,
  type Frame,
  GOAWAY,
  HEADER_BYTES,
  HELLO,
  type Hello,
  isForUs,
  isOfLink,
  ITEMS,
  LAST,
  MORE,
  NUMBER_MAX,
  OPEN,
  PING,
  PONG,
  readBody,
  readItems,
  RESUMED,
  STATUS,
  TYPE_NAMES,
  writeFrame,
} from "./frames.ts";
import { inflated } from "./compression.ts";
import { Stream } from "./stream.ts";
import { Violation } from "./violation.ts";

/** A batch may be this much larger than the largest item (4.4). */
const BATCH_BYTES = 65_536;
const MSGPACK = 0;
/** How many answers may wait for a peer that asks and does not read (10.5). */
const ANSWERS_MAX = 32_768;
/** The reasons of the codes with which a stream is refused here (6.4). */
const REASONS: Record<number, string> = { 8: "resource_exhausted", 12: "unimplemented", 14: "unavailable" };

export class Inbound {
  readonly #connection: Connection;
  readonly #decoder = new Decoder();
  #events: Event[] = [];
  #isGreeted = false;
  /** OPENs that are not whole, and those of them that were refused: their rest is ignored (10.4). */
  readonly #openings = new Map<number, Assembly | null>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  receive(bytes: Uint8Array, events: Event[]): void {
    this.#events = events;
    this.#decoder.push(bytes);
    while (!this.#connection.isOver) {
      const frame = this.#decoder.next();
      if (frame === undefined) return;
      if (isForUs(frame)) this.#act(frame);
      if (!isOfLink(frame.type)) this.#connection.received += HEADER_BYTES + frame.body.length;
    }
  }

  #act(frame: Frame): void {
    const { type, body } = frame;
    const connection = this.#connection;
    const isFirst = type === HELLO || (type === GOAWAY && connection.isClient);
    if (!isFirst && !this.#isGreeted) throw new Violation("2.1", `${TYPE_NAMES[type]} before HELLO`);
    if (type !== OPEN && type !== ITEMS && type !== HELLO && body.length > connection.settings.max_header_bytes)
      throw new Violation("10.2", `${TYPE_NAMES[type]} of ${body.length} bytes`);
    if (connection.outbox.answers > ANSWERS_MAX) throw new Violation("10.5", `${ANSWERS_MAX} answers wait to be read`);
    if (frame.stream > 0) return this.#ofStream(frame);
    switch (type) {
      case HELLO:
        return this.#hello(frame);
      case PING:
        connection.outbox.sendOfLink(writeFrame(PONG, 0, readBody(PING, body)));
        return connection.acknowledge();
      case PONG:
        readBody(PONG, body);
        return;
      case GOAWAY:
        return this.#goaway(frame);
      case ACK:
        return connection.outbox.sequence.acknowledge(readBody(ACK, body).received);
      default:
        return this.#resumed(frame);
    }
  }

  // Frames of the connection.

  #hello({ body }: Frame): void {
    if (this.#isGreeted) throw new Violation("2.3", "a second HELLO");
    const hello = readBody(HELLO, body);
    if (hello.magic !== "penstock") throw new Violation("2.2", "another magic word");
    if (hello.version < 1) throw new Violation("2.2", `version ${hello.version}`);
    this.#isGreeted = true;
    this.#decoder.bodyMax = Math.max(FIRST_BODY_MAX, this.#connection.settings.max_frame_bytes);
    const { isAsking } = this.#connection;
    this.#connection.greeted(hello);
    if (!isAsking) this.#begin(hello);
    else if (hello.keep_ms === 0) this.#refused("it keeps no session", hello);
  }

  #begin(hello: Hello): Stream[] {
    const lost = this.#connection.beginSession();
    this.#events.push({ type: "Ready", hello });
    return lost;
  }

  #resumed({ body }: Frame): void {
    const { code, received, message } = readBody(RESUMED, body);
    const connection = this.#connection;
    const { peer } = connection;
    if (!connection.isAsking || !connection.isClient || peer === undefined) return;
    if (code !== 0) return this.#refused(message, peer);
    connection.wentOn(received);
    this.#events.push({ type: "WentOn" });
  }

  #refused(message: string, hello: Hello): void {
    const refused = { type: "Refused" as const, message, lost: [] as Stream[] };
    this.#events.push(refused);
    refused.lost = this.#begin(hello);
  }

  #goaway({ body }: Frame): void {
    const goaway = readBody(GOAWAY, body);
    const connection = this.#connection;
    if (goaway.code !== 0) {
      connection.isOver = true;
      this.#events.push({ type: "Gone", goaway });
    } else if (!connection.isDrained) {
      connection.isDrained = true;
      this.#events.push({ type: "Draining", goaway });
    }
  }

  // Frames of a stream.

  #ofStream(frame: Frame): void {
    const { type, stream: id } = frame;
    if (type === OPEN) return this.#open(frame);
    const opening = this.#openings.get(id);
    if (opening) return this.#betweenFragments(frame);
    const stream = this.#connection.streams.get(id);
    if (stream === undefined) return this.#late(frame);
    switch (type) {
      case ACCEPT:
        return this.#accept(frame, stream);
      case ITEMS:
        return this.#items(frame, stream);
      case CREDIT:
        return this.#credit(frame, stream);
      case END:
        return this.#end(frame, stream);
      case STATUS:
        return this.#status(frame, stream);
      default:
        return this.#cancel(frame, stream);
    }
  }

  /** A frame of a stream that is over is ignored; its body is checked all the same (3.5). */
  #late({ type, stream: id, body }: Frame): void {
    if (id > NUMBER_MAX || !this.#connection.wasOpened(id))
      throw new Violation("3.3", `${TYPE_NAMES[type]} on stream ${id}, not opened`);
    if (type === ITEMS) readItems(body);
    else readBody(type as typeof STATUS, body);
  }

  #open({ flags, stream: id, body }: Frame): void {
    const connection = this.#connection;
    const opening = this.#openings.get(id);
    if (opening === undefined) this.#judgeId(id);
    if (opening === null) {
      if (!(flags & MORE)) this.#openings.delete(id);
      return;
    }
    const { max_item_bytes, max_header_bytes, max_streams } = connection.settings;
    if (!(flags & MORE) && opening === undefined) return this.#opened(id, flags, body);
    const assembly = opening ?? new Assembly(flags);
    assembly.add(flags, body, max_item_bytes + max_header_bytes);
    if (this.#openings.size > max_streams) throw new Violation("10.4", "too many unfinished OPENs");
    this.#openings.set(id, assembly);
    if (connection.held + assembly.size > connection.settings.max_connection_bytes) this.#refuseUnfinished(id);
    else if (!(flags & MORE)) {
      this.#openings.delete(id);
      this.#opened(id, flags, assembly.whole());
    }
  }

  #judgeId(id: number): void {
    const connection = this.#connection;
    const isTheirs = id % 2 === (connection.isClient ? 0 : 1);
    if (!isTheirs || id <= connection.highest || id > NUMBER_MAX)
      throw new Violation("3.2", `OPEN with the id ${id}, after ${connection.highest}`);
    connection.highest = id;
  }

  #refuseUnfinished(id: number): void {
    this.#openings.set(id, null);
    this.#refuse(id, 8, "items do not fit into maxConnectionBytes");
  }

  #opened(id: number, flags: number, body: Uint8Array): void {
    const open = readBody(OPEN, body);
    const connection = this.#connection;
    const { max_header_bytes, max_item_bytes } = connection.settings;
    if (((open.kind & 1) === 0) !== ((flags & LAST) !== 0)) throw new Violation("3.6", `LAST on an OPEN of kind ${open.kind}`);
    const argumentBytes = open.argument?.length ?? 0;
    if (body.length - argumentBytes > max_header_bytes) return this.#refuse(id, 8, "OPEN is over max_header_bytes");
    if (argumentBytes > max_item_bytes) return this.#refuse(id, 8, "the argument is over max_item_bytes");
    if (this.#countTheirs() >= connection.settings.max_streams) return this.#refuse(id, 8, "max_streams are open");
    if (open.codec !== MSGPACK) return this.#refuse(id, 12, `codec ${open.codec} is unknown here`);
    if (connection.isDraining) return this.#refuse(id, 14, "this side drains");
    const stream = new Stream(false, open.kind, open.priority, { items: open.credit_items, bytes: open.credit_bytes });
    stream.id = id;
    stream.theirState = stream.judge(OPEN, flags);
    connection.streams.set(id, stream);
    this.#events.push({ type: "Opened", stream, open });
  }

  #countTheirs(): number {
    let count = 0;
    for (const stream of this.#connection.streams.values()) if (!stream.isOurs) count += 1;
    return count;
  }

  #refuse(id: number, code: number, message: string): void {
    const reason = REASONS[code] ?? "";
    this.#connection.outbox.send(
      writeFrame(STATUS, id, { code, reason, message, details: Uint8Array.of(0x80), started: false, count: 0 }),
    );
  }

  /** Between the fragments of an OPEN nothing of its stream may come but CANCEL (4.5). */
  #betweenFragments({ type, stream: id, body }: Frame): void {
    if (type !== CANCEL) throw new Violation("3.4", `${TYPE_NAMES[type]} between the fragments of an OPEN`);
    readBody(CANCEL, body);
    this.#openings.delete(id);
  }

  #accept({ body }: Frame, stream: Stream): void {
    const next = stream.judge(ACCEPT, 0);
    const accept = readBody(ACCEPT, body);
    stream.theirState = next;
    stream.sending.grant({ items: accept.credit_items, bytes: accept.credit_bytes, consumed: 0 });
    this.#connection.outbox.wake(stream);
    this.#events.push({ type: "Accepted", stream, accept });
  }

  #items({ flags, body }: Frame, stream: Stream): void {
    const { offset, count, payload } = readItems(body);
    if (count === 0) throw new Violation("4.2", "ITEMS with no item");
    const ledger = stream.receiving;
    if (stream.assembly === undefined && ledger?.hasHad(offset, count)) return;
    const next = stream.judge(ITEMS, flags);
    if (ledger === undefined) throw new Violation("3.4", "ITEMS of a kind that has no requests");
    if (stream.assembly === undefined) ledger.admit(offset, count);
    const { max_item_bytes, max_connection_bytes } = this.#connection.settings;
    const bytesMax = max_item_bytes + BATCH_BYTES;
    let whole: Uint8Array = payload.slice(); // not a view of what the link has read, which is larger
    if (flags & MORE || stream.assembly !== undefined) {
      stream.assembly ??= new Assembly(flags, offset, count);
      stream.assembly.add(flags, payload, bytesMax, offset, count);
      if (this.#connection.held + stream.assembly.size > max_connection_bytes) return this.#overBudget(stream);
      if (flags & MORE) return;
      whole = stream.assembly.whole();
      stream.assembly = undefined;
    }
    if (flags & COMPRESSED) whole = inflated(whole, this.#connection.settings.decompress, bytesMax);
    if (whole.length > bytesMax) throw new Violation("4.6", `a batch of ${whole.length} bytes`);
    judgeArray(whole, count);
    ledger.arrived(count, whole.length);
    stream.theirState = next;
    if (this.#connection.held + whole.length > max_connection_bytes) return this.#overBudget(stream);
    this.#deliver(stream, count, whole);
    if (flags & LAST) this.#ended(stream);
  }

  #deliver(stream: Stream, count: number, payload: Uint8Array): void {
    if (stream.hasStopped && !stream.isOurs) return;
    this.#connection.hold(stream, payload.length);
    this.#events.push({ type: "ItemsArrived", stream, count, payload });
  }

  #overBudget(stream: Stream): void {
    const connection = this.#connection;
    const message = "items do not fit into maxConnectionBytes";
    this.#events.push({ type: "OverBudget", stream });
    if (stream.isOurs) return connection.cancel(stream, { code: 8, reason: "resource_exhausted", message });
    stream.outgoing.drop();
    return connection.answer(stream, { code: 8, reason: "resource_exhausted", message });
  }

  #credit({ body }: Frame, stream: Stream): void {
    const next = stream.judge(CREDIT, 0);
    const credit = readBody(CREDIT, body);
    stream.theirState = next;
    if (stream.isOurs && !stream.hasRequests) return;
    stream.sending.grant(credit);
    this.#connection.outbox.wake(stream);
    this.#events.push({ type: "RoomMade", stream });
  }

  #end({ body }: Frame, stream: Stream): void {
    const end = readBody(END, body);
    const next = stream.judge(END, 0, end.reason !== null);
    this.#judgeCount(stream, "END", end.count);
    stream.theirState = next;
    if (stream.isOurs) this.#events.push({ type: "HalfClosed", stream });
    else if (end.reason === null) this.#ended(stream);
    else {
      this.#connection.forget(stream);
      this.#events.push({ type: "Closed", stream, reason: end.reason });
    }
  }

  #status({ body }: Frame, stream: Stream): void {
    const next = stream.judge(STATUS, 0);
    const status = readBody(STATUS, body);
    if (status.code === 0) this.#judgeCount(stream, "STATUS", status.count);
    stream.theirState = next;
    this.#connection.forget(stream);
    this.#events.push({ type: "Ended", stream, status });
  }

  #judgeCount(stream: Stream, name: string, count: number): void {
    if (stream.assembly !== undefined) throw new Violation("4.5", `${name} between the fragments of a batch`);
    const arrived = stream.receiving?.items ?? 0;
    if (count !== arrived) throw new Violation("6.2", `${name} counts ${count} items, not ${arrived}`);
  }

  #cancel({ body }: Frame, stream: Stream): void {
    const next = stream.judge(CANCEL, 0);
    const cancel = readBody(CANCEL, body);
    stream.theirState = next;
    if (stream.isOurs) {
      stream.hasStopped = true;
      stream.outgoing.drop();
      this.#events.push({ type: "StopSending", stream, cancel });
    } else {
      this.#connection.forget(stream);
      this.#events.push({ type: "CallCancelled", stream, cancel });
    }
  }

  /** The flag LAST, or an END: the direction of the other side has ended, and with the callee's the stream. */
  #ended(stream: Stream): void {
    if (stream.isOver) this.#connection.forget(stream);
    this.#events.push({ type: "Ended", stream, status: null });
  }
}

/** In msgpack the array must have as many items as the prefix says (4.9). */
function judgeArray(payload: Uint8Array, count: number): void {
  const isArray = payload.length >= 5 && payload[0] === 0xdd;
  const said = isArray ? new DataView(payload.buffer, payload.byteOffset).getUint32(1) : 0;
  if (said !== count) throw new Violation("4.9", `an array of ${said} items, not ${count}`);
}
