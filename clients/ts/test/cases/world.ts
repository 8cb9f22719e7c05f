/** What a case of a test finds around it: in Node, or in a page. */
import type { ConnectOptions, Peer } from "../../src/index.ts";

/** A server behind a proxy, as a test moves it. */
export interface Path {
  /** Cut all connections. */
  cut(): Promise<void>;
  /** Let new connections be made, or refuse them. */
  accept(isAccepted: boolean): Promise<void>;
  /** How many connections were made. */
  connections(): Promise<number>;
}

export interface World {
  /** Connected to the server; all cases share it. */
  peer: Peer;
  /** Connect once more, to the server or to another URL. */
  connect(options?: ConnectOptions, url?: string): Promise<Peer>;
  /** Connect through a proxy. */
  through(options?: ConnectOptions): Promise<[Peer, Path]>;
  /** A URL at which no server is. */
  nowhere: string;
  /** Close what was connected. */
  close?(): void;
}

export type Cases = Record<string, (world: World) => Promise<void>>;
