/** Services of this side, called by the server. They run in Node over each transport, and in a browser. */
import { CallFailed, type CallOptions, Code, ConnectionLost, type Peer } from "../../src/index.ts";
import { type Implementation, offer } from "../../src/serve.ts";
import { check, collected, rejects, same, until } from "../check.ts";
import { Screen } from "./screen.ts";
import type { Cases, World } from "./world.ts";

/** What one screen has seen. */
interface Seen {
  texts: string[];
  made: number;
  left: number;
  aborted: unknown[];
}

const LARGE = "x".repeat(600_000);

function screenOf(seen: Seen): Implementation<Screen> {
  return {
    show(text, times = 1) {
      seen.texts.push(text);
      return Array.from({ length: times }, () => text).join(" ");
    },
    async *keys(n) {
      try {
        for (let key = 0; key < n; key++) {
          seen.made += 1;
          yield key;
        }
      } finally {
        seen.left += 1;
      }
    },
    async total(numbers, start = 0) {
      for await (const number of numbers) start += number;
      return start;
    },
    async *double(numbers) {
      for await (const number of numbers) yield number * 2;
    },
    async some(numbers, wanted) {
      const taken: number[] = [];
      for await (const number of numbers) if (taken.push(number) === wanted) break;
      return taken;
    },
    echo: (value) => value,
    fail(how) {
      if (how === "known") throw new CallFailed(Code.NOT_FOUND, "no such screen", { reason: "not_found", details: { id: 7 } });
      throw new Error("a secret of the page");
    },
    told: ({ metadata, priority, deadlineMs }: CallOptions = {}) => ({
      metadata,
      priority,
      hasDeadline: (deadlineMs ?? 0) > 0,
    }),
    forever: ({ signal }: CallOptions = {}) =>
      new Promise<void>((_, reject) =>
        signal?.addEventListener("abort", () => {
          seen.aborted.push(signal.reason);
          reject(signal.reason as Error);
        }),
      ),
  };
}

const begun = (): Seen => ({ texts: [], made: 0, left: 0, aborted: [] });

async function offering({ connect }: World): Promise<[Peer, Seen]> {
  const seen = begun();
  return [await connect({ services: [offer(Screen, screenOf(seen))] }), seen];
}

const numbers = (n: number): number[] => Array.from({ length: n }, (_, index) => index);

export const serving: Cases = {
  "the server calls a service of this side: all four kinds, arguments by place and by name": async (world) => {
    const [peer, seen] = await offering(world);
    same(await peer.call("Director/show"), ["once", "twice twice", "thrice thrice thrice"]);
    same(seen.texts, ["once", "twice", "thrice"]);
    same(await peer.call("Director/keys", [1000, 1000]), numbers(1000));
    same(await peer.call("Director/total", [1000, 5]), 499_505);
    same(
      await peer.call("Director/double", [1000]),
      numbers(1000).map((number) => number * 2),
    );
    same(await peer.call("Director/told"), { metadata: { who: "ann" }, priority: "bulk", hasDeadline: true });
  },

  "values of all sizes go there and back": async (world) => {
    const [peer] = await offering(world);
    for (const value of [null, 5, "x", [1, { a: [true] }], new Uint8Array([1, 2]), LARGE])
      same(await peer.call("Director/echo", [value]), value);
  },

  "a generator of this side is never further ahead of the server than bufferSize, and is closed when the server leaves": async (
    world,
  ) => {
    const [peer, seen] = await offering(world);
    same(await peer.call("Director/keys", [1_000_000, 3, 8]), [0, 1, 2]);
    await until(() => seen.left === 1);
    check(seen.made <= 3 + 8 + 1, `${seen.made} made, where 3 were taken`);
  },

  "the pace of a consumer at this side reaches through the server a generator of this side": async (world) => {
    const [peer, seen] = await offering(world);
    let taken = 0;
    for await (const key of peer.stream<number>("Director/relay", [1_000_000], { bufferSize: 4 })) {
      same(key, taken++);
      if (taken === 5) break;
    }
    await until(() => seen.left === 1);
    check(seen.made < 2_000, `${seen.made} made, where 5 were taken`);
  },

  "a handler that has seen enough stops the requests, and their generator is closed": async (world) => {
    const [peer] = await offering(world);
    const [, before] = await peer.call<[number, number]>("Director/counts");
    same(await peer.call("Director/some", [3]), [0, 1, 2]);
    const [produced, left] = await peer.call<[number, number]>("Director/counts");
    check(produced < 100_000, `${produced} made, where 3 were taken`);
    same(left, before + 1);
  },

  "an error of a handler is the answer; the text of one that nobody expected stays here": async (world) => {
    const [peer] = await offering(world);
    same(await peer.call("Director/failing", ["known"]), [Code.NOT_FOUND, "not_found", "no such screen", { id: 7 }, true]);
    const { error } = console;
    const logged: unknown[][] = [];
    console.error = (...line: unknown[]) => void logged.push(line);
    try {
      const [code, reason, message] = await peer.call<[number, string, string]>("Director/failing", ["unknown"]);
      same([code, reason], [Code.INTERNAL, "internal"]);
      const id = /error (\w+)/.exec(message)?.[1] as string;
      check(!message.includes("secret") && String(logged[0]?.[0]).includes(id), `${message}, ${logged}`);
    } finally {
      console.error = error;
    }
  },

  "what is not offered, and arguments that do not fit, are refused before anything has begun": async (world) => {
    const [peer, seen] = await offering(world);
    const refused = async (target: string, given: unknown) =>
      (await peer.call<unknown[]>("Director/untyped", [target, given]))[0];
    same(await refused("Screen/shown", []), Code.UNIMPLEMENTED);
    same(await refused("Screens/show", []), Code.UNIMPLEMENTED);
    same(await refused("Screen/constructor", []), Code.UNIMPLEMENTED);
    same(await refused("Screen/keys", [1]), Code.UNIMPLEMENTED); // it is no unary method
    same(await refused("Screen/show", ["a", 1, 2]), Code.INVALID_ARGUMENT);
    same(await peer.call("Director/misnamed"), [Code.INVALID_ARGUMENT, "Screen/show: it has no parameter time", false]);
    same(seen.texts, []);
    same(await refused("Screen/show", ["a"]), 0);
    const without = await world.connect();
    same(await without.call("Director/untyped", ["Screen/show", ["a"]]), [12, "there is no Screen/show here", false]);
  },

  "a handler is told when its caller gives up, its deadline passes, or its peer is closed": async (world) => {
    const [peer, seen] = await offering(world);
    await peer.call("Director/giving_up");
    await until(() => seen.aborted.length === 1);
    same(await peer.call("Director/impatient", [0.05]), Code.DEADLINE_EXCEEDED);
    await until(() => seen.aborted.length === 2);
    const waiting = rejects(peer.call("Director/impatient", [60]), { code: Code.CANCELLED });
    await peer.call("Director/show");
    await peer.close();
    await waiting;
    same(seen.aborted.length, 3);
    same(
      seen.aborted.map((each) => (each as { code: number }).code),
      [Code.CANCELLED, Code.DEADLINE_EXCEEDED, Code.CANCELLED],
    );
  },

  "calls of the server go on over connections that are cut, in both directions": async ({ through }) => {
    const seen = begun();
    const [peer, path] = await through({ services: [offer(Screen, screenOf(seen))] });
    let next = 0;
    for await (const key of peer.stream<number>("Director/relay", [4000])) {
      same(key, next++);
      if (next % 1000 === 0) await path.cut();
    }
    same(next, 4000);
    const doubled = peer.call<number[]>("Director/double", [3000]);
    for (let count = 0; count < 3; count++) {
      await new Promise((resolve) => setTimeout(resolve, 30));
      await path.cut();
    }
    same((await doubled).length, 3000);
    same([seen.made, seen.left], [4000, 1]);
    check((await path.connections()) > 3);
  },

  "a handler is told when its session is lost": async ({ through }) => {
    const seen = begun();
    const [peer, path] = await through({ keepMs: 0, services: [offer(Screen, screenOf(seen))] });
    const lost = rejects(peer.call("Director/impatient", [60]), ConnectionLost);
    await peer.call("Director/show");
    await path.cut();
    await lost;
    await until(() => seen.aborted.length === 1);
    check(seen.aborted[0] instanceof ConnectionLost);
  },

  "a thousand calls of the server at the same time": async (world) => {
    const [peer] = await offering(world);
    const answers = await Promise.all(numbers(1000).map((number) => peer.call("Director/echo", [number])));
    same(answers, numbers(1000));
    same((await collected(peer.stream("Director/relay", [5000]))).length, 5000);
  },
};
