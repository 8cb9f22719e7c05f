/** Ends of streams as values. They run in Node over each transport, and in a browser. */
import { CallFailed, Code } from "../../src/index.ts";
import { itemsOf, release, sendTo } from "../../src/refs.ts";
import { check, collected, rejects, same, until } from "../check.ts";
import type { Cases } from "./world.ts";

const numbers = (n: number): number[] => Array.from({ length: n }, (_, index) => index);

export const refs: Cases = {
  "a SourceRef in a result is read here, once": async ({ peer }) => {
    const source = await peer.call("Ends/source", [500]);
    same(await collected(itemsOf(peer, source)), numbers(500));
    await rejects(collected(itemsOf(peer, source)), CallFailed);
  },

  "leaving the loop over a SourceRef ends its producer, which is never further ahead than bufferSize": async ({ peer }) => {
    const [, before] = await peer.call<[number, number]>("Ends/counts");
    let taken = 0;
    for await (const item of itemsOf<number>(peer, await peer.call("Ends/source", [1e9]), { bufferSize: 4 })) {
      same(item, taken++);
      if (taken === 5) break;
    }
    await until(async () => (await peer.call<[number, number]>("Ends/counts"))[1] === before + 1);
    const [made] = await peer.call<[number, number]>("Ends/counts");
    check(made <= 5 + 4 + 1, `${made} made, where 5 were taken`);
  },

  "items go into a SinkRef, in their order, until they end or fail": async ({ peer }) => {
    await sendTo(peer, await peer.call("Ends/sink"), numbers(300));
    same(await peer.call("Ends/taken"), numbers(300));
    const failing = async function* () {
      yield 1;
      throw new Error("the page has failed");
    };
    await rejects(sendTo(peer, await peer.call("Ends/sink"), failing()), /the page has failed/);
    same(await peer.call("Ends/taken"), [1, "Internal"]);
    const late = async function* () {
      yield* [1, 2];
      throw new CallFailed(Code.DEADLINE_EXCEEDED, "too late");
    };
    await rejects(sendTo(peer, await peer.call("Ends/sink"), late()), /too late/);
    same(await peer.call("Ends/taken"), [1, 2, "DeadlineExceeded"]);
  },

  "an end that is released unused is ended": async ({ peer }) => {
    const sink = await peer.call("Ends/sink");
    await release(peer, sink);
    check((await peer.call<unknown[]>("Ends/taken")).length <= 1);
    await rejects(sendTo(peer, sink, [1]), CallFailed);
  },

  "streams of SourceRefs go on over connections that are cut": async ({ through }) => {
    const [peer, path] = await through();
    let next = 0;
    for await (const item of itemsOf<number>(peer, await peer.call("Ends/source", [3000]))) {
      same(item, next++);
      if (next % 1000 === 0) await path.cut();
    }
    same(next, 3000);
  },

  "what is no end of a stream, or one of another process, is not used": async ({ peer }) => {
    await rejects(collected(itemsOf(peer, "x")), TypeError);
    const source = (await peer.call("Ends/source", [1])) as { type: number; data: Uint8Array };
    await rejects(sendTo(peer, source, []), TypeError);
    (source.data[0] as number) ^= 1;
    await rejects(collected(itemsOf(peer, source)), { code: Code.UNAVAILABLE });
  },
};
