/** One link of a session, from its dial to its end: the handshake in time, the keep-alive, and how much is written. */
import type { Connection } from "../core/connection.ts";
import type { Event } from "../core/events.ts";
import { KeepAlive } from "../core/keepalive.ts";
import type { Link, Receiver, Transport } from "../transports/transport.ts";
import type { Clock } from "./clock.ts";

export interface LineOptions {
  clock: Clock;
  keepAliveMs: number;
  handshakeMs: number;
  /** By what the server may know this side. It has the time of the handshake. */
  token(): string | Promise<string>;
}

/** What a session hears of its link. */
export interface LineOwner {
  handle(event: Event): void;
  /** The link has taken what there was, or as much as it takes. */
  wrote(): void;
  /** The link was open, and is gone. Called once. */
  lost(why: string): void;
}

const OUTPUT_BYTES = 65_536;
/** Bytes are written while less than this waits in the link. */
const UNSENT_BYTES_MAX = 262_144;

export class Line implements Receiver {
  readonly #connection: Connection;
  readonly #owner: LineOwner;
  readonly #options: LineOptions;
  readonly #keepAlive: KeepAlive;
  readonly #attempt = new AbortController();
  readonly #openedAt: number;
  #link: Link | undefined;
  /** What has arrived before `dial` could say that there is a link: with the answer to a WebSocket's request, as a rule. */
  readonly #early: Uint8Array[] = [];
  #open = () => {};
  #fail: (error: Error) => void = () => {};
  #isOpen = false;
  #isOver = false;
  #pings = 0;
  #stopTimer = () => {};

  constructor(connection: Connection, owner: LineOwner, options: LineOptions) {
    this.#connection = connection;
    this.#owner = owner;
    this.#options = options;
    this.#openedAt = options.clock.now();
    this.#keepAlive = new KeepAlive(options.keepAliveMs, this.#openedAt);
  }

  /** How long ago the link was dialled. */
  get ageMs(): number {
    return this.#options.clock.now() - this.#openedAt;
  }

  /** Make the connection and shake hands. Rejects when that fails, or takes too long. */
  async dial(transport: Transport, url: URL): Promise<void> {
    const { clock, handshakeMs } = this.#options;
    const opened = new Promise<void>((resolve, reject) => {
      this.#open = resolve;
      this.#fail = reject;
    });
    this.#stopTimer = clock.after(handshakeMs, () => this.#end(`${url} did not say HELLO in ${handshakeMs} ms`));
    this.#make(transport, url).then(
      (link) => this.#begin(link),
      (error: unknown) => this.#end(error instanceof Error ? error.message : String(error)),
    );
    await opened;
  }

  async #make(transport: Transport, url: URL): Promise<Link> {
    this.#connection.credentials = await this.#options.token();
    this.#attempt.signal.throwIfAborted();
    return transport.dial(url, this, this.#attempt.signal);
  }

  #begin(link: Link): void {
    if (this.#isOver) return link.close();
    this.#link = link;
    this.#connection.beginLink();
    this.write();
    for (const bytes of this.#early.splice(0)) this.received(bytes);
  }

  received(bytes: Uint8Array): void {
    if (this.#isOver) return;
    if (this.#link === undefined) return void this.#early.push(bytes);
    this.#keepAlive.heard(this.#options.clock.now());
    for (const event of this.#connection.receive(bytes)) {
      this.#owner.handle(event);
      if (event.type === "Ready" || event.type === "WentOn") this.#greeted();
      else if (event.type === "Gone") return this.#end(event.goaway.message || "the other side has closed the connection");
      else if (event.type === "Violated") {
        this.write();
        return this.#end(event.violation.message);
      }
    }
    this.write();
  }

  #greeted(): void {
    if (this.#isOpen || this.#isOver) return;
    this.#isOpen = true;
    this.#stopTimer();
    this.#watch();
    this.#open();
  }

  drained(): void {
    this.write();
  }

  lost(why: string): void {
    this.#end(why);
  }

  /** Write what the link has room for. */
  write(): void {
    const link = this.#link;
    while (link !== undefined && link.unsent < UNSENT_BYTES_MAX) {
      const bytes = this.#connection.output(OUTPUT_BYTES);
      if (bytes === undefined) break;
      link.write(bytes);
    }
    this.#owner.wrote();
  }

  /** Give the link up. The owner does not hear of it. */
  close(): void {
    this.#isOpen = false;
    this.#end("closed");
  }

  #end(why: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopTimer();
    this.#attempt.abort();
    this.#link?.close();
    this.#link = undefined;
    this.#fail(new Error(why));
    if (this.#isOpen) this.#owner.lost(why);
  }

  #watch(): void {
    const { clock } = this.#options;
    const due = this.#keepAlive.check(clock.now());
    if (due === "lost") return this.#end("no answer");
    if (due === "ask") {
      this.#pings += 1;
      this.#connection.ping(this.#pings);
      this.write();
    }
    if (!this.#isOver) this.#stopTimer = clock.after(this.#keepAlive.wakesAt - clock.now(), () => this.#watch());
  }
}
