/** Connections that are cut. They run in Node over each transport, and in a browser. */
import { ConnectionLost } from "../../src/index.ts";
import { check, rejects, same, until } from "../check.ts";
import type { Cases } from "./world.ts";

export const resume: Cases = {
  "a stream that is cut again and again loses no item, and doubles none": async ({ through }) => {
    const [peer, path] = await through();
    let next = 0;
    for await (const item of peer.stream<number>("Market/count", [6_500], { bufferSize: 64 })) {
      same(item, next++);
      if (next % 1000 === 0) await path.cut(); // six times: the wait before each new connection doubles
    }
    same(next, 6_500);
    check((await path.connections()) > 5, `${await path.connections()} connections`);
  },

  "requests that are cut lose no item, and double none": async ({ through }) => {
    const [peer, path] = await through();
    async function* numbers() {
      for (let number = 1; number <= 2000; number++) {
        if (number % 400 === 0) await path.cut();
        yield number;
      }
    }
    const answers: number[] = [];
    for await (const answer of peer.stream<number>("Market/double", [], { requests: numbers(), bufferSize: 32 }))
      answers.push(answer);
    same(
      answers,
      Array.from({ length: 2000 }, (_, index) => (index + 1) * 2),
    );
  },

  "a large item that is cut in its middle arrives whole": async ({ through }) => {
    const [peer, path] = await through();
    const large = new Uint8Array(8_000_000).map((_, index) => index % 251);
    const echo = peer.call<Uint8Array>("Market/echo", [large]);
    for (let count = 0; count < 5; count++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      await path.cut();
    }
    same(await echo, large);
  },

  "a call that waits for its answer outlives its connection, and so do calls that are made without one": async ({
    through,
  }) => {
    const [peer, path] = await through();
    const states: string[] = [];
    peer.onstate = (state) => states.push(state);
    const first = peer.call("Market/slow", [7]);
    await peer.call("Market/progress");
    await path.accept(false);
    await path.cut();
    await until(() => peer.state === "disconnected");
    const second = peer.call("Market/echo", [8]);
    await path.accept(true);
    same(await Promise.all([first, second]), [7, 8]);
    same(states, ["disconnected", "connected"]);
  },

  "a session that is not kept is lost with its connection": async ({ through }) => {
    const [peer, path] = await through({ keepMs: 0 });
    const call = peer.call("Market/forever");
    await peer.call("Market/progress");
    await path.cut();
    await rejects(call, ConnectionLost);
    same(await peer.call("Market/echo", [1]), 1);
  },

  "a session is kept no longer than keepMs": async ({ through }) => {
    const [peer, path] = await through({ keepMs: 60 });
    const call = peer.call("Market/forever");
    await peer.call("Market/progress");
    await path.accept(false);
    await path.cut();
    await rejects(call, ConnectionLost);
    await path.accept(true);
    same(await peer.call("Market/echo", [1]), 1);
  },

  "a peer that does not reconnect is closed when its connection is lost": async ({ through }) => {
    const [peer, path] = await through({ reconnect: false });
    const call = peer.call("Market/forever");
    await peer.call("Market/progress");
    await path.cut();
    await rejects(call, ConnectionLost);
    await until(() => peer.state === "closed");
    await rejects(peer.call("Market/progress"), ConnectionLost);
  },
};
