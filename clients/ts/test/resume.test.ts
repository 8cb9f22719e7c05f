/** Connections that are cut, servers that go away: a real server in Python behind a proxy. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type ConnectOptions, ConnectionLost, type Peer } from "../src/node.ts";
import { PenstockServer, Proxy } from "./server.ts";

let server: PenstockServer;
const undo: (() => void)[] = [];

before(async () => {
  server = await PenstockServer.start();
});

after(async () => {
  for (const each of undo) each();
  await server?.stop();
});

async function through(options: ConnectOptions = {}, port = server.port): Promise<[Peer, Proxy]> {
  const proxy = await Proxy.to(port);
  const peer = await connect(`tcp://127.0.0.1:${proxy.port}`, options);
  undo.push(() => peer.close(), () => proxy.close());
  return [peer, proxy];
}

async function until(isSo: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await isSo())) await sleep(2);
}

const stateOf = (peer: Peer, state: Peer["state"]) => until(() => peer.state === state);

test("a stream that is cut again and again loses no item, and doubles none", async () => {
  const [peer, proxy] = await through();
  let next = 0;
  for await (const item of peer.stream<number>("Market/count", [30_000], { bufferSize: 64 })) {
    assert.equal(item, next++);
    if (next % 3000 === 0) proxy.cut();
  }
  assert.equal(next, 30_000);
  assert(proxy.connections > 5, `${proxy.connections} connections`);
});

test("requests that are cut lose no item, and double none", async () => {
  const [peer, proxy] = await through();
  async function* numbers() {
    for (let number = 1; number <= 5000; number++) {
      if (number % 1000 === 0) proxy.cut();
      yield number;
    }
  }
  const answers: number[] = [];
  for await (const answer of peer.stream<number>("Market/double", [], { requests: numbers(), bufferSize: 32 })) answers.push(answer);
  assert.deepEqual(answers, Array.from({ length: 5000 }, (_, index) => (index + 1) * 2));
});

test("a large item that is cut in its middle arrives whole", async () => {
  const [peer, proxy] = await through();
  const large = new Uint8Array(8_000_000).map((_, index) => index % 251);
  const echo = peer.call<Uint8Array>("Market/echo", [large]);
  for (let count = 0; count < 5; count++) {
    await sleep(10);
    proxy.cut();
  }
  assert.deepEqual(await echo, large);
});

test("a call that waits for its answer outlives its connection, and so do calls that are made without one", async () => {
  const [peer, proxy] = await through();
  const states: string[] = [];
  peer.onstate = (state) => states.push(state);
  const first = peer.call("Market/slow", [7]);
  await peer.call("Market/progress");
  proxy.accepts = false;
  proxy.cut();
  await stateOf(peer, "disconnected");
  const second = peer.call("Market/echo", [8]);
  proxy.accepts = true;
  assert.deepEqual(await Promise.all([first, second]), [7, 8]);
  assert.deepEqual(states, ["disconnected", "connected"]);
});

test("a server that is started anew has lost the streams, and takes new calls", async () => {
  const first = await PenstockServer.start();
  const [peer, proxy] = await through({}, first.port);
  const items: number[] = [];
  const lost = (async () => {
    for await (const item of peer.stream<number>("Market/stall", [3])) items.push(item);
  })();
  await until(() => items.length === 3);
  const second = await PenstockServer.start();
  proxy.leadTo(second.port);
  await first.stop();
  await assert.rejects(lost, ConnectionLost);
  assert.deepEqual(items, [0, 1, 2]);
  assert.equal(await peer.call("Market/echo", [1]), 1);
  await second.stop();
});

test("a session that is not kept is lost with its connection", async () => {
  const [peer, proxy] = await through({ keepMs: 0 });
  const call = peer.call("Market/forever");
  await peer.call("Market/progress");
  proxy.cut();
  await assert.rejects(call, ConnectionLost);
  assert.equal(await peer.call("Market/echo", [1]), 1);
});

test("a session is kept no longer than keepMs", async () => {
  const [peer, proxy] = await through({ keepMs: 60 });
  const call = peer.call("Market/forever");
  await peer.call("Market/progress");
  proxy.accepts = false;
  proxy.cut();
  await assert.rejects(call, ConnectionLost);
  proxy.accepts = true;
  assert.equal(await peer.call("Market/echo", [1]), 1);
});

test("a peer that does not reconnect is closed when its connection is lost", async () => {
  const [peer, proxy] = await through({ reconnect: false });
  const call = peer.call("Market/forever");
  await peer.call("Market/progress");
  proxy.cut();
  await assert.rejects(call, ConnectionLost);
  await stateOf(peer, "closed");
  await assert.rejects(peer.call("Market/progress"), ConnectionLost);
});

test("a server that drains ends what it has, and new calls go to the next one", async () => {
  const first = await PenstockServer.start();
  const second = await PenstockServer.start();
  const [peer, proxy] = await through({}, first.port);
  const old = peer.call<number>("Market/slow", [5]);
  await peer.call("Market/progress");
  proxy.leadTo(second.port);
  const stopped = first.stop("SIGTERM");
  await until(() => proxy.connections === 2);
  assert.equal(await peer.call("Market/echo", [6]), 6);
  assert.equal(await old, 5);
  await stopped;
  await second.stop();
});

test("a connection that says nothing is asked, given up and made again", async () => {
  const [peer, proxy] = await through({ keepAliveMs: 50 });
  proxy.freeze();
  await stateOf(peer, "disconnected");
  proxy.thaw();
  assert.equal(await peer.call("Market/echo", [2]), 2);
});

test("a server that does not say HELLO in time is given up", async () => {
  const proxy = await Proxy.to(server.port);
  undo.push(() => proxy.close());
  proxy.freeze();
  await assert.rejects(connect(`tcp://127.0.0.1:${proxy.port}`, { handshakeMs: 50 }), /did not say HELLO in 50 ms/);
});

test("of several URLs the first that answers is taken", async () => {
  const peer = await connect(["tcp://127.0.0.1:1", server.url]);
  undo.push(() => peer.close());
  assert.equal(await peer.call("Market/echo", [3]), 3);
});
