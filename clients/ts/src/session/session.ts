/**
 * One session over its links. It makes a lost link again, so that the session goes on where it was (PROTOCOL.md section 9);
 * when the server does not have it any more, its streams are lost, and a new session begins.
 */
import { Connection } from "../core/connection.ts";
import type { Event } from "../core/events.ts";
import type { Open } from "../core/frames.ts";
import type { Settings } from "../core/settings.ts";
import type { Stream } from "../core/stream.ts";
import { CallFailed, clean, Code, ConnectionLost, type PenstockError } from "../errors.ts";
import type { Transport } from "../transports/transport.ts";
import type { Clock } from "./clock.ts";
import { Backoff } from "./backoff.ts";
import { Line, type LineOptions, type LineOwner } from "./line.ts";
import { Turns } from "./turns.ts";

export interface SessionOptions extends LineOptions {
  /** Where the server is: the first that answers is taken. */
  urls: readonly URL[];
  transportOf(url: URL): Transport;
  settings: Settings;
  /** Whether a lost link is made again. */
  reconnects: boolean;
  /** What the other side may call here. */
  services: readonly Offered[];
}

/** A service of this side. */
export interface Offered {
  readonly name: string;
  /** Begin a call of the other side; nothing of it may be sent before this has returned. */
  begin(session: Session, stream: Stream, open: Open): Endpoint;
}

/** What is told of the session as a whole. */
export interface SessionOwner {
  /** The link is there, or there again. */
  connected(): void;
  /** The link is gone, and is being made again. */
  disconnected(why: string): void;
  /** The server takes no new streams here. */
  draining(message: string): void;
  /** Nothing goes on any more. */
  over(error: PenstockError): void;
}

export type StreamEvent = Extract<Event, { stream: Stream }>;

/** What is told of one stream. */
export interface Endpoint {
  handle(event: StreamEvent): void;
  /** The session is lost, and the stream with it. */
  lost(error: PenstockError): void;
  /** Another session carries the stream from now on: its OPEN had not left. */
  moved(session: Session): void;
}

export class Session {
  connection: Connection;
  readonly #options: SessionOptions;
  readonly #owner: SessionOwner;
  readonly #endpoints = new Map<Stream, Endpoint>();
  readonly #turns = new Turns(() => this.#line?.write());
  readonly #backoff = new Backoff();
  #line: Line | undefined;
  #isOver = false;
  #isDrained = false;
  #stopExpiry = () => {};
  readonly #whenWritten: (() => void)[] = [];
  #stopWaiting = () => {};

  constructor(options: SessionOptions, owner: SessionOwner) {
    this.#options = options;
    this.#owner = owner;
    this.connection = new Connection(options.settings);
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether the server takes new streams here. */
  get isDrained(): boolean {
    return this.#isDrained;
  }

  /** Connect to the first URL that answers. Rejects when none does; later losses are made good without a word. */
  async start(): Promise<void> {
    let last: unknown = new Error("no URL");
    for (const url of this.#options.urls) {
      try {
        return await this.#dial(url);
      } catch (error) {
        last = error;
        if (this.#isOver) break;
      }
    }
    throw last;
  }

  /** Let an endpoint hear of a stream that was opened on `connection`. */
  add(stream: Stream, endpoint: Endpoint): void {
    this.#endpoints.set(stream, endpoint);
    this.wake();
  }

  /** Forget a stream that is over. */
  remove(stream: Stream): void {
    this.#endpoints.delete(stream);
    this.wake();
    this.#closeDrained();
  }

  /** A session that the server drains is closed when its streams are over, and have been written. */
  #closeDrained(): void {
    const { streams, isOver } = this.connection;
    if (this.#isDrained && !isOver && this.#endpoints.size === 0 && streams.size === 0)
      this.close(new ConnectionLost("the server has drained"));
  }

  /** Something is to be written. */
  wake(): void {
    this.#turns.ask();
  }

  /** Call once when bytes have been written. */
  whenWritten(call: () => void): void {
    this.#whenWritten.push(call);
  }

  #wrote(): void {
    for (const call of this.#whenWritten.splice(0)) call();
    this.#closeDrained();
  }

  /** Give the streams whose OPEN has not left to another session. */
  moveWaiting(to: Session): void {
    const openings = this.connection.outbox.takeOpenings();
    to.connection.outbox.adopt(openings);
    for (const stream of openings.keys()) {
      const endpoint = this.#endpoints.get(stream);
      this.#endpoints.delete(stream);
      if (endpoint === undefined) continue;
      to.add(stream, endpoint);
      endpoint.moved(to);
    }
  }

  /** End the session on purpose. Streams that are open end with the error. */
  close(error: PenstockError): void {
    if (this.#isOver) return;
    this.connection.goodbye();
    this.#line?.write();
    this.#end(error);
  }

  #end(error: PenstockError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopExpiry();
    this.#stopWaiting();
    this.#line?.close();
    this.#lose([...this.#endpoints.keys()], error);
    this.#owner.over(error);
  }

  async #dial(url: URL): Promise<void> {
    const owner: LineOwner = {
      handle: (event) => this.#handle(event),
      wrote: () => this.#wrote(),
      lost: (why) => this.#lost(line, why),
    };
    const line = new Line(this.connection, owner, this.#options);
    this.#line = line;
    await line.dial(this.#options.transportOf(url), url);
  }

  #handle(event: Event): void {
    switch (event.type) {
      case "Gone":
        if (event.goaway.code === Code.UNAUTHENTICATED) this.#unknown(clean(event.goaway.message));
        return;
      case "Violated":
        return;
      case "Ready":
      case "WentOn":
        this.#stopExpiry();
        return this.#owner.connected();
      case "Refused":
        return this.#lose(event.lost, new ConnectionLost(`the server has the session no more: ${clean(event.message)}`));
      case "Draining":
        this.#isDrained = true;
        this.#owner.draining(clean(event.goaway.message));
        return this.#closeDrained();
      case "Opened":
        return this.#opened(event.stream, event.open);
      default:
        this.#endpoints.get(event.stream)?.handle(event);
    }
  }

  /** The server does not take this side, or takes it no longer: then it may with a newer token. */
  #unknown(message: string): void {
    const error = new CallFailed(Code.UNAUTHENTICATED, message, { started: false });
    if (!this.connection.isOpen || !this.#options.reconnects) return this.#end(error);
    this.#renew(error);
    this.#owner.disconnected(message);
    this.startSoon();
  }

  #opened(stream: Stream, open: Open): void {
    const offered = this.#options.services.find(({ name }) => open.target.startsWith(`${name}/`));
    if (offered !== undefined) return this.add(stream, offered.begin(this, stream, open));
    this.connection.answer(stream, { code: 12, message: `there is no ${clean(open.target)} here`, started: false });
  }

  #lost(line: Line, why: string): void {
    const { reconnects, clock } = this.#options;
    if (this.#isOver || line !== this.#line) return;
    const error = new ConnectionLost(`the connection was lost: ${clean(why)}`);
    if (!reconnects || this.#isDrained) return this.#end(error);
    if (this.connection.isLasting) this.#stopExpiry = clock.after(this.connection.keepMs, () => this.#renew(error));
    else this.#renew(error);
    this.#owner.disconnected(error.message);
    if (line.ageMs > this.#backoff.maxMs) this.#backoff.reset();
    this.startSoon();
  }

  /** Connect in the background, and try until it works. */
  startSoon(): void {
    void this.#redial();
  }

  /** Give the session up, and begin a new one over the next link. Calls whose OPEN has not left go with it. */
  #renew(error: PenstockError): void {
    const { outbox, streams } = this.connection;
    const lost = [...streams.values()];
    this.#line?.close(); // one that is being made asks for the session that is given up
    this.connection = new Connection(this.#options.settings);
    this.connection.outbox.adopt(outbox.takeOpenings());
    this.#lose(lost, error);
  }

  async #redial(): Promise<void> {
    while (!this.#isOver) {
      await new Promise<void>((resolve) => {
        const stop = this.#options.clock.after(this.#backoff.nextMs(), resolve);
        this.#stopWaiting = () => {
          stop();
          resolve();
        };
      });
      if (this.#isOver) return;
      try {
        return await this.start();
      } catch {
        this.#line = undefined;
      }
    }
  }

  #lose(streams: readonly Stream[], error: PenstockError): void {
    for (const stream of streams) {
      const endpoint = this.#endpoints.get(stream);
      this.#endpoints.delete(stream);
      endpoint?.lost(error);
    }
  }
}
