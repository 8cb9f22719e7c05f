/** A reader of a retained stream (PROTOCOL.md section 14): it goes on by its offset, whatever becomes of its calls. */
import { CallFailed, Code, ConnectionLost, PenstockError } from "../errors.ts";
import { Backoff } from "../session/backoff.ts";
import type { Carrier } from "./call.ts";
import { Dropped, markOf, withDropped } from "./marks.ts";
import type { StreamOptions } from "./options.ts";
import { readableOf } from "./readable.ts";
import { resultOf } from "./result.ts";
import { Stream } from "./stream.ts";

export interface FollowOptions extends StreamOptions {
  /** The first item: its offset, the oldest that is kept, or the next one; 0 unless said otherwise. */
  since?: number | "oldest" | "now";
  /** The stream that is meant, as `Follower.id` said: another one of the same name is refused. */
  id?: Uint8Array | undefined;
  /** Whether a reader that is behind gets the newest item only, and `Dropped` for the others. */
  latest?: boolean;
}

/** What `Peer.kept` says of a retained stream. */
export interface Kept {
  name: string;
  state: string;
  oldest: number;
  next: number;
}

/** The place in front of the items (14.2). */
interface Place {
  id: Uint8Array;
  offset: number;
}

/**
 * The items of a retained stream, for one `for await`. Leaving the loop ends the reader, and says nothing to the stream.
 *
 * Over a lost connection, a restart of the server or a drain it goes on with the next item. It throws `ConnectionLost` when
 * the server has another stream of the name, or not these items any more.
 */
export class Follower<T> implements AsyncIterableIterator<T | Dropped, undefined, void> {
  readonly name: string;
  readonly #carrier: Carrier;
  readonly #options: FollowOptions;
  readonly #backoff = new Backoff();
  #id: Uint8Array | undefined;
  #offset: number | undefined;
  #stream: Stream<T | Dropped> | undefined;
  /** Calls of `next` are answered one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #isLeft = false;
  /** Whether a call was lost, and no other has begun since. */
  #isAgain = false;
  /** Ends the wait for the next call. */
  #wake = () => {};

  constructor(carrier: Carrier, name: string, options: FollowOptions) {
    this.name = name;
    this.#carrier = carrier;
    this.#options = options;
    this.#id = options.id;
  }

  /** The offset of the next item; undefined before the first. Store it, and pass it as `since` later. */
  get offset(): number | undefined {
    return this.#offset;
  }

  /** Which stream this is; a stream that is made anew under the name has another id. */
  get id(): Uint8Array | undefined {
    return this.#id;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T | Dropped, undefined>> {
    const next = this.#turn.then(() => this.#next());
    this.#turn = next.catch(() => {});
    return next;
  }

  async return(): Promise<IteratorResult<T | Dropped, undefined>> {
    this.#isLeft = true;
    this.#wake();
    await this.#stream?.return();
    return { value: undefined, done: true };
  }

  /** The same as a `ReadableStream`, instead of a loop. */
  readable(): ReadableStream<T | Dropped> {
    return readableOf(this);
  }

  /** End the stream itself, and its writer. */
  async stop(): Promise<void> {
    await resultOf(this.#carrier, { target: "Penstock/stop", kind: 0, args: [this.name, this.#id ?? null] });
  }

  async #next(): Promise<IteratorResult<T | Dropped, undefined>> {
    for (;;) {
      if (this.#isLeft) return { value: undefined, done: true };
      try {
        this.#stream ??= await this.#begin();
        const result = await this.#stream.next();
        if (!result.done) this.#pass(result.value);
        return result;
      } catch (error) {
        this.#stream = undefined;
        await this.#judge(error);
      }
    }
  }

  /** Count an item. A mark counts as many offsets as it says. */
  #pass(item: T | Dropped): void {
    this.#offset = (this.#offset ?? 0) + (item instanceof Dropped ? item.count : 1);
    this.#backoff.reset();
  }

  async #begin(): Promise<Stream<T | Dropped>> {
    const { since = 0, latest = false, id: _, ...options } = this.#options;
    const args = [this.name, this.#offset ?? since, this.#id ?? null, latest];
    const stream = new Stream<T | Dropped>(this.#carrier, { target: "Penstock/follow", kind: 2, args, options }, withDropped);
    const { value } = await stream.next();
    const { id, offset } = (markOf(value) ?? {}) as Partial<Place>;
    if (!(id instanceof Uint8Array && Number.isSafeInteger(offset))) {
      await stream.return();
      throw new CallFailed(Code.DATA_LOSS, `${this.name} has no place`);
    }
    this.#id = id;
    this.#offset = offset;
    this.#isAgain = false;
    return stream;
  }

  /** Return when the reader goes on after an error; else throw what its program is told. */
  async #judge(error: unknown): Promise<void> {
    if (!(error instanceof PenstockError) || this.#offset === undefined || !this.#carrier.reconnects) throw error;
    if (GONE.has(error.code) && this.#isAgain)
      throw new ConnectionLost(`${this.name} cannot be followed on from ${this.#offset}: ${error.message}`, { cause: error });
    if (error.code !== Code.UNAVAILABLE) throw error;
    this.#isAgain = true;
    const { clock, whenClosed } = this.#carrier;
    const { signal } = this.#options;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        stop();
        whenClosed.delete(wake);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      const stop = clock.after(this.#backoff.nextMs(), wake);
      whenClosed.add(wake);
      signal?.addEventListener("abort", wake);
      this.#wake = wake;
    });
  }
}

/** With these codes a server says that it has not what a reader wants that comes back (14.3). */
const GONE = new Set<number>([Code.NOT_FOUND, Code.ABORTED, Code.OUT_OF_RANGE]);
