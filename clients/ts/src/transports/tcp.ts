/** `tcp://host:port`, in Node. */
import { connect, type Socket } from "node:net";
import type { Link, Receiver, Transport } from "./transport.ts";

class SocketLink implements Link {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get unsent(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  close(): void {
    this.#socket.end();
    this.#socket.unref(); // a peer that does not close its side keeps no program alive
  }
}

export const tcp: Transport = {
  dial: (url, receiver, signal) =>
    new Promise((resolve, reject) => {
      if (url.port === "") throw new TypeError(`${url} names no port`);
      const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
      const socket = connect({ host, port: Number(url.port), noDelay: true });
      const abort = () => socket.destroy(new Error("gave up"));
      signal.addEventListener("abort", abort, { once: true });
      socket.once("connect", () => {
        signal.removeEventListener("abort", abort);
        resolve(new SocketLink(socket));
      });
      listen(socket, receiver, reject);
    }),
};

function listen(socket: Socket, receiver: Receiver, reject: (error: Error) => void): void {
  let why = "the other side has closed the connection";
  socket.on("data", ({ buffer, byteOffset, length }) => receiver.received(new Uint8Array(buffer, byteOffset, length)));
  socket.on("drain", () => receiver.drained());
  socket.on("error", (error) => {
    why = error.message;
  });
  socket.on("close", () => {
    reject(new Error(why)); // of no effect once the connection was made
    receiver.lost(why);
  });
}
