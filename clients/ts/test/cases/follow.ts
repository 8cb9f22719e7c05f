/** Retained streams. They run in Node over each transport, and in a browser. */
import { CallFailed, Code, Dropped, type Peer } from "../../src/index.ts";
import { check, collected, rejects, same, until } from "../check.ts";
import type { Cases } from "./world.ts";

let made = 0;

/** Make a stream of numbers under a name of its own. */
async function started(peer: Peer, count: number, pauseMs = 0): Promise<string> {
  made += 1;
  const name = `run-${made}-${Math.random()}`;
  await peer.call("Runs/start", [name, count, pauseMs]);
  return name;
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index);

export const follow: Cases = {
  "a retained stream is read from its beginning, from an offset, and by two readers": async ({ peer }) => {
    const name = await started(peer, 20);
    same(await Promise.all([collected(peer.follow(name)), collected(peer.follow(name, { since: 17 }))]), [
      numbers(0, 20),
      numbers(17, 20),
    ]);
    const { state, next } = await peer.kept(name);
    same([state, next], ["ended", 20]);
  },

  "a follower tells the offset of the next item, and the id of the stream": async ({ peer }) => {
    const name = await started(peer, 5);
    const follower = peer.follow<number>(name);
    for await (const item of follower) if (item === 2) break;
    same(follower.offset, 3);
    check(follower.id?.length === 16);
    same(await collected(peer.follow(name, { since: 3, id: follower.id })), [3, 4]);
    await rejects(collected(peer.follow(name, { since: 3, id: new Uint8Array(16) })), { code: Code.ABORTED });
  },

  "what is not there says so": async ({ peer }) => {
    await rejects(collected(peer.follow("nothing")), { code: Code.NOT_FOUND });
    const name = await started(peer, 1);
    const error = (await rejects(collected(peer.follow(name, { since: 7 })), CallFailed)) as CallFailed;
    same([error.code, error.details.next], [Code.OUT_OF_RANGE, 1]);
  },

  "a follower goes on over cut connections, and loses no item": async ({ through }) => {
    const [peer, path] = await through();
    const name = await started(peer, 300, 1);
    const items: number[] = [];
    for await (const item of peer.follow<number>(name)) {
      items.push(item as number);
      if (items.length % 50 === 0) await path.cut();
    }
    same(items, numbers(0, 300));
  },

  "a follower goes on by its offset when its session is lost": async ({ through }) => {
    const [peer, path] = await through({ keepMs: 0 });
    const name = await started(peer, 200, 1);
    const items: number[] = [];
    // with a small window, so that items are missing at each cut, however slow this side is
    for await (const item of peer.follow<number>(name, { bufferSize: 8 })) {
      items.push(item as number);
      if (items.length % 60 === 0) await path.cut();
    }
    same(items, numbers(0, 200));
    check((await path.connections()) > 2);
  },

  "a reader of the newest item is told how many it did not get": async ({ peer }) => {
    const name = await started(peer, 1000);
    await until(async () => (await peer.kept(name)).next === 1000);
    const follower = peer.follow<number>(name, { latest: true });
    const items = await collected(follower);
    same(items.at(-1), 999);
    check(items.length < 1000 && items.some((item) => item instanceof Dropped));
    same(follower.offset, 1000);
  },

  "a stream is stopped by its follower, and its readers are told": async ({ peer }) => {
    const name = await started(peer, 1e9, 1);
    const follower = peer.follow<number>(name);
    await follower.next();
    await follower.stop();
    await rejects(collected(follower), { code: Code.CANCELLED });
  },
};
