/** What one side of a stream has to send: items, encoded and in order, and the frame that ends them. */
import { ITEMS, LAST, MORE, PREFIX_BYTES, wrap, writeItems } from "./frames.ts";
import type { SendLedger } from "./ledgers.ts";
import { Writer } from "./msgpack/index.ts";

/** A batch takes no further item when it has reached this (4.4). */
const BATCH_BYTES = 65_536;
/** The header `array 32` of each batch (4.8). */
const ARRAY_BYTES = 5;

interface Message {
  type: number;
  flags: number;
  offset: number;
  count: number;
  bytes: Uint8Array;
  at: number;
}

export class Outgoing {
  readonly #ledger: SendLedger;
  readonly #writer = new Writer();
  /** Encoded items that wait: where each ends in `#bytes`. */
  #ends: number[] = [];
  #first = 0;
  #taken = 0;
  #message: Message | undefined;

  constructor(ledger: SendLedger) {
    this.#ledger = ledger;
  }

  /** How many items wait to be sent. */
  get items(): number {
    return this.#ends.length - this.#first;
  }

  /** How many bytes of them wait. */
  get bytes(): number {
    return this.#writer.length - this.#taken + (this.#message ? this.#message.bytes.length - this.#message.at : 0);
  }

  /** Whether a frame could leave now. */
  get isReady(): boolean {
    return this.#message !== undefined || (this.items > 0 && this.#ledger.mayBegin());
  }

  get isBetweenFragments(): boolean {
    return this.#message !== undefined;
  }

  /** Encode an item behind those that wait; return false when it is over the limit of the receiver (4.6). */
  add(item: unknown, itemBytesMax: number): boolean {
    const writer = this.#writer;
    const before = writer.length;
    try {
      writer.value(item);
    } catch (error) {
      writer.cut(before);
      throw error;
    }
    if (writer.length - before + ARRAY_BYTES > itemBytesMax) {
      writer.cut(before);
      return false;
    }
    this.#ends.push(writer.length);
    return true;
  }

  /** Send a message that is bytes already: a large OPEN. */
  addMessage(type: number, flags: number, bytes: Uint8Array): void {
    this.#message = { type, flags, offset: 0, count: 0, bytes, at: 0 };
  }

  /** Forget all items that wait, and the rest of a batch. */
  drop(): void {
    this.#reset();
    this.#message = undefined;
  }

  /** The next frame; `isLast` when the direction ends behind the items that wait. Undefined when none may leave. */
  frame(stream: number, bodyMax: number, isLast: boolean): Uint8Array | undefined {
    this.#message ??= this.#batch(isLast);
    const message = this.#message;
    if (message === undefined) return undefined;
    const room = message.type === ITEMS ? bodyMax - PREFIX_BYTES : bodyMax;
    const part = message.bytes.subarray(message.at, message.at + room);
    message.at += part.length;
    const isWhole = message.at === message.bytes.length;
    if (isWhole) this.#message = undefined;
    const flags = isWhole ? message.flags : message.flags | MORE;
    if (message.type !== ITEMS) return wrap(message.type, flags, stream, part);
    return writeItems(stream, { offset: message.offset, count: message.count, payload: part }, flags);
  }

  #batch(isLast: boolean): Message | undefined {
    const ledger = this.#ledger;
    let count = 0;
    let size = 0;
    while (count < this.items && size < BATCH_BYTES && ledger.mayBegin(count, size)) {
      size = ARRAY_BYTES + (this.#ends[this.#first + count] as number) - this.#taken;
      count += 1;
    }
    if (count === 0) return undefined;
    const offset = ledger.items;
    ledger.sent(count, size);
    const bytes = this.#take(count, size);
    return { type: ITEMS, flags: isLast && this.items === 0 ? LAST : 0, offset, count, bytes, at: 0 };
  }

  #take(count: number, size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    bytes[0] = 0xdd;
    view.setUint32(1, count);
    const end = this.#ends[this.#first + count - 1] as number;
    bytes.set(this.#writer.view(this.#taken, end), ARRAY_BYTES);
    this.#first += count;
    this.#taken = end;
    if (this.items === 0) this.#reset();
    else if (this.#taken > BATCH_BYTES && this.#taken * 2 > this.#writer.length) this.#compact();
    return bytes;
  }

  #reset(): void {
    this.#writer.cut(0);
    this.#ends = [];
    this.#first = 0;
    this.#taken = 0;
  }

  #compact(): void {
    const rest = this.#writer.view(this.#taken, this.#writer.length).slice();
    this.#ends = this.#ends.slice(this.#first).map((end) => end - this.#taken);
    this.#first = 0;
    this.#taken = 0;
    this.#writer.cut(0);
    this.#writer.raw(rest);
  }
}
