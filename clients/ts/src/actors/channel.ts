/** A channel with an actor: a conversation in two directions, accepted or refused at its start (PROTOCOL.md 6.11). */
import { Call, type Carrier } from "../calls/call.ts";
import type { StreamOptions } from "../calls/options.ts";
import { decode } from "../core/msgpack/index.ts";
import { CallFailed, Code } from "../errors.ts";

/** Open a channel. Rejects with code 9 and the reason of the actor when it refuses. */
export async function openChannel<In, Out>(
  carrier: Carrier,
  address: string,
  payload: unknown,
  options: StreamOptions,
): Promise<Channel<In, Out>> {
  const args = payload === undefined ? [] : [payload];
  const call = new Call<In>(carrier, { target: `/${address}!channel`, kind: 3, args, options });
  call.onHalfClosed = () => call.source.end(); // this side may still send
  const accepted = await new Promise<Uint8Array | null>((resolve, reject) => {
    call.onAccepted = resolve;
    call.onEnd = (error) => reject(error ?? new CallFailed(Code.DATA_LOSS, "the channel was not accepted"));
  });
  try {
    return new Channel(call, accepted === null ? undefined : decode(accepted));
  } catch (error) {
    throw call.broken(error);
  }
}

/**
 * An open channel: a loop over what the other side sends, and `send`. Each direction has its own credit.
 * Leaving the loop does not close the channel, because the other direction may still be in use: call `close`.
 */
export class Channel<In, Out> implements AsyncIterable<In> {
  /** With what the actor has accepted. */
  readonly accepted: unknown;
  readonly #call: Call<In>;
  #error: unknown;
  #turn: Promise<void> = Promise.resolve();
  #isHalfClosed = false;

  constructor(call: Call<In>, accepted: unknown) {
    this.#call = call;
    this.accepted = accepted;
    call.onEnd = (error) => (this.#error = error);
  }

  /** Why the other side has closed the channel; empty when it has not, or has given no reason. */
  get reason(): string {
    return this.#call.closeReason;
  }

  [Symbol.asyncIterator](): AsyncIterator<In, undefined> {
    return { next: () => this.#call.source.next() };
  }

  /** Receive one item; `done` when the other side sends no more. */
  receive(): Promise<IteratorResult<In, undefined>> {
    return this.#call.source.next();
  }

  /** Send an item. Resolves when the other side has room for it; rejects with code 9 when the channel is closed, or with the error that has ended it. */
  send(item: Out): Promise<void> {
    const sent = this.#isHalfClosed ? Promise.reject(this.#closed()) : this.#turn.then(() => this.#send(item));
    this.#turn = sent.catch(() => {});
    return sent;
  }

  async #send(item: Out): Promise<void> {
    if (!(await this.#call.outlet.room())) throw this.#closed();
    this.#call.send(item);
  }

  #closed(): unknown {
    return this.#error ?? new CallFailed(Code.FAILED_PRECONDITION, `the channel is closed${this.reason && `: ${this.reason}`}`);
  }

  /** Send no more, and go on receiving. */
  closeSend(): void {
    this.#isHalfClosed = true;
    void this.#turn.then(() => this.#call.end());
  }

  /** Close both directions, behind what was sent. What has arrived is dropped. */
  close(reason = ""): void {
    this.#isHalfClosed = true;
    void this.#turn.then(() => this.#call.close(`${reason}`));
  }
}
