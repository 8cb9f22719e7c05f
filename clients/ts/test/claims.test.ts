/** A token of an end of a stream goes to the process that has proven to be its owner, and over no other session. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Cancelled, CallFailed, Code, connect, type Peer } from "../src/node.ts";
import { itemsOf, release, sendTo } from "../src/refs.ts";
import { collected } from "./check.ts";
import { PenstockServer } from "./server.ts";

let owner: PenstockServer, other: PenstockServer;
let peer: Peer, elsewhere: Peer;

before(async () => {
  [owner, other] = await Promise.all([PenstockServer.start(), PenstockServer.start()]);
  [peer, elsewhere] = await Promise.all([connect(owner.url), connect(other.url)]);
});
after(async () => {
  await Promise.all([peer.close(), elsewhere.close()]);
  await Promise.all([owner.stop(), other.stop()]);
});

/** A peer whose server drains when it was asked `asked` times: new streams go to another process. */
function draining(asked: number): Peer {
  const session = () => (asked-- > 0 ? peer : elsewhere).session();
  return Object.assign(Object.create(null) as Peer, {
    clock: peer.clock,
    reconnects: true,
    whenClosed: new Set<() => void>(),
    session,
  });
}

const rejects = (claim: Promise<unknown>) =>
  assert.rejects(claim, (error) => error instanceof CallFailed && error.code === Code.UNAVAILABLE);

test("a claim whose server drains during the proof is not sent to the next server", async () => {
  const source = await peer.call("Ends/source", [3]);
  await rejects(collected(itemsOf(draining(2), source)));
  await rejects(sendTo(draining(1), await peer.call("Ends/sink"), [1]));
  await rejects(release(draining(2), source));
});

test("a claim that waits for its turn does not move to the next server", async () => {
  const items = itemsOf(peer, await peer.call("Ends/source", [3]));
  assert.equal((await items.next()).value, 0);
  await items.return(undefined);
  const late = collected(itemsOf(peer, await peer.call("Ends/source", [3]))); // the proof is known: it opens before a turn ends
  for (let step = 0; step < 50; step++) {
    await Promise.resolve();
    peer.session().moveWaiting(elsewhere.session());
  }
  await rejects(late);
});

test("a signal ends the wait for the proof, and items that are not wanted are left", async () => {
  const fresh = await connect(owner.url);
  const sink = await fresh.call("Ends/sink");
  const abort = new AbortController();
  let isCancelled = false;
  const items = new ReadableStream({ cancel: () => void (isCancelled = true) });
  const sending = sendTo(fresh, sink, items, { signal: abort.signal });
  abort.abort();
  await assert.rejects(sending, Cancelled);
  await new Promise(setImmediate);
  assert.ok(isCancelled);
  await fresh.close();
});
