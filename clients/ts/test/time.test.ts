/** What depends on time: keep-alive, back-off, and when a session writes. No test here waits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { KeepAlive } from "../src/core/keepalive.ts";
import { Backoff } from "../src/session/backoff.ts";
import { nextTurn, Turns } from "../src/session/turns.ts";

test("a side that is silent is asked after the keep-alive time, and lost after it has passed again (7.2, 7.3)", () => {
  const alive = new KeepAlive(100, 0);
  assert.equal(alive.check(99), undefined);
  assert.equal(alive.check(100), "ask");
  assert.equal(alive.wakesAt, 200);
  assert.equal(alive.check(200), "lost");
});

test("every byte is a sign of life", () => {
  const alive = new KeepAlive(100, 0);
  alive.heard(60);
  assert.equal(alive.check(100), undefined);
  assert.equal(alive.wakesAt, 160);
  assert.equal(alive.check(160), "ask");
  alive.heard(170);
  assert.equal(alive.check(260), undefined);
  assert.equal(alive.check(270), "ask");
});

test("a side that slept itself asks before it gives the other one up", () => {
  const alive = new KeepAlive(100, 0);
  assert.equal(alive.check(100), "ask");
  assert.equal(alive.check(9_000), "ask");
  assert.equal(alive.check(9_100), "lost");
});

test("the wait before an attempt doubles up to its limit, and half of it is random", () => {
  const backoff = new Backoff();
  const waits = Array.from({ length: 9 }, () => backoff.nextMs(1));
  assert.deepEqual(waits, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
  assert.equal(backoff.nextMs(0), 2500);
  backoff.reset();
  assert.equal(backoff.nextMs(1), 50);
});

test("a session that was quiet writes at once, and then once in a turn", async () => {
  let runs = 0;
  const turns = new Turns(() => {
    runs += 1;
  });
  turns.ask();
  turns.ask();
  await Promise.resolve();
  assert.equal(runs, 1);
  for (let count = 0; count < 10; count++) {
    turns.ask();
    await Promise.resolve();
  }
  assert.equal(runs, 1);
  await new Promise<void>((resolve) => nextTurn(resolve));
  assert.equal(runs, 2);
});
