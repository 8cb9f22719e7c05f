/**
 * The whole protocol without I/O: bytes and commands in, events and bytes out. It reads no clock and waits for nothing.
 *
 * A `Connection` is one session over its links, one after the other. `beginLink` starts each of them; `receive` takes what
 * arrives, `output` gives what is to be written. What each frame does is in `inbound.ts`, the order of frames in `outbox.ts`.
 */
import type { Event } from "./events.ts";
import {
  ACK,
  CANCEL,
  type Cancel,
  END,
  GOAWAY,
  HELLO,
  type Hello,
  NO_BYTES,
  type Open,
  OPEN,
  PING,
  STATUS,
  type Status,
  writeFrame,
} from "./frames.ts";
import { Inbound } from "./inbound.ts";
import type { Window } from "./ledgers.ts";
import { encode } from "./msgpack/index.ts";
import { Outbox } from "./outbox.ts";
import type { Settings } from "./settings.ts";
import { Stream } from "./stream.ts";
import { Violation } from "./violation.ts";

/** ACK goes with other bytes when so much has arrived since the last one, and alone when so much (9.4). */
const ACK_WITH_BYTES = 262_144;
const ACK_ALONE_BYTES = 2_097_152;

/** What a caller says in its OPEN, without what the connection adds. */
export interface Opening extends Pick<Open, "target" | "kind" | "argument" | "metadata" | "priority"> {
  /** How many milliseconds are left when the OPEN leaves; null without a deadline. */
  deadlineMs(): number | null;
  /** What the callee may send ahead. */
  window: Window;
  /** What this side wishes to send ahead itself (5.8). */
  wish: Window | undefined;
}

export class Connection {
  readonly settings: Settings;
  /** What the other side has said over the present link, and said last. */
  peer: Hello | undefined;
  /** Whether frames of the session may be written and read over the present link. */
  isOpen = false;
  /** Whether nothing goes on any more: a violation, a goodbye. */
  isOver = false;
  /** Whether the other side takes no new streams (8.2). */
  isDrained = false;
  /** Whether this side takes none. */
  isDraining = false;
  readonly streams = new Map<number, Stream>();
  readonly outbox: Outbox;
  /** The position up to which this side has the sequence of the other. */
  received = 0;
  /** By what the server may know this side (2.8). */
  credentials = "";
  /** The highest stream id of the other side. */
  highest = 0;
  /** How many bytes the streams hold together (10.8). */
  held = 0;
  #nextId: number;
  #told = 0;
  #token: Uint8Array = NO_BYTES;
  #inbound: Inbound;

  constructor(settings: Settings) {
    this.settings = settings;
    this.#nextId = this.isClient ? 1 : 2;
    this.outbox = new Outbox(this);
    this.#inbound = new Inbound(this);
  }

  get isClient(): boolean {
    return this.settings.role === "client";
  }

  /** Whether the session outlives its link: both sides keep it (9.1), and neither drains (9.9). */
  get isLasting(): boolean {
    return !this.isOver && !this.isDrained && !this.isDraining && this.#token.length > 0 && this.keepMs > 0;
  }

  /** For how long the session is kept without a link: the shorter of the two times (9.1). */
  get keepMs(): number {
    return Math.min(this.settings.keep_ms, this.peer?.keep_ms ?? 0);
  }

  /** Whether this link has asked for a session and has no answer yet. */
  get isAsking(): boolean {
    return !this.isOpen && this.#token.length > 0;
  }

  /** Begin a link: the first one, or one over which the session goes on. */
  beginLink(): void {
    this.isOpen = false;
    this.#inbound = new Inbound(this);
    const { settings } = this;
    this.outbox.beginLink(
      writeFrame(HELLO, 0, {
        magic: "penstock",
        version: 1,
        max_frame_bytes: settings.max_frame_bytes,
        max_item_bytes: settings.max_item_bytes,
        max_header_bytes: settings.max_header_bytes,
        max_streams: settings.max_streams,
        compressions: Object.keys(settings.decompress),
        agent: settings.agent,
        keep_ms: settings.keep_ms,
        token: this.#token,
        instance: settings.instance,
        received: this.received,
        credentials: this.credentials,
      }),
    );
  }

  /** Take bytes that have arrived over the present link, and return what they mean. */
  receive(bytes: Uint8Array): Event[] {
    const events: Event[] = [];
    if (this.isOver) return events;
    try {
      this.#inbound.receive(bytes, events);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.isOver = true;
      this.outbox.sayGoodbye(this.#goaway(13, error.message), !this.isOpen);
      events.push({ type: "Violated", violation: error });
    }
    if (this.received - this.#told >= ACK_ALONE_BYTES) this.acknowledge();
    return events;
  }

  /** The bytes that are to be written next, at most about `bytesMax`; undefined when there are none. */
  output(bytesMax: number): Uint8Array | undefined {
    const bytes = this.outbox.next(bytesMax);
    if (bytes !== undefined && this.received - this.#told >= ACK_WITH_BYTES) this.acknowledge();
    return bytes;
  }

  /** The other side has said HELLO over this link. */
  greeted(hello: Hello): void {
    this.peer = hello;
    this.outbox.sequence.keeps = this.keepMs > 0;
  }

  /** The session goes on over this link: the other side has this side's sequence up to a position. */
  wentOn(position: number): void {
    this.outbox.sequence.rewind(position);
    this.#token = (this.peer as Hello).token;
    this.isOpen = true;
    this.acknowledge();
  }

  /** Begin a session anew on this link, without any stream; return the streams that are lost with the old one. */
  beginSession(): Stream[] {
    const lost = [...this.streams.values()];
    this.streams.clear();
    this.received = this.#told = this.highest = this.held = 0;
    this.#nextId = this.isClient ? 1 : 2;
    this.#token = (this.peer as Hello).token;
    this.isDrained = false;
    this.isOpen = true;
    this.outbox.beginSession();
    return lost;
  }

  /** Tell the position that this side has. Over a link that carries no session yet, an ACK would break rule 9.4. */
  acknowledge(): void {
    if (!this.isOpen || !this.outbox.sequence.keeps) return;
    this.#told = this.received;
    this.outbox.sendOfLink(writeFrame(ACK, 0, { received: this.received }));
  }

  // What a caller says.

  open(opening: Opening): Stream {
    const stream = new Stream(true, opening.kind, opening.priority, { items: 0, bytes: 0 });
    this.outbox.open(stream, opening);
    return stream;
  }

  /** Give an id to a stream whose OPEN leaves now (3.2). Its window stays within what the other side sends ahead (5.9). */
  begin(stream: Stream, { window }: Opening): void {
    stream.id = this.#nextId;
    this.#nextId += 2;
    window.items = Math.min(window.items, this.peer?.max_ahead_items || Infinity);
    window.bytes = Math.min(window.bytes, this.peer?.max_ahead_bytes || Infinity);
    stream.receiveWith(window);
    stream.steppedHere(OPEN, stream.hasRequests ? 0 : 2);
    this.streams.set(stream.id, stream);
  }

  /** Give up a call (6.5). When its OPEN has not left, nobody needs to know. */
  cancel(stream: Stream, cancel: Cancel): void {
    if (stream.isOver) return;
    if (stream.id > 0) this.outbox.send(writeFrame(CANCEL, stream.id, cancel));
    stream.ourState = "closed";
    this.forget(stream);
  }

  /** Say that no more items follow: the callee's answer is still to come. */
  end(stream: Stream): void {
    if (stream.ourState === "ended") return;
    this.endWith(stream, { type: END, isPlain: true, write: (count) => writeFrame(END, stream.id, { count, reason: null }) });
  }

  /** Close the whole call normally, behind the items that wait (6.10). */
  close(stream: Stream, reason: string): void {
    this.endWith(stream, { type: END, isPlain: false, write: (count) => writeFrame(END, stream.id, { count, reason }) });
  }

  // What a callee says; the rest of it is in `callee.ts`.

  /** End the call behind the items that wait. */
  answer(stream: Stream, status: Partial<Status> & { code: number }): void {
    const details = status.details ?? encode({});
    const whole = { reason: "", message: "", started: true, ...status, details };
    const isPlain = status.code === 0 && whole.message === "";
    const write = (count: number) => writeFrame(STATUS, stream.id, { ...whole, count: status.code === 0 ? count : 0 });
    this.endWith(stream, { type: STATUS, isPlain, write });
  }

  // What both say.

  /** Send an item when credit allows; false when it is over the limit of the receiver, and was not taken (4.6). */
  send(stream: Stream, item: unknown): boolean {
    if (!stream.outgoing.add(item, this.peer?.max_item_bytes ?? this.settings.max_item_bytes)) return false;
    this.outbox.wake(stream);
    return true;
  }

  /** The program has taken items of a stream. True when the other side is to be told, with the next output. */
  consume(stream: Stream, items: number, bytes: number): boolean {
    if (stream.isOver || stream.receiving === undefined) return false;
    this.release(stream, bytes);
    return stream.receiving.consume(items, bytes) && this.outbox.credit(stream);
  }

  /** The program waits for an item: its window may grow. True when the other side is to be told, with the next output. */
  waits(stream: Stream): boolean {
    const { max_ahead_items: items = 0, max_ahead_bytes: bytes = 0 } = this.peer ?? {};
    if (stream.isOver || !stream.receiving?.waits(items || Infinity, bytes || Infinity)) return false;
    return this.outbox.credit(stream);
  }

  ping(number: number): void {
    if (this.peer !== undefined) this.outbox.sendOfLink(writeFrame(PING, 0, { number }));
  }

  /** End the session on purpose (9.7). */
  goodbye(): void {
    if (this.isOver) return;
    this.isOver = true;
    if (this.isOpen) this.outbox.sayGoodbye(this.#goaway(1, ""), false);
  }

  /** Forget a stream that is over. What its program has not consumed is its own from now on. */
  forget(stream: Stream): void {
    this.streams.delete(stream.id);
    this.release(stream, stream.held);
    this.outbox.forget(stream);
  }

  hold(stream: Stream, bytes: number): void {
    stream.held += bytes;
    this.held += bytes;
  }

  release(stream: Stream, bytes: number): void {
    const released = Math.min(bytes, stream.held);
    stream.held -= released;
    this.held -= released;
  }

  wasOpened(id: number): boolean {
    const isOurs = id % 2 === (this.isClient ? 1 : 0);
    return isOurs ? id < this.#nextId : id <= this.highest;
  }

  /** End what this side sends, behind the items that wait. */
  endWith(stream: Stream, ending: Stream["ending"]): void {
    if (stream.isOver) return;
    stream.ending = ending;
    this.outbox.wake(stream);
  }

  #goaway(code: number, message: string): Uint8Array {
    return writeFrame(GOAWAY, 0, { last_stream_id: this.highest, code, message });
  }
}
