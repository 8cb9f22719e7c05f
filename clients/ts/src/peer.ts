/** The other side, as a program holds it: ways to call, and a life of its own. */
import { Actor } from "./actors/actor.ts";
import { Lane } from "./actors/lane.ts";
import type { Carrier } from "./calls/call.ts";
import { Follower, type FollowOptions, type Kept } from "./calls/follower.ts";
import type { StreamOptions } from "./calls/options.ts";
import type { Items } from "./calls/requests.ts";
import { resultOf } from "./calls/result.ts";
import { Stream } from "./calls/stream.ts";
import { Cancelled, ConnectionLost, type PenstockError } from "./errors.ts";
import { type Service, stubOf } from "./service.ts";
import type { Clock } from "./session/clock.ts";
import { Session, type SessionOptions, type SessionOwner } from "./session/session.ts";

/** What a peer tells its program. */
export type PeerState = "connected" | "disconnected" | "closed";

/** How long `close` waits for the messages that were told. */
const CLOSE_MS = 1_000;

export type Arguments = readonly unknown[] | Record<string, unknown>;

export class Peer implements Carrier {
  readonly clock: Clock;
  readonly reconnects: boolean;
  /** Called when the state changes. `why` is for people. */
  onstate: ((state: PeerState, why: string) => void) | undefined;
  readonly whenClosed = new Set<() => void>();
  readonly #options: SessionOptions;
  readonly #lanes = new Map<string, Lane>();
  /** The one that takes new streams, and those that drain. */
  readonly #sessions = new Set<Session>();
  #session: Session;
  #state: PeerState = "disconnected";
  /** Why nothing goes on any more. */
  #closed: PenstockError | undefined;

  /** Use `connect`. */
  constructor(options: SessionOptions) {
    this.clock = options.clock;
    this.reconnects = options.reconnects;
    this.#options = options;
    this.#session = this.#newSession();
  }

  /** Connect. Rejects with `ConnectionLost` when no URL answers. */
  async start(): Promise<void> {
    try {
      await this.#session.start();
    } catch (error) {
      const lost = new ConnectionLost(`no server answers: ${(error as Error).message}`, { cause: error, started: false });
      this.#close(lost);
      throw this.#closed; // what came first: a signal may have closed the peer
    }
  }

  get state(): PeerState {
    return this.#state;
  }

  /** The session that takes new streams. */
  session(): Session {
    if (this.#closed !== undefined) throw this.#closed;
    return this.#session;
  }

  /** The methods of a service at the other side. */
  service<T>(of: Service<T>): T {
    return stubOf(this, of);
  }

  /** Make a call with one result, by its target: `Service/method`. With `requests` they are sent as a stream. */
  async call<T = unknown>(
    target: string,
    args: Arguments = [],
    options: StreamOptions & { requests?: Items<unknown> } = {},
  ): Promise<T> {
    const { requests, ...rest } = options;
    return resultOf(this, { target, kind: requests === undefined ? 0 : 1, args, requests, options: rest });
  }

  /** Make a call with a stream of results, by its target. With `requests` they are sent as a stream. */
  stream<T = unknown>(
    target: string,
    args: Arguments = [],
    options: StreamOptions & { requests?: Items<unknown> } = {},
  ): Stream<T> {
    const { requests, ...rest } = options;
    return new Stream(this, { target, kind: requests === undefined ? 2 : 3, args, requests, options: rest });
  }

  /** Follow a stream that the server keeps (`penstock.retained`), from any item on. */
  follow<T = unknown>(name: string, options: FollowOptions = {}): Follower<T> {
    return new Follower(this, name, options);
  }

  /** Say what the server knows of a retained stream. Rejects with code 5 when there is none. */
  async kept(name: string): Promise<Kept> {
    return resultOf(this, { target: "Penstock/kept", kind: 0, args: [name, null] });
  }

  /** An actor at the other side. */
  actor(address: string): Actor {
    return new Actor(this, address, () => this.#laneTo(address));
  }

  /** Close the connection, when the messages that were told to actors are in their mailboxes. Other calls are cancelled. */
  async close(): Promise<void> {
    const lanes = [...this.#lanes.values()];
    for (const lane of lanes) lane.end();
    if (lanes.length > 0 && this.#state === "connected") {
      let stop = () => {};
      const late = new Promise<void>((resolve) => {
        stop = this.clock.after(CLOSE_MS, resolve);
      });
      await Promise.race([Promise.all(lanes.map((lane) => lane.ended)), late]);
      stop();
    }
    this.#close(new Cancelled("the peer was closed"));
  }

  #laneTo(address: string): Lane {
    const before = this.#lanes.get(address);
    if (before?.isOpen) return before;
    const lane = new Lane(this, address, before);
    this.#lanes.set(address, lane);
    return lane;
  }

  #close(error: PenstockError): void {
    this.#closed ??= error;
    for (const session of this.#sessions) session.close(error);
    this.#tell("closed", error.message);
  }

  #newSession(): Session {
    const owner: SessionOwner = {
      connected: () => this.#tell("connected", ""),
      disconnected: (why) => this.#tell("disconnected", why),
      draining: (message) => this.#moveOn(session, message),
      over: (error) => this.#over(session, error),
    };
    const session: Session = new Session(this.#options, owner);
    this.#sessions.add(session);
    return session;
  }

  /** The server takes no new streams: those that are open go on, and new ones go over a session of their own (8.2). */
  #moveOn(from: Session, message: string): void {
    if (from !== this.#session || this.#closed !== undefined) return;
    if (!this.reconnects) return;
    this.#session = this.#newSession();
    for (const lane of this.#lanes.values()) lane.end();
    from.moveWaiting(this.#session);
    this.#tell("disconnected", `the server drains: ${message}`);
    this.#session.startSoon();
  }

  #over(session: Session, error: PenstockError): void {
    this.#sessions.delete(session);
    if (session !== this.#session || this.#closed !== undefined) return;
    this.#closed = error;
    this.#tell("closed", error.message);
  }

  #tell(state: PeerState, why: string): void {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    if (state === "closed") this.whenClosed.forEach((call) => call());
    try {
      this.onstate?.(state, why);
    } catch (error) {
      queueMicrotask(() => {
        throw error; // an error of the program, and not one of the connection
      });
    }
  }
}
