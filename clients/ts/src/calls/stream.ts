/** A call with many results, as a program iterates over it. */
import { Cancelled } from "../errors.ts";
import { Call, type Carrier, type Request } from "./call.ts";
import { readableOf } from "./readable.ts";

/**
 * The items of a call, for one `for await`. The call begins with the first `next`; leaving the loop cancels it.
 *
 * The loop ends when the stream has ended. Otherwise it throws, after the items that arrived: `CallFailed`, `Cancelled` or
 * `ConnectionLost`. The other side is ahead of the loop by what `bufferSize` says.
 */
export class Stream<T> implements AsyncIterableIterator<T, undefined, void> {
  readonly #carrier: Carrier;
  readonly #request: Request;
  readonly #read: ((item: unknown) => T) | undefined;
  #call: Call<T> | undefined;
  #isLeft = false;

  /** `read` makes what the program gets of an item. */
  constructor(carrier: Carrier, request: Request, read?: (item: unknown) => T) {
    this.#carrier = carrier;
    this.#request = request;
    this.#read = read;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#call !== undefined) return this.#call.source.next();
    return this.#begin();
  }

  async #begin(): Promise<IteratorResult<T, undefined>> {
    if (this.#isLeft) return { value: undefined, done: true };
    this.#call = new Call(this.#carrier, this.#request, this.#read);
    return this.#call.source.next();
  }

  /** Leave the stream. `for await` calls it when the loop is left early. */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.#isLeft = true;
    this.#call?.cancel(undefined, null);
    return { value: undefined, done: true };
  }

  /** Give the call up, from wherever. A loop that waits throws `Cancelled`. */
  cancel(message = "the stream was cancelled"): void {
    this.#isLeft = true;
    this.#call?.cancel(new Cancelled(message));
  }

  /**
   * The same as a `ReadableStream`, instead of a loop. It asks for an item when its reader does, so that the reader's pace
   * reaches the other side.
   */
  readable(): ReadableStream<T> {
    return readableOf(this);
  }
}
