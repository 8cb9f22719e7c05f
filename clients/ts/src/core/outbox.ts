/**
 * The order in which frames leave (4.7): control frames, then OPENs, then streams in turn, a frame at a time.
 * When the line is full, interactive, normal and bulk streams share it 16 : 4 : 1.
 */
import { joined } from "./assembly.ts";
import type { Connection, Opening } from "./connection.ts";
import { CREDIT, END, ITEMS, LAST, MORE, OPEN, wrap, writeBody, writeFrame } from "./frames.ts";
import type { ReceiveLedger } from "./ledgers.ts";
import { Sequence } from "./sequence.ts";
import type { Stream } from "./stream.ts";

const SHARES = [16, 4, 1];
/** A side stops sending while so much is not acknowledged (9.4). */
const KEPT_BYTES_MAX = 16_777_216;

export class Outbox {
  sequence = new Sequence();
  readonly #connection: Connection;
  /** Frames of the link: they pass everything, and are not kept. */
  #ofLink: Uint8Array[] = [];
  #control: Uint8Array[] = [];
  #openings = new Map<Stream, Opening>();
  #credits = new Set<Stream>();
  /** Streams that may have a frame to send, by priority; a turn takes the first and puts it last. */
  #ready: [Set<Stream>, Set<Stream>, Set<Stream>] = [new Set(), new Set(), new Set()];
  #shares = [...SHARES];
  #goodbye: Uint8Array | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** How many frames wait that answer the other side at once (10.5). */
  get answers(): number {
    return this.#ofLink.length + this.#control.length;
  }

  beginLink(hello: Uint8Array): void {
    this.#ofLink = [hello];
  }

  /** Begin the sequence anew. Calls whose OPEN has not left stay: the new session carries them. */
  beginSession(): void {
    const { keeps } = this.sequence;
    this.sequence = new Sequence();
    this.sequence.keeps = keeps;
    this.#control = [];
    this.#credits.clear();
    for (const streams of this.#ready) streams.clear();
  }

  sendOfLink(frame: Uint8Array): void {
    this.#ofLink.push(frame);
  }

  send(frame: Uint8Array): void {
    this.#control.push(frame);
  }

  /** Write what control frames wait, then this one, then nothing more. `alone` when HELLO has not come (2.1). */
  sayGoodbye(frame: Uint8Array, alone: boolean): void {
    if (alone) {
      this.#control = [];
      this.#ofLink.push(frame);
    } else this.#goodbye = frame;
  }

  open(stream: Stream, opening: Opening): void {
    this.#openings.set(stream, opening);
  }

  /** Take back the calls whose OPEN has not left. */
  takeOpenings(): Map<Stream, Opening> {
    const openings = this.#openings;
    this.#openings = new Map();
    return openings;
  }

  /** Carry calls that another session has given back. */
  adopt(openings: Map<Stream, Opening>): void {
    for (const [stream, opening] of openings) this.#openings.set(stream, opening);
  }

  /** A stream has something to send. */
  wake(stream: Stream): void {
    if (stream.id > 0 && !stream.isOver) this.#of(stream).add(stream);
  }

  credit(stream: Stream): true {
    this.#credits.add(stream);
    return true;
  }

  forget(stream: Stream): void {
    this.#openings.delete(stream);
    this.#credits.delete(stream);
    this.#of(stream).delete(stream);
    stream.outgoing.drop();
  }

  /** The next bytes: those of the link first, then those of the sequence, of which some may have to be sent again. */
  next(bytesMax: number): Uint8Array | undefined {
    if (this.#ofLink.length > 0) {
      const parts = this.#ofLink;
      this.#ofLink = [];
      return joined(parts, sum(parts));
    }
    if (!this.#connection.isOpen) return undefined;
    const again = this.sequence.next();
    if (again !== undefined) return again;
    const parts = this.#gather(bytesMax);
    if (parts.length === 0) return undefined;
    this.sequence.append(joined(parts, sum(parts)));
    return this.sequence.next();
  }

  #gather(bytesMax: number): Uint8Array[] {
    const parts = this.#control;
    this.#control = [];
    if (this.#goodbye !== undefined) {
      parts.push(this.#goodbye);
      this.#goodbye = undefined;
      return parts;
    }
    if (this.#connection.isOver) return parts;
    for (const stream of this.#credits) parts.push(this.#creditOf(stream));
    this.#credits.clear();
    let left = bytesMax - sum(parts);
    while (left > 0 && this.sequence.kept < KEPT_BYTES_MAX) {
      const frame = this.#opening() ?? this.#turn();
      if (frame === undefined) break;
      parts.push(frame);
      left -= frame.length;
    }
    return parts;
  }

  #creditOf(stream: Stream): Uint8Array {
    return writeFrame(CREDIT, stream.id, (stream.receiving as ReceiveLedger).credit()); // only such streams have credit to give
  }

  #opening(): Uint8Array | undefined {
    const connection = this.#connection;
    for (const [stream, opening] of this.#openings) {
      if (connection.isDrained || this.#openStreams() >= (connection.peer?.max_streams ?? 0)) return undefined;
      this.#openings.delete(stream);
      connection.begin(stream, opening);
      return this.#openFrame(stream, opening);
    }
    return undefined;
  }

  #openStreams(): number {
    const { streams, highest } = this.#connection;
    if (highest === 0) return streams.size;
    let count = 0;
    for (const stream of streams.values()) if (stream.isOurs) count += 1;
    return count;
  }

  #openFrame(stream: Stream, opening: Opening): Uint8Array | undefined {
    const { window, wish } = opening;
    const flags = stream.hasRequests ? 0 : LAST;
    const body = writeBody(OPEN, {
      target: opening.target,
      kind: opening.kind,
      codec: 0,
      argument: opening.argument,
      metadata: opening.metadata,
      deadline_ms: opening.deadlineMs(),
      priority: opening.priority,
      credit_items: window.items,
      credit_bytes: window.bytes,
      fingerprint: 0,
      wish_items: wish?.items ?? 0,
      wish_bytes: wish?.bytes ?? 0,
    });
    const bodyMax = this.#connection.peer?.max_frame_bytes ?? 0;
    if (stream.hasRequests || body.length > bodyMax) this.wake(stream);
    if (body.length <= bodyMax) return wrap(OPEN, flags, stream.id, body);
    stream.outgoing.addMessage(OPEN, flags, body);
    return stream.outgoing.frame(stream.id, bodyMax, false);
  }

  /** One frame of the stream whose turn it is. */
  #turn(): Uint8Array | undefined {
    for (let rounds = 0; rounds < 2; rounds++) {
      for (let priority = 0; priority < 3; priority++) {
        if ((this.#shares[priority] as number) <= 0) continue;
        const frame = this.#frameOf(this.#ready[priority] as Set<Stream>);
        if (frame === undefined) continue;
        (this.#shares[priority] as number)--;
        return frame;
      }
      this.#shares = [...SHARES];
    }
    return undefined;
  }

  #frameOf(streams: Set<Stream>): Uint8Array | undefined {
    for (const stream of streams) {
      streams.delete(stream);
      const frame = this.#frame(stream);
      if (frame === undefined) continue;
      if (!stream.isOver) streams.add(stream);
      return frame;
    }
    return undefined;
  }

  #frame(stream: Stream): Uint8Array | undefined {
    const { outgoing, ending } = stream;
    const frame = outgoing.frame(stream.id, this.#connection.peer?.max_frame_bytes ?? 0, ending?.isPlain ?? false);
    if (frame !== undefined) {
      const flags = frame[5] as number;
      if (frame[4] === ITEMS && !(flags & MORE)) this.#step(stream, ITEMS, flags, false);
      return frame;
    }
    if (ending === undefined || outgoing.items > 0) return undefined;
    const last = ending.write(stream.sending.items);
    this.#step(stream, ending.type, LAST, ending.type === END && !ending.isPlain && stream.isOurs);
    return last;
  }

  #step(stream: Stream, type: number, flags: number, hasReason: boolean): void {
    if (flags & LAST) stream.ending = undefined;
    stream.steppedHere(type, flags, hasReason);
    if (stream.isOver) this.#connection.forget(stream);
  }

  #of(stream: Stream): Set<Stream> {
    return this.#ready[stream.priority] as Set<Stream>;
  }
}

const sum = (parts: readonly Uint8Array[]): number => parts.reduce((size, part) => size + part.length, 0);
