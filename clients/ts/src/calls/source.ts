/** The items of a call, decoded one by one as the program takes them: what it has not taken stays bytes. */
import { BadBytes, Reader } from "../core/msgpack/index.ts";

interface Batch {
  reader: Reader;
  left: number;
  at: number;
}

interface Waiter<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: unknown): void;
}

/** What a source asks of its call. */
export interface SourceOwner {
  /** The program has taken an item of so many bytes. */
  took(bytes: number): void;
  /** The program waits, and nothing is there. */
  waits(): void;
  /** An item is no msgpack, or has too many values. */
  broken(error: unknown): unknown;
}

/** The array header of a batch (4.8). */
const ARRAY_BYTES = 5;
/** How many values an item may have, those inside others among them: one byte can be a value of many (10.4). */
const ITEM_VALUES_MAX = 131_072;

const ENDED = { value: undefined, done: true } as const;

export class Source<T> {
  readonly #owner: SourceOwner;
  readonly #read: (item: unknown) => T;
  readonly #batches: Batch[] = [];
  readonly #waiters: Waiter<T>[] = [];
  /** Called when all items are taken or dropped, and the end is known. */
  onTold = () => {};
  #hasEnded = false;
  #error: unknown;

  /** `read` makes what the program gets of an item that was decoded. */
  constructor(owner: SourceOwner, read: (item: unknown) => T = (item) => item as T) {
    this.#owner = owner;
    this.#read = read;
  }

  /** Take a batch that has arrived. */
  push(payload: Uint8Array, count: number): void {
    this.#batches.push({ reader: new Reader(payload, ARRAY_BYTES, ITEM_VALUES_MAX), left: count, at: 0 });
    while (this.#waiters.length > 0 && this.#batches.length > 0) this.#settle(this.#waiters.shift() as Waiter<T>);
  }

  /** No more items follow; with an error, that is why; null says that the program has left. */
  end(error?: unknown): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#error = error;
    for (const waiter of this.#waiters.splice(0)) this.#settle(waiter);
    this.#told();
  }

  /** Forget the items that are here. A loop that has not come to the end behind them gets the error instead. */
  drop(error?: unknown): void {
    if (this.#batches.length > 0) this.#error = error;
    this.#batches.length = 0;
    this.#told();
  }

  #told(): void {
    if (this.#hasEnded && this.#batches.length === 0) this.onTold();
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const batch = this.#batches[0];
    if (batch !== undefined && this.#waiters.length === 0) {
      try {
        return Promise.resolve({ value: this.#take(batch), done: false });
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return new Promise((resolve, reject) => {
      const waiter = { resolve, reject };
      if (this.#hasEnded) return this.#settle(waiter);
      this.#waiters.push(waiter);
      this.#owner.waits();
    });
  }

  #settle(waiter: Waiter<T>): void {
    const batch = this.#batches[0];
    if (batch === undefined) {
      const error = this.#error;
      this.#error = undefined; // it is thrown once; then the loop has ended
      if (error == null) waiter.resolve(ENDED);
      else waiter.reject(error);
      return;
    }
    try {
      waiter.resolve({ value: this.#take(batch), done: false });
    } catch (error) {
      waiter.reject(error);
    }
  }

  #take(batch: Batch): T {
    const { reader } = batch;
    try {
      reader.allow(ITEM_VALUES_MAX);
      const value = this.#read(reader.value());
      batch.left -= 1;
      if (batch.left === 0) {
        if (!reader.ended) throw new BadBytes("bytes follow the items of a batch");
        this.#batches.shift();
        this.#told();
      }
      this.#owner.took(reader.at - batch.at);
      batch.at = reader.at;
      return value;
    } catch (error) {
      if (error instanceof BadBytes) this.#owner.broken(error);
      const known = this.#error;
      this.#error = undefined;
      throw known ?? error;
    }
  }
}
