/** `ws://` and `wss://`, by the WebSocket of a browser, of Node 22, or one that is passed in (PROTOCOL.md section 15). */
import type { Link, Receiver, Transport } from "./transport.ts";

export const SUBPROTOCOL = "penstock.1";
/** The largest message (15.3). Where messages are cut has no meaning. */
const MESSAGE_BYTES_MAX = 131_072;
/** A WebSocket does not say when its buffer has room, so it is asked. */
const ASK_MS = 5;
const LOW_BYTES = 131_072;
/** How long the other side may take to answer a close. */
const CLOSE_MS = 1_000;

/** The part of a WebSocket that is used here. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  readonly protocol: string;
  readonly readyState: number;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  terminate?(): void;
  onopen: ((event: never) => unknown) | null;
  onmessage: ((event: never) => unknown) | null;
  onerror: ((event: never) => unknown) | null;
  onclose: ((event: never) => unknown) | null;
}

export type WebSocketClass = new (url: string, protocols: string[]) => WebSocketLike;

class WebSocketLink implements Link {
  readonly #socket: WebSocketLike;
  readonly #receiver: Receiver;
  #isAsking = false;

  constructor(socket: WebSocketLike, receiver: Receiver) {
    this.#socket = socket;
    this.#receiver = receiver;
  }

  get unsent(): number {
    return this.#socket.bufferedAmount;
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += MESSAGE_BYTES_MAX)
      this.#socket.send(bytes.subarray(at, at + MESSAGE_BYTES_MAX) as Uint8Array<ArrayBuffer>);
    if (this.unsent > LOW_BYTES) this.#ask();
  }

  close(): void {
    shut(this.#socket, 1000);
  }

  #ask(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    setTimeout(() => {
      this.#isAsking = false;
      if (this.#socket.readyState > 1) return; // it is closed, and its buffer stays as it is
      if (this.unsent > LOW_BYTES) this.#ask();
      else this.#receiver.drained();
    }, ASK_MS);
  }
}

/** Close a WebSocket. In Node one whose other side says nothing more would keep the program alive for half a minute. */
function shut(socket: WebSocketLike, code: number, reason?: string): void {
  socket.close(code, reason);
  const timer = setTimeout(() => socket.terminate?.(), CLOSE_MS);
  (timer as { unref?(): void }).unref?.(); // a number in a browser
}

/** A transport over a class of WebSockets. Without one, over that of the platform. */
export function webSocket(given?: WebSocketClass): Transport {
  return {
    dial: (url, receiver, signal) =>
      new Promise((resolve, reject) => {
        const type = given ?? (globalThis.WebSocket as unknown as WebSocketClass | undefined);
        if (type === undefined) throw new TypeError("no WebSocket here: pass the option `WebSocket`");
        const socket = new type(url.href, [SUBPROTOCOL]);
        socket.binaryType = "arraybuffer";
        signal.addEventListener("abort", () => socket.close(), { once: true });
        socket.onopen = () => {
          if (socket.protocol === SUBPROTOCOL) return resolve(new WebSocketLink(socket, receiver));
          socket.close();
          return reject(new Error(`${url} does not speak ${SUBPROTOCOL}`));
        };
        listen(socket, receiver, reject);
      }),
  };
}

function listen(socket: WebSocketLike, receiver: Receiver, reject: (error: Error) => void): void {
  let why = "the other side has closed the connection";
  socket.onmessage = ({ data }: { data: unknown }) => {
    if (data instanceof ArrayBuffer) return receiver.received(new Uint8Array(data));
    why = "the other side has sent a text message";
    shut(socket, 1003, why);
    return receiver.lost(why);
  };
  socket.onerror = ({ message }: { message?: string }) => {
    why = message || "the WebSocket has failed";
  };
  socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
    const said = code === 1000 || code === 1005 ? why : `${why} (${code}${reason && `: ${reason}`})`;
    reject(new Error(said)); // of no effect once the connection was made
    receiver.lost(said);
  };
}
