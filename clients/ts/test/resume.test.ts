/** Connections that are cut, servers that go away: a real server in Python behind a proxy. */
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Cancelled, connect, type ConnectOptions, ConnectionLost, type Peer } from "../src/node.ts";
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
  undo.push(
    () => peer.close(),
    () => proxy.close(),
  );
  return [peer, proxy];
}

async function until(isSo: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await isSo())) await sleep(2);
}

const stateOf = (peer: Peer, state: Peer["state"]) => until(() => peer.state === state);

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

test("a server that drains ends what it has, and new calls go to the next one", async () => {
  const first = await PenstockServer.serve();
  const second = await PenstockServer.serve();
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

test("a signal gives up connecting, and closes a peer that is connected", async () => {
  const proxy = await Proxy.to(server.port);
  undo.push(() => proxy.close());
  proxy.freeze();
  const early = new AbortController();
  const connecting = connect(`tcp://127.0.0.1:${proxy.port}`, { signal: early.signal });
  setImmediate(() => early.abort());
  await assert.rejects(connecting, Cancelled);
  const late = new AbortController();
  const peer = await connect(server.url, { signal: late.signal });
  const call = peer.call("Market/forever");
  late.abort();
  await assert.rejects(call, Cancelled);
  assert.equal(peer.state, "closed");
});

test("of several URLs the first that answers is taken", async () => {
  const peer = await connect(["tcp://127.0.0.1:1", server.url]);
  undo.push(() => peer.close());
  assert.equal(await peer.call("Market/echo", [3]), 3);
});

test("a follower of a durable stream goes on when its server was started again", async () => {
  const file = join(mkdtempSync(join(tmpdir(), "penstock-")), "kept.db");
  const first = await PenstockServer.start("tcp://127.0.0.1:0", "--kept", file);
  const [peer, proxy] = await through({}, first.port);
  const items: unknown[] = [];
  const reading = (async () => {
    for await (const item of peer.follow("kept")) {
      items.push(item);
      if (items.length === 5) return;
    }
  })();
  await peer.call("Runs/append", ["kept", [0, 1, 2]]);
  await until(() => items.length === 3);
  await first.stop();
  const second = await PenstockServer.start("tcp://127.0.0.1:0", "--kept", file);
  proxy.leadTo(second.port);
  await peer.call("Runs/append", ["kept", [3, 4]]);
  await reading;
  assert.deepEqual(items, [0, 1, 2, 3, 4]);
  await second.stop();
});

test("a follower of a stream that was in memory is told that it is gone", async () => {
  const first = await PenstockServer.start();
  const second = await PenstockServer.start();
  const [peer, proxy] = await through({}, first.port);
  await peer.call("Runs/start", ["run", 1e9, 1]);
  const follower = peer.follow("run");
  const lost = (async () => {
    for await (const _ of follower);
  })();
  await until(() => (follower.offset ?? 0) > 3);
  proxy.leadTo(second.port);
  await first.stop();
  await assert.rejects(lost, /run cannot be followed on from \d+/);
  await second.stop();
});
