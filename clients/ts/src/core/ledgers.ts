/** Credit (PROTOCOL.md section 5): how far one direction of a stream may go. Numbers only, no bytes and no frames. */
import type { Credit } from "./frames.ts";
import { Violation } from "./violation.ts";

export interface Window {
  items: number;
  bytes: number;
  /** Whether the program has set it: it is then kept exactly (5.7). */
  fixed: boolean;
}

export const WINDOW_ITEMS = 256;
export const WINDOW_BYTES = 262_144;
const GROWN_ITEMS_MAX = 16_384;
const GROWN_BYTES_MAX = 8 * 1_048_576;

/** What this side has sent, and may send. */
export class SendLedger {
  items = 0;
  bytes = 0;
  creditItems: number;
  creditBytes: number;
  consumed = 0;

  constructor(creditItems = 0, creditBytes = 0) {
    this.creditItems = creditItems;
    this.creditBytes = creditBytes;
  }

  /** Whether an item may begin behind `items` more items of `bytes` more bytes (5.1, 5.2). */
  mayBegin(items = 0, bytes = 0): boolean {
    return this.items + items < this.creditItems && this.bytes + bytes < this.creditBytes;
  }

  sent(items: number, bytes: number): void {
    this.items += items;
    this.bytes += bytes;
  }

  /** Take what the consumer grants; old news changes nothing (5.3). */
  grant({ items, bytes, consumed }: Credit): void {
    if (consumed > this.items) throw new Violation("5.4", `${consumed} items consumed of ${this.items}`);
    this.creditItems = Math.max(this.creditItems, items);
    this.creditBytes = Math.max(this.creditBytes, bytes);
    this.consumed = Math.max(this.consumed, consumed);
  }
}

/** What has arrived, what the program has consumed of it, and what the other side may send. */
export class ReceiveLedger {
  items = 0;
  bytes = 0;
  consumedItems = 0;
  consumedBytes = 0;
  grantedItems: number;
  grantedBytes: number;
  readonly #window: Window;
  #toldItems = 0;
  #toldBytes = 0;
  #grantedBeforeItems: number;
  #grantedBeforeBytes: number;

  constructor(window: Window) {
    this.#window = window;
    this.grantedItems = this.#grantedBeforeItems = window.items;
    this.grantedBytes = this.#grantedBeforeBytes = window.bytes;
  }

  /** Whether a batch was sent again: it is ignored, with its flags (4.3). */
  hasHad(offset: number, count: number): boolean {
    return offset + count <= this.items;
  }

  /** Judge the first fragment of a batch. */
  admit(offset: number, count: number): void {
    if (offset !== this.items) throw new Violation("4.3", `ITEMS at offset ${offset}, not ${this.items}`);
    if (offset + count > this.grantedItems)
      throw new Violation("5.1", `items to ${offset + count}, where credit ends at ${this.grantedItems}`);
    if (this.bytes >= this.grantedBytes)
      throw new Violation("5.2", `items at byte ${this.bytes}, where credit ends at ${this.grantedBytes}`);
  }

  arrived(items: number, bytes: number): void {
    this.items += items;
    this.bytes += bytes;
  }

  /** The program has taken items; true when the sender must be told (5.6). */
  consume(items: number, bytes: number): boolean {
    this.consumedItems += items;
    this.consumedBytes += bytes;
    return (
      (this.consumedItems - this.#toldItems) * 2 >= this.#window.items ||
      (this.consumedBytes - this.#toldBytes) * 2 >= this.#window.bytes
    );
  }

  /**
   * The consumer waits. When only the latest credit allows what it waits for, the window was too small (5.7). True when it has
   * grown: the sender must be told, because half of the larger window may be more than the credit that it has.
   */
  waits(itemsMax: number, bytesMax: number): boolean {
    const window = this.#window;
    if (window.fixed) return false;
    const { items, bytes } = window;
    if (this.items >= this.#grantedBeforeItems && this.items > 0)
      window.items = Math.max(window.items, Math.min(window.items * 2, GROWN_ITEMS_MAX, itemsMax));
    if (this.bytes >= this.#grantedBeforeBytes && this.bytes > 0)
      window.bytes = Math.max(window.bytes, Math.min(window.bytes * 2, GROWN_BYTES_MAX, bytesMax));
    if (window.items === items && window.bytes === bytes) return false;
    this.#grantedBeforeItems = this.#grantedBeforeBytes = Infinity; // it grows once for each credit
    return true;
  }

  /** Grant consumed + window, and say so. */
  credit(): Credit {
    this.#toldItems = this.consumedItems;
    this.#toldBytes = this.consumedBytes;
    this.#grantedBeforeItems = this.grantedItems;
    this.#grantedBeforeBytes = this.grantedBytes;
    this.grantedItems = Math.max(this.grantedItems, this.consumedItems + this.#window.items);
    this.grantedBytes = Math.max(this.grantedBytes, this.consumedBytes + this.#window.bytes);
    return { items: this.grantedItems, bytes: this.grantedBytes, consumed: this.consumedItems };
  }
}
