/** The caller's side of one call: what arrives goes to its source, its requests go out, and it ends in one of four ways. */
import type { Opening } from "../core/connection.ts";
import { encode } from "../core/msgpack/index.ts";
import type { Stream } from "../core/stream.ts";
import { aborted, CallFailed, Cancelled, clean, Code, detailsOf, errorOf, PenstockError } from "../errors.ts";
import type { Endpoint, Session, StreamEvent } from "../session/session.ts";
import type { Clock } from "../session/clock.ts";
import {
  deadlineOf,
  growingWindow,
  judgeNumbers,
  judgeTexts,
  oneItem,
  PRIORITIES,
  type StreamOptions,
  windowOf,
} from "./options.ts";
import { Outlet } from "./outlet.ts";
import { type Items, sendAll, type Sink } from "./requests.ts";
import { Source, type SourceOwner } from "./source.ts";

export interface Request {
  target: string;
  kind: number;
  /** By place, or by name. */
  args: readonly unknown[] | Record<string, unknown>;
  requests?: Items<unknown> | undefined;
  options?: StreamOptions | undefined;
}

/** Where a call finds what carries it. */
export interface Carrier {
  readonly clock: Clock;
  /** Whether calls are for the session of now alone. */
  readonly isFixed?: boolean;
  /** Whether a lost connection is made again. */
  readonly reconnects: boolean;
  /** The session that takes new streams now. Throws when the peer is closed, or another session takes them, which may not. */
  session(): Session;
  /** Called when the peer is closed. */
  readonly whenClosed: Set<() => void>;
}

export class Call<T> implements Endpoint, Sink, SourceOwner {
  readonly source: Source<T>;
  /** With what the callee has accepted, once it has. */
  onAccepted: (payload: Uint8Array | null) => void = () => {};
  /** The callee sends no more items; how the call ends is still to come (6.10). */
  onHalfClosed: () => void = () => {};
  /** How the call has ended, once it has. */
  onEnd: (error: unknown) => void = () => {};
  /** The reason with which the callee has closed the call normally. */
  closeReason = "";
  readonly #stream: Stream;
  readonly #isFixed: boolean | undefined;
  #session: Session;
  #isOver = false;
  #wantsRequests = true;
  readonly outlet: Outlet;
  #stopTimer = () => {};

  /** Open the call. Throws when its signal has aborted, an argument cannot travel, or the peer is closed. */
  constructor(carrier: Carrier, request: Request, read?: (item: unknown) => T) {
    this.source = new Source(this, read);
    const { signal, deadlineMs } = request.options ?? {};
    if (signal?.aborted) throw aborted(signal);
    const opening = openingOf(carrier.clock, request);
    this.#isFixed = carrier.isFixed;
    this.#session = carrier.session();
    this.#stream = this.#session.connection.open(opening);
    this.outlet = new Outlet(
      this.#stream,
      () => this.#session,
      () => !this.#isOver && this.#wantsRequests,
    );
    this.#session.add(this.#stream, this);
    if (signal !== undefined) this.#watchSignal(signal);
    if (deadlineMs !== undefined) this.#stopTimer = carrier.clock.after(deadlineMs, () => this.#passDeadline(deadlineMs));
    if (request.requests !== undefined) void this.#sendAll(request.requests);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Give the call up. Whoever waits for an item gets the error; what has arrived is dropped. */
  cancel(error: PenstockError = new Cancelled("the call was cancelled"), thrown: unknown = error): void {
    this.source.drop(thrown);
    if (this.#isOver) return;
    const { code, reason, message } = error;
    this.#session.connection.cancel(this.#stream, { code, reason, message });
    this.#end(thrown);
  }

  // What the session says.

  handle(event: StreamEvent): void {
    switch (event.type) {
      case "Accepted":
        this.onAccepted(event.accept.payload);
        return this.outlet.wake();
      case "RoomMade":
        return this.outlet.wake();
      case "ItemsArrived":
        return this.source.push(event.payload, event.count);
      case "StopSending":
        return this.#stopRequests();
      case "HalfClosed":
        return this.onHalfClosed();
      case "Ended":
        if (event.status?.code === 0) this.closeReason = clean(event.status.message);
        return this.#end(
          event.status === null || event.status.code === 0
            ? undefined
            : errorOf({ ...event.status, details: detailsOf(event.status) }),
        );
      case "OverBudget":
        return this.#end(new CallFailed(Code.RESOURCE_EXHAUSTED, "items do not fit into maxConnectionBytes"));
      default: // what only a caller says
    }
  }

  lost(error: PenstockError): void {
    this.#end(error);
  }

  moved(session: Session): void {
    this.#session = session;
    if (this.#isFixed) this.cancel(new CallFailed(Code.UNAVAILABLE, "the server has drained"));
  }

  // What the source says.

  took(bytes: number): void {
    if (this.#session.connection.consume(this.#stream, 1, bytes)) this.#session.wake();
  }

  waits(): void {
    if (this.#session.connection.waits(this.#stream)) this.#session.wake();
  }

  broken(error: unknown): PenstockError {
    const why = new CallFailed(Code.DATA_LOSS, `an item cannot be read: ${(error as Error).message}`);
    this.cancel(why);
    return why;
  }

  // What the requests say.

  send(item: unknown): void {
    if (this.#isOver) return;
    if (!this.#session.connection.send(this.#stream, item))
      throw new CallFailed(Code.RESOURCE_EXHAUSTED, "an item is over max_item_bytes of the other side");
    this.#session.wake();
  }

  end(): void {
    if (this.#isOver) return;
    this.#session.connection.end(this.#stream);
    this.#session.wake();
  }

  /** Close the call normally, behind the items that were sent. */
  close(reason: string): void {
    if (this.#isOver) return;
    this.#session.connection.close(this.#stream, reason);
    this.source.drop();
    this.#end();
  }

  async #sendAll(requests: Items<unknown>): Promise<void> {
    try {
      await sendAll(requests, this);
    } catch (error) {
      const why = error instanceof PenstockError ? error : new Cancelled("the requests have failed at the caller");
      this.cancel(why, error);
    }
  }

  #stopRequests(): void {
    this.#wantsRequests = false;
    this.outlet.wake();
  }

  #watchSignal(signal: AbortSignal): void {
    const abort = () => this.cancel(aborted(signal));
    signal.addEventListener("abort", abort, { once: true });
    this.source.onTold = () => signal.removeEventListener("abort", abort);
  }

  #passDeadline(deadlineMs: number): void {
    this.cancel(new CallFailed(Code.DEADLINE_EXCEEDED, `the call took longer than ${deadlineMs} ms`));
  }

  #end(error?: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopTimer();
    this.#session.remove(this.#stream);
    this.source.end(error);
    this.outlet.wake();
    this.onEnd(error);
  }
}

function openingOf(clock: Clock, { target, kind, args, options = {} }: Request): Opening {
  const { deadlineMs, metadata = {}, priority = "normal" } = options;
  judgeTexts(target, ...Object.values(metadata));
  judgeNumbers({ priority: PRIORITIES[priority] ?? -1 }, 0);
  const isOne = (kind & 2) === 0;
  const set = windowOf(options);
  return {
    target,
    kind,
    argument: encode(args),
    metadata,
    deadlineMs: deadlineOf(clock, deadlineMs),
    priority: PRIORITIES[priority],
    window: isOne ? oneItem() : (set ?? growingWindow()),
    wish: set,
  };
}
