/** Calls to the service of tests/clients/market.py. They run in Node over each transport, and in a browser. */
import { CallFailed, Cancelled, Code, ConnectionLost, service, type Stream } from "../../src/index.ts";
import { check, collected, rejects, same, until } from "../check.ts";
import type { Cases } from "./world.ts";

interface Market {
  quote(symbol: string, digits?: number, options?: object): Promise<number>;
  count(n: number, start?: number, options?: object): Stream<number>;
  total(
    numbers: AsyncIterable<number> | Iterable<number> | ReadableStream<number>,
    start?: number,
    options?: object,
  ): Promise<number>;
  double(numbers: AsyncIterable<number> | Iterable<number>, options?: object): Stream<number>;
}
const Market = service<Market>("Market", {
  quote: ["unary", "symbol", "digits"],
  count: ["server_streaming", "n", "start"],
  total: ["client_streaming", "start"],
  double: ["bidirectional"],
});

export const calls: Cases = {
  "the four kinds of call, by a description of the service": async ({ peer }) => {
    const market = peer.service(Market);
    same(await market.quote("ACME"), 101.51);
    same(await collected(market.count(3)), [0, 1, 2]);
    same(await market.total([1, 2, 3]), 6);
    same(await collected(market.double([1, 2, 3])), [2, 4, 6]);
  },

  "the four kinds of call, by their targets": async ({ peer }) => {
    same(await peer.call("Market/quote", { symbol: "ACME", digits: 1 }), 101.5);
    same(await collected(peer.stream("Market/count", [2, 5])), [5, 6]);
    same(await peer.call("Market/total", [], { requests: new Set([1, 2]) }), 3);
    same(await collected(peer.stream("Market/double", [], { requests: [7] })), [14]);
  },

  "an argument that is undefined has its default, also before one that is given; one that is needed is missed": async ({
    peer,
  }) => {
    const Odd = service<{
      late(first: number | undefined, last: string): Promise<unknown>;
      count(n: number | undefined, start: number): Stream<number>;
    }>("Market", { late: ["unary", "first", "last"], count: ["server_streaming", "n", "start"] });
    const odd = peer.service(Odd);
    same(await odd.late(undefined, "x"), [1, "x"]);
    same(await odd.late(5, "x"), [5, "x"]);
    const error = await rejects(collected(odd.count(undefined, 2)), { code: Code.INVALID_ARGUMENT });
    check(/\bn\b/.test(error.message), error.message);
  },

  "values of all types go there and back": async ({ peer }) => {
    const value = {
      text: "Aä漢😀",
      long: "x".repeat(100_000),
      numbers: [0, -1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32, Number.MAX_SAFE_INTEGER, -(2 ** 31) - 1, 1.5, -0.1],
      huge: 2n ** 63n,
      bytes: Uint8Array.of(0, 255),
      nothing: null,
      yes: true,
      when: new Date("2026-01-02T03:04:05.678Z"),
      nested: { list: [[], {}, [{ a: 1 }]] },
      __proto__x: 1,
    };
    same(await peer.call("Market/echo", [value]), value);
  },

  "a large argument and a large item travel in fragments": async ({ peer }) => {
    const large = new Uint8Array(3_000_000).map((_, index) => index % 251);
    same(await peer.call("Market/echo", [large]), large);
  },

  "an error has its code, reason, message and details": async ({ peer }) => {
    const market = peer.service(Market);
    const error = await rejects(market.quote("XXXX"), CallFailed);
    same(
      { ...error, message: error.message },
      {
        name: "CallFailed",
        code: Code.NOT_FOUND,
        reason: "not_found",
        message: "XXXX is gone",
        details: { symbol: "XXXX" },
        started: true,
      },
    );
  },

  "a method that is unknown was never started": async ({ peer }) => {
    await rejects(peer.call("Market/qote", ["ACME"]), { code: Code.UNIMPLEMENTED, started: false });
  },

  "a stream that fails throws its error after the items before it": async ({ peer }) => {
    const items: unknown[] = [];
    await rejects(
      async () => {
        for await (const item of peer.stream("Market/fails", [2])) items.push(item);
      },
      { code: Code.FAILED_PRECONDITION, message: "no more" },
    );
    same(items, [0, 1]);
  },

  "leaving the loop ends the producer": async ({ peer }) => {
    const market = peer.service(Market);
    const progress = () => peer.call<[made: number, left: number]>("Market/progress");
    const [, before] = await progress();
    for await (const item of market.count(1e9)) if (item === 10) break;
    await until(async () => (await progress())[1] === before + 1);
  },

  "the producer is never further ahead of the loop than bufferSize": async ({ peer }) => {
    const market = peer.service(Market);
    const progress = () => peer.call<[made: number, left: number]>("Market/progress");
    let taken = 0;
    for await (const item of market.count(1e9, 0, { bufferSize: 16 })) {
      taken += 1;
      same(item, taken - 1);
      if (taken % 25 !== 0) continue;
      await until(async () => (await progress())[0] >= taken + 7); // credit comes after half a window
      const [made] = await progress();
      check(made <= taken + 16 + 1, `${made} made, ${taken} taken`); // the producer makes one more, and waits
      if (taken === 100) break;
    }
  },

  "the producer is never further ahead than bufferBytes": async ({ peer }) => {
    const market = peer.service(Market);
    const progress = () => peer.call<[made: number, left: number]>("Market/progress");
    for await (const _ of market.count(1e9, 1000, { bufferBytes: 3_000 })) {
      const made = async () => (await progress())[0];
      let last = -1;
      await until(async () => last === (last = await made()) && last > 1);
      check(last <= 1_002 + 3, `${last} made of three bytes each`);
      break;
    }
  },

  "requests are asked for when credit allows to send them, and no sooner": async ({ peer }) => {
    let asked = 0;
    function* numbers() {
      for (;;) yield asked++;
    }
    const stream = peer.stream("Market/stuck", [], { requests: numbers(), bufferSize: 8 });
    const first = stream.next();
    await until(() => asked >= 8);
    await peer.call("Market/progress");
    same(asked, 8);
    stream.cancel();
    await rejects(first, Cancelled);
  },

  "a callee that has seen enough stops the requests, and their generator is closed": async ({ peer }) => {
    let isClosed = false;
    async function* numbers() {
      try {
        for (let number = 0; ; number++) yield number;
      } finally {
        isClosed = true;
      }
    }
    same(await peer.call("Market/some", [3], { requests: numbers() }), [0, 1, 2]);
    await until(() => isClosed);
  },

  "requests that fail give the call up, and the caller gets their error": async ({ peer }) => {
    async function* numbers() {
      yield 1;
      throw new RangeError("no more numbers");
    }
    await rejects(peer.call("Market/total", [], { requests: numbers() }), RangeError);
  },

  "requests come from a ReadableStream, and results go to one": async ({ peer }) => {
    const market = peer.service(Market);
    const numbers = new ReadableStream<number>({
      start(controller) {
        for (const number of [1, 2, 3]) controller.enqueue(number);
        controller.close();
      },
    });
    same(await market.total(numbers), 6);
    const reader = market.count(2).readable().getReader();
    same(await reader.read(), { value: 0, done: false });
    same(await reader.read(), { value: 1, done: false });
    same(await reader.read(), { value: undefined, done: true });
  },

  "the reader of a ReadableStream sets the pace, and its cancel ends the producer": async ({ peer }) => {
    const market = peer.service(Market);
    const progress = () => peer.call<[made: number, left: number]>("Market/progress");
    const [, before] = await progress();
    const reader = market.count(1e9, 0, { bufferSize: 4 }).readable().getReader();
    await reader.read();
    await until(async () => (await progress())[0] >= 4);
    check((await progress())[0] <= 6);
    await reader.cancel();
    await until(async () => (await progress())[1] === before + 1);
  },

  "a signal gives a call up: the caller gets Cancelled with its reason": async ({ peer }) => {
    const controller = new AbortController();
    const call = peer.call("Market/forever", [], { signal: controller.signal });
    setTimeout(() => controller.abort("enough"));
    same((await rejects(call, Cancelled)).cause, "enough");
    await rejects(peer.call("Market/forever", [], { signal: controller.signal }), Cancelled);
  },

  "a signal gives a stream up, and its producer": async ({ peer }) => {
    const market = peer.service(Market);
    const progress = () => peer.call<[made: number, left: number]>("Market/progress");
    const [, before] = await progress();
    const controller = new AbortController();
    await rejects(async () => {
      for await (const item of market.count(1e9, 0, { signal: controller.signal })) if (item === 3) controller.abort();
    }, Cancelled);
    await until(async () => (await progress())[1] === before + 1);
  },

  "a deadline that passes ends a call with its code": async ({ peer }) => {
    await rejects(peer.call("Market/forever", [], { deadlineMs: 30 }), { code: Code.DEADLINE_EXCEEDED });
  },

  "what cannot travel is an error of its call alone": async ({ peer }) => {
    const market = peer.service(Market);
    await rejects(peer.call("Market/echo", [() => 1]), TypeError);
    await rejects(peer.call("Market/total", [], { requests: [Symbol() as unknown] }), TypeError);
    same(await market.quote("ACME"), 101.51);
  },

  "a thousand calls and a stream at the same time": async ({ peer }) => {
    const market = peer.service(Market);
    const calls = Array.from({ length: 1000 }, (_, number) => peer.call("Market/echo", [number]));
    const items = collected(market.count(20_000));
    same(
      await Promise.all(calls),
      Array.from({ length: 1000 }, (_, number) => number),
    );
    same((await items).length, 20_000);
  },

  "without a server, connect rejects with ConnectionLost": async ({ connect, nowhere }) => {
    await rejects(connect({}, nowhere), ConnectionLost);
  },

  "a closed peer ends its calls, and takes no more": async ({ connect }) => {
    const other = await connect();
    const call = other.call("Market/forever");
    other.close();
    await rejects(call, Cancelled);
    await rejects(other.call("Market/progress"), Cancelled);
    same(other.state, "closed");
  },
};
