/** An actor at the other side, by its address. */
import type { Carrier } from "../calls/call.ts";
import { type Dropped, withDropped } from "../calls/marks.ts";
import type { CallOptions, StreamOptions } from "../calls/options.ts";
import { resultOf } from "../calls/result.ts";
import { Stream } from "../calls/stream.ts";
import { type Channel, openChannel } from "./channel.ts";
import type { Body, Lane } from "./lane.ts";

export interface SubscribeOptions extends StreamOptions {
  /** What happens to a subscriber without room; the port's own policy unless said otherwise. */
  overflow?: "wait" | "drop_oldest" | "drop_newest" | "latest" | "error";
}

export class Actor {
  readonly address: string;
  readonly #carrier: Carrier;
  readonly #lane: () => Lane;

  /** Use `Peer.actor`. */
  constructor(carrier: Carrier, address: string, lane: () => Lane) {
    this.#carrier = carrier;
    this.address = address;
    this.#lane = lane;
  }

  /** Send a message, and wait for its answer. Messages of this peer to this actor are handled in their order. */
  async ask<T = unknown>(method: string, args: Body = [], options?: CallOptions): Promise<T> {
    return this.#lane().ask(method, args, options) as Promise<T>;
  }

  /** Send a message that nothing answers. Resolves when there is room for it on the way to the mailbox. */
  async tell(method: string, args: Body = [], options?: CallOptions): Promise<void> {
    return this.#lane().tell(method, args, options);
  }

  /** Call a method with a stream of results. */
  stream<T = unknown>(method: string, args: Body = [], options: StreamOptions = {}): Stream<T> {
    return new Stream(this.#carrier, { target: `/${this.address}/${method}`, kind: 2, args, options });
  }

  /** What a port publishes from now on. `Dropped` stands for items that were lost. */
  subscribe<T = unknown>(port: string, { overflow, ...options }: SubscribeOptions = {}): Stream<T | Dropped> {
    const args = [port, options.bufferSize ?? null, overflow ?? null];
    return new Stream<T | Dropped>(this.#carrier, { target: `/${this.address}!port`, kind: 2, args, options }, withDropped);
  }

  /** Open a channel. Rejects with code 9 when the actor refuses it; the message is its reason. */
  openChannel<In = unknown, Out = unknown>(payload?: unknown, options: StreamOptions = {}): Promise<Channel<In, Out>> {
    return openChannel(this.#carrier, this.address, payload, options);
  }

  /** Stop the actor. Resolves when it has stopped. */
  async stop(): Promise<void> {
    await resultOf(this.#carrier, { target: `/${this.address}!stop`, kind: 0, args: [] });
  }
}
