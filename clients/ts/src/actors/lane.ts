/** Messages to one actor, in their order (PROTOCOL.md 12.2 to 12.8). */
import { Call, type Carrier } from "../calls/call.ts";
import { type CallOptions, deadlineOf } from "../calls/options.ts";
import { aborted, CallFailed, Code, errorOf, PenstockError } from "../errors.ts";

export type Body = readonly unknown[] | Record<string, unknown>;

/** `[id, result, error]` (12.2). */
type Answer = [id: number, result?: unknown, error?: [number, string?, string?, Record<string, unknown>?, boolean?] | null];

interface Ask {
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

export class Lane {
  /** When the lane has ended: no message of it is on its way any more. */
  readonly ended: Promise<void>;
  readonly #carrier: Carrier;
  readonly #address: string;
  #call: Call<Answer> | undefined;
  readonly #asks = new Map<number, Ask>();
  #lastId = 0;
  #turn: Promise<void>;
  #isEnding = false;

  /** `before` is the lane to the same actor that has to end first, so that no message overtakes another (12.8). */
  constructor(carrier: Carrier, address: string, before: Lane | undefined) {
    this.#carrier = carrier;
    this.#address = address;
    const begun = Promise.resolve(before?.ended).then(() => this.#begin());
    this.#turn = begun.then(
      () => {},
      () => {},
    );
    this.ended = begun.then(
      (call) => this.#read(call),
      (error: unknown) => this.#lose(error),
    );
  }

  /** Whether the lane takes messages. */
  get isOpen(): boolean {
    return !this.#isEnding && !this.#call?.isOver;
  }

  #begin(): Call<Answer> {
    this.#call = new Call(this.#carrier, { target: `/${this.#address}!lane`, kind: 3, args: [] });
    return this.#call;
  }

  /** Send a message that nothing answers. Resolves when the other side has room for it. */
  async tell(name: string, body: Body, { deadlineMs, metadata = {}, signal }: CallOptions = {}): Promise<void> {
    const left = deadlineOf(this.#carrier.clock, deadlineMs);
    return this.#send(() => {
      if (signal?.aborted) throw aborted(signal);
      return [0, name, body, 0, null, [], left(), metadata];
    });
  }

  /** Send a message, and wait for its answer. */
  async ask(name: string, body: Body, { deadlineMs, metadata = {}, signal }: CallOptions = {}): Promise<unknown> {
    if (signal?.aborted) throw aborted(signal);
    const id = ++this.#lastId;
    const { clock } = this.#carrier;
    const left = deadlineOf(clock, deadlineMs);
    const answer = new Promise<unknown>((resolve, reject) => this.#asks.set(id, { resolve, reject }));
    const giveUp = (error: PenstockError): void => {
      this.#settle(id)?.reject(error);
      this.#send([-id, ""]).catch(() => {});
    };
    const abort = (): void => giveUp(aborted(signal as AbortSignal));
    const late = (): void => giveUp(new CallFailed(Code.DEADLINE_EXCEEDED, `the call took longer than ${deadlineMs} ms`));
    const stop = deadlineMs === undefined ? undefined : clock.after(deadlineMs, late);
    signal?.addEventListener("abort", abort);
    this.#send(() => [id, name, body, 0, null, [], left(), metadata]).catch((error: unknown) =>
      this.#settle(id)?.reject(error),
    );
    try {
      return await answer;
    } finally {
      stop?.();
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Take no more messages. The other side ends the lane when all are answered (12.8). */
  end(): void {
    this.#isEnding = true;
    void this.#turn.then(() => this.#call?.end());
  }

  #send(message: unknown[] | (() => unknown[])): Promise<void> {
    const sent = this.#turn.then(async () => {
      const call = this.#call;
      if (!(await call?.outlet.room())) throw new CallFailed(Code.UNAVAILABLE, "the lane has ended", { started: false });
      call?.send(typeof message === "function" ? message() : message);
    });
    this.#turn = sent.catch(() => {});
    return sent;
  }

  #settle(id: number): Ask | undefined {
    const ask = this.#asks.get(id);
    this.#asks.delete(id);
    return ask;
  }

  async #read(call: Call<Answer>): Promise<void> {
    try {
      for (;;) {
        const { value, done } = await call.source.next();
        if (done) return this.#lose(new CallFailed(Code.UNAVAILABLE, "the lane has ended"));
        const [id, result, error] = value;
        if (typeof id !== "number") throw new TypeError("an answer has no number");
        const failure = error == null ? undefined : answered(error);
        const ask = this.#settle(id);
        if (failure === undefined) ask?.resolve(result);
        else ask?.reject(failure);
      }
    } catch (error) {
      this.#lose(error instanceof PenstockError ? error : call.broken(error));
    }
  }

  #lose(why: unknown): void {
    for (const ask of this.#asks.values()) ask.reject(why);
    this.#asks.clear();
  }
}

function answered([code, reason = "", message = "", details = {}, started = true]: NonNullable<Answer[2]>): PenstockError {
  return errorOf({ code, reason, message, details, started });
}
