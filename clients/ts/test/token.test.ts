/** A server that knows its clients: the token of a program, at each connection. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import WebSocket from "ws";
import { CallFailed, Code, connect, type ConnectOptions } from "../src/node.ts";
import type { WebSocketClass } from "../src/transports/websocket.ts";
import { PenstockServer, Proxy } from "./server.ts";

let server: PenstockServer;
before(async () => {
  server = await PenstockServer.known("ws://127.0.0.1:0");
});
after(() => server.stop());

const connected = (options: ConnectOptions, url = server.url) =>
  connect(url, { WebSocket: WebSocket as unknown as WebSocketClass, ...options });

const refused = (options: ConnectOptions, message: RegExp) =>
  assert.rejects(connected(options), (error: unknown) => {
    assert(error instanceof CallFailed);
    assert.equal(error.code, Code.UNAUTHENTICATED);
    assert.match(error.message, message);
    assert.equal(error.started, false);
    return true;
  });

test("a client is known by its token", async () => {
  for (const token of ["alice:1", () => "alice:2", async () => "alice:3"]) {
    const peer = await connected({ token });
    assert.equal(await peer.call("Desk/name"), "alice");
    await peer.close();
  }
});

test("a client that is not known learns why", async () => {
  await refused({}, /takes only clients that prove their identity/);
  await refused({ token: "nonsense" }, /does not know the token of this client/);
});

test("a token function that fails fails the connection", async () => {
  const token = () => Promise.reject(new Error("the key store is locked"));
  await assert.rejects(connected({ token }), /no server answers: the key store is locked/);
});

test("a token function that does not return has the time of a handshake", async () => {
  const token = () => new Promise<string>(() => {});
  await assert.rejects(connected({ token, handshakeMs: 200 }), /did not say HELLO in 200 ms/);
});

test("a connection that returns shows the token of the moment, and streams go on", async () => {
  const proxy = await Proxy.to(server.port);
  let asked = 0;
  const peer = await connected({ token: () => `alice:${++asked}` }, `ws://127.0.0.1:${proxy.port}`);
  const seen: number[] = [];
  for await (const number of peer.stream<number>("Desk/ticks", [6])) {
    seen.push(number);
    if (number === 2) proxy.cut();
  }
  assert.deepEqual(seen, [0, 1, 2, 3, 4, 5]);
  assert.equal(asked, 2);
  await peer.close();
  proxy.close();
});

test("a token that ends fails what is open, and the next one is asked for", async () => {
  let asked = 0;
  const peer = await connected({ token: () => `brief:${++asked}` });
  const seen: number[] = [];
  await assert.rejects(async () => {
    for await (const number of peer.stream<number>("Desk/ticks", [100])) seen.push(number);
  }, /the credentials of 'brief' have expired/);
  assert(seen.length > 3);
  assert.equal(await peer.call("Desk/name"), "brief");
  assert.equal(asked, 2);
  await peer.close();
});

test("a newer token is shown while a stream goes on", async () => {
  const peer = await connected({ token: "brief:1" });
  const renewing = setInterval(() => void peer.call("Penstock/authenticate", ["brief:2"]), 300);
  try {
    const seen: number[] = [];
    for await (const number of peer.stream<number>("Desk/ticks", [15])) seen.push(number);
    assert.equal(seen.length, 15); // half a second longer than the first token
    const holdsMs = await peer.call<number>("Penstock/authenticate", ["brief:3"]);
    assert(holdsMs > 0 && holdsMs <= 1000);
  } finally {
    clearInterval(renewing);
    await peer.close();
  }
});

test("a client whose token is not accepted any more stops trying", async () => {
  let token = "brief:1";
  const peer = await connected({ token: () => token });
  token = "nonsense";
  await assert.rejects(drained(peer), /the credentials of 'brief' have expired/);
  await new Promise<void>((resolve) => peer.whenClosed.add(resolve));
  await assert.rejects(peer.call("Desk/name"), /does not know the token/);
});

async function drained(peer: Awaited<ReturnType<typeof connected>>): Promise<void> {
  for await (const _ of peer.stream("Desk/ticks", [100]));
}
