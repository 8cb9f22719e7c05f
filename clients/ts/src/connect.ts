/** From a URL to a peer. */
import { DEFAULTS, type Settings } from "./core/settings.ts";
import { judgeNumbers } from "./calls/options.ts";
import { aborted } from "./errors.ts";
import { Peer } from "./peer.ts";
import { realClock } from "./session/clock.ts";
import type { Offered, SessionOptions } from "./session/session.ts";
import type { Transport } from "./transports/transport.ts";
import { type WebSocketClass, webSocket } from "./transports/websocket.ts";

export interface ConnectOptions {
  /** Gives up connecting when it aborts. Afterwards it closes the peer. */
  signal?: AbortSignal;
  /** Whether a lost connection is made again; true unless said otherwise. */
  reconnect?: boolean;
  /** For how long a session is kept without a connection, in milliseconds; 30,000 unless said otherwise, 0 for not at all. */
  keepMs?: number;
  /** After how long a silence the other side is asked whether it is there, in milliseconds; 15,000 unless said otherwise. */
  keepAliveMs?: number;
  /** How long connecting may take, in milliseconds; 10,000 unless said otherwise. */
  handshakeMs?: number;
  /** All that has arrived and was not consumed, in bytes; 256 MiB unless said otherwise. */
  maxConnectionBytes?: number;
  /** The largest item that is taken, in bytes; 16 MiB unless said otherwise. */
  maxItemBytes?: number;
  /** Shown to the server, which may want to know its clients. A function is asked at each connection. When the server takes the last token no longer, streams end, and a new session begins with the next one. */
  token?: string | (() => string | Promise<string>);
  /** What the server may call at this side: each is made by `offer` of `@penstock/client/serve`. */
  services?: readonly Offered[];
  /** The class of WebSockets to use, where there is none (Node before 22). */
  WebSocket?: WebSocketClass;
}

/** How connections are made, by the scheme of a URL. */
export type Transports = Record<string, Transport>;

/**
 * Connect to the first of some URLs that answers: `ws://` and `wss://`. Rejects with `ConnectionLost` when none does.
 *
 * From then on the peer makes a lost connection again. Streams go on at the next item, when the server still has them.
 */
export async function connect(url: string | URL | readonly (string | URL)[], options: ConnectOptions = {}): Promise<Peer> {
  return connectWith({}, {}, url, options);
}

/** Connect with more transports and settings than a browser has. */
export async function connectWith(
  transports: Transports,
  settings: Partial<Settings>,
  url: string | URL | readonly (string | URL)[],
  options: ConnectOptions,
): Promise<Peer> {
  const { signal } = options;
  if (signal?.aborted) throw aborted(signal);
  const all: Transports = { "ws:": webSocket(options.WebSocket), "wss:": webSocket(options.WebSocket), ...transports };
  const urls = [url].flat().map((each) => new URL(each));
  for (const { protocol, href } of urls) if (!(protocol in all)) throw new TypeError(`${href}: ${protocol} is not known here`);
  const peer = new Peer(sessionOptions(urls, all, settings, options));
  const close = () => void peer.close();
  signal?.addEventListener("abort", close, { once: true });
  peer.whenClosed.add(() => signal?.removeEventListener("abort", close));
  await peer.start();
  return peer;
}

function sessionOptions(
  urls: URL[],
  all: Transports,
  settings: Partial<Settings>,
  {
    reconnect: reconnects = true,
    keepMs = 30_000,
    keepAliveMs = 15_000,
    handshakeMs = 10_000,
    maxConnectionBytes = DEFAULTS.max_connection_bytes,
    maxItemBytes = DEFAULTS.max_item_bytes,
    services = [],
    token = "",
  }: ConnectOptions,
): SessionOptions {
  judgeNumbers({ keepAliveMs, handshakeMs, maxConnectionBytes, maxItemBytes });
  judgeNumbers({ keepMs }, 0);
  return {
    urls,
    transportOf: (url) => all[url.protocol] as Transport,
    settings: {
      ...DEFAULTS,
      ...settings,
      keep_ms: reconnects ? keepMs : 0,
      max_connection_bytes: maxConnectionBytes,
      max_item_bytes: maxItemBytes,
      instance: crypto.getRandomValues(new Uint8Array(16)),
    },
    clock: realClock,
    keepAliveMs,
    handshakeMs,
    reconnects,
    services,
    token: typeof token === "string" ? () => token : token,
  };
}
