/** The callee's side of one call: its handler runs, its items leave at the caller's pace, and it is answered once. */
import { accept, stopRequests } from "../core/callee.ts";
import type { Cancel, Open, Status } from "../core/frames.ts";
import { type BadBytes, encode } from "../core/msgpack/index.ts";
import type { Window } from "../core/ledgers.ts";
import type { Stream } from "../core/stream.ts";
import { CallFailed, Cancelled, clean, Code, errorOf, PenstockError } from "../errors.ts";
import { type CallOptions, growingWindow, PRIORITIES } from "../calls/options.ts";
import { Outlet } from "../calls/outlet.ts";
import { type Items, sendAll, type Sink } from "../calls/requests.ts";
import { Source, type SourceOwner } from "../calls/source.ts";
import type { Endpoint, Session, StreamEvent } from "../session/session.ts";

/** What runs a call: it gets the requests, when the kind has any, and returns a result or many. */
export type Handler = (requests: AsyncIterableIterator<unknown, undefined>, options: Required<CallOptions>) => unknown;

export class Incoming implements Endpoint, Sink, SourceOwner {
  readonly #session: Session;
  readonly #stream: Stream;
  readonly #open: Open;
  readonly #source = new Source<unknown>(this);
  readonly outlet: Outlet;
  readonly #giveUp = new AbortController();
  #stopTimer = () => {};
  #isOver = false;

  /** Run a call in the next turn. `handlerOf` finds the handler, or throws what the call is answered with. */
  constructor(session: Session, stream: Stream, open: Open, handlerOf: () => Handler) {
    this.#session = session;
    this.#stream = stream;
    this.#open = open;
    this.outlet = new Outlet(
      stream,
      () => session,
      () => !this.#isOver,
    );
    if (open.deadline_ms !== null) this.#stopTimer = session.clock.after(open.deadline_ms, () => this.#late());
    void Promise.resolve().then(() => this.#run(handlerOf));
  }

  async #run(handlerOf: () => Handler): Promise<void> {
    try {
      if (this.#isOver) return;
      const handler = handlerOf();
      if (this.#stream.kind !== 0) this.#accept();
      const options = { ...optionsOf(this.#open), signal: this.#giveUp.signal };
      const result = handler(this.#requests(), options);
      if (this.#stream.kind & 2) return await sendAll((await result) as Items<unknown>, this);
      this.send(await result);
      this.end();
    } catch (error) {
      this.#fail(error);
    }
  }

  #accept(): void {
    const { connection } = this.#session;
    const { max_ahead_items: items = 0, max_ahead_bytes: bytes = 0 } = connection.peer ?? {};
    const window = windowFor(this.#open);
    window.items = Math.min(window.items, items || Infinity);
    window.bytes = Math.min(window.bytes, bytes || Infinity);
    accept(connection, this.#stream, window);
    this.#session.wake();
  }

  #requests(): AsyncIterableIterator<unknown, undefined> {
    return {
      [Symbol.asyncIterator]() {
        return this;
      },
      next: () => this.#source.next(),
      return: () => this.#stopRequests(),
    };
  }

  /** The handler has left its loop over the requests, and goes on. */
  async #stopRequests(): Promise<IteratorResult<unknown, undefined>> {
    this.#source.drop();
    this.#source.end();
    if (!this.#isOver) {
      const message = "the handler takes no more requests";
      stopRequests(this.#session.connection, this.#stream, { code: Code.CANCELLED, reason: "stream_cancelled", message });
      this.#session.wake();
    }
    return { value: undefined, done: true };
  }

  // What the session says.

  handle(event: StreamEvent): void {
    switch (event.type) {
      case "RoomMade":
        return this.outlet.wake();
      case "ItemsArrived":
        return this.#source.push(event.payload, event.count);
      case "Ended":
        return this.#source.end();
      case "Closed":
        return this.#leave(new Cancelled(clean(event.reason) || "the caller has closed the call"));
      case "CallCancelled":
        return this.#leave(whyOf(event.cancel));
      case "OverBudget":
        return this.#leave(new CallFailed(Code.RESOURCE_EXHAUSTED, "the requests do not fit into maxConnectionBytes"));
      default: // what only a callee says
    }
  }

  lost(error: PenstockError): void {
    this.#leave(error);
  }

  moved(): void {} // only the calls of this side are

  // What the source says.

  took(bytes: number): void {
    if (!this.#isOver && this.#session.connection.consume(this.#stream, 1, bytes)) this.#session.wake();
  }

  waits(): void {
    if (this.#session.connection.waits(this.#stream)) this.#session.wake();
  }

  broken(error: BadBytes): void {
    this.#answer({ code: Code.INVALID_ARGUMENT, message: `a request cannot be read: ${error.message}` });
  }

  // What the handler sends.

  send(item: unknown): void {
    if (this.#isOver) return;
    if (!this.#session.connection.send(this.#stream, item))
      throw new CallFailed(Code.RESOURCE_EXHAUSTED, "an item is over max_item_bytes of the other side");
    this.#session.wake();
  }

  end(): void {
    this.#answer({ code: 0 });
  }

  #late(): void {
    const message = `the call took longer than ${this.#open.deadline_ms} ms`;
    this.#stream.outgoing.drop();
    this.#answer({ code: Code.DEADLINE_EXCEEDED, message }, new CallFailed(Code.DEADLINE_EXCEEDED, message));
  }

  /** An error of this package is an answer. Any other is one of the program: its text stays here, under an id. */
  #fail(error: unknown): void {
    if (this.#isOver) return;
    if (error instanceof PenstockError) {
      const { code, reason, message, details, started } = error;
      return this.#answer({ code, reason, message, details: encoded(details), started });
    }
    const id = Math.random().toString(16).slice(2, 10);
    console.error(`${clean(this.#open.target)} has failed (error ${id})`, error);
    return this.#answer({ code: Code.INTERNAL, reason: "internal", message: `the handler has failed (error ${id})` });
  }

  #answer(status: Partial<Status> & { code: number }, why?: PenstockError): void {
    if (this.#isOver) return;
    this.#session.connection.answer(this.#stream, status);
    this.#leave(why);
  }

  /** The call is over; with an error, its handler is to stop. */
  #leave(error?: PenstockError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopTimer();
    this.#session.remove(this.#stream);
    this.#source.end(error);
    this.outlet.wake();
    if (error !== undefined) this.#giveUp.abort(error);
  }
}

/** Details that cannot travel are left out: the error itself must. */
function encoded(details: Record<string, unknown>): Uint8Array {
  try {
    return encode(details);
  } catch {
    return encode({});
  }
}

/** The window of the requests: what the caller wishes, or one that grows (5.8). */
function windowFor({ wish_items: items, wish_bytes: bytes }: Open): Window {
  const usual = growingWindow();
  if (items === 0 && bytes === 0) return usual;
  return { items: Math.min(items || WISH_ITEMS, WISH_ITEMS), bytes: Math.min(bytes || WISH_BYTES, WISH_BYTES), fixed: true };
}

const WISH_ITEMS = 16_384;
const WISH_BYTES = 67_108_864;

function optionsOf({ metadata, priority, deadline_ms }: Open): Omit<Required<CallOptions>, "signal"> {
  const name = (Object.keys(PRIORITIES) as (keyof typeof PRIORITIES)[])[priority] ?? "normal";
  return { metadata, priority: name, deadlineMs: deadline_ms ?? Infinity };
}

function whyOf({ code, reason, message }: Cancel): PenstockError {
  return errorOf({ code, reason, message, details: {}, started: true });
}
