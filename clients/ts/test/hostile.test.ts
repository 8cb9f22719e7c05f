/** A hostile or broken server, and a program that passes wrong values: one call may fail, and nothing else may break. */
import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { after, afterEach, describe, type MockTracker, test } from "node:test";
import { accept } from "../src/core/callee.ts";
import { Connection } from "../src/core/connection.ts";
import type { Event } from "../src/core/events.ts";
import { DEFAULTS, type Settings } from "../src/core/settings.ts";
import type { Stream } from "../src/core/stream.ts";
import { Cancelled, Code, connect, type ConnectOptions, ConnectionLost, type Peer, PenstockError } from "../src/node.ts";
import { webSocket, type WebSocketClass } from "../src/transports/websocket.ts";
import { load, unhex } from "./vectors.ts";

const WINDOW = { items: 100, bytes: 1_000_000, fixed: true };
/** What the first wait of back-off lasts at most. */
const BACKOFF_MS_MAX = 50;
const open: Server[] = [];
const sockets = new Set<Socket>();
const stray: unknown[] = [];
const keep = (error: unknown) => void stray.push(error);
process.on("unhandledRejection", keep);
afterEach(() => assert.deepEqual(stray.splice(0), [], "no rejection is left unhandled"));
after(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of open) server.close();
});

/** Listen, and hand out each connection. */
async function listening(take: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    take(socket);
  }).listen(0, "127.0.0.1");
  open.push(server);
  await once(server, "listening");
  return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A server that says what `on` says of each event; a call that it does not know is answered with 7. */
const speaking = (
  on: (side: Connection, stream: Stream, event: Event) => unknown = () => false,
  more: Partial<Settings> = {},
) =>
  listening((socket) => {
    const side = new Connection({ ...DEFAULTS, role: "server", keep_ms: 0, ...more });
    const flush = () => {
      for (let bytes = side.output(65_536); bytes !== undefined; bytes = side.output(65_536)) socket.write(bytes);
    };
    side.beginLink();
    flush();
    socket.on("data", (bytes) => {
      for (const event of side.receive(new Uint8Array(bytes))) {
        if (!("stream" in event) || on(side, event.stream, event) !== false || event.type !== "Opened") continue;
        accept(side, event.stream, WINDOW);
        side.send(event.stream, 7);
        side.answer(event.stream, { code: 0 });
      }
      flush();
    });
  });

async function using<T>(
  url: string,
  use: (peer: Peer) => Promise<T>,
  options: ConnectOptions = { reconnect: false },
): Promise<T> {
  const peer = await connect(url, options);
  try {
    return await use(peer);
  } finally {
    await peer.close();
  }
}

/** Let no wait of back-off come to its end, and count those that last; other timers are as they were. */
function waitsWithoutAnEnd(mock: MockTracker): Set<NodeJS.Timeout> {
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  const waits = new Set<NodeJS.Timeout>();
  mock.method(globalThis, "setTimeout", (call: () => void, ms = 0) => {
    if (ms > BACKOFF_MS_MAX) return set(call, ms);
    const timer = set(() => {}, 2 ** 31 - 1).unref();
    waits.add(timer);
    return timer;
  });
  mock.method(globalThis, "clearTimeout", (timer: NodeJS.Timeout) => {
    waits.delete(timer);
    clear(timer);
  });
  return waits;
}

/** Wait for an error, and not for ever. */
async function failure(promise: Promise<unknown>): Promise<PenstockError> {
  let stop: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => (stop = setTimeout(resolve, 20_000, "hangs")));
  const got = await Promise.race([promise, late]).then(
    (value) => assert.fail(`no error, but ${String(value)}`),
    (error: unknown) => error as PenstockError,
  );
  clearTimeout(stop);
  return got;
}

describe("values of the program", () => {
  const wrong: [string, object][] = [
    ["S/m", { metadata: { a: 1 } }],
    ["S/m", { metadata: null }],
    ["S/m", { deadlineMs: NaN }],
    ["S/m", { deadlineMs: "5" }],
    ["S/m", { priority: "high" }],
    ["S/m", { signal: {} }],
    ["S/m", { bufferSize: 0 }],
    [undefined as unknown as string, {}],
  ];
  for (const [target, options] of wrong)
    test(`a call with ${JSON.stringify(options)} fails alone`, async () => {
      const url = await speaking();
      await using(url, async (peer) => {
        await failure(peer.call(target, [], options));
        assert.equal(await peer.call("S/m"), 7);
        assert.equal(await using(url, (other) => other.call("S/m")), 7);
      });
    });

  for (const options of [{ keepMs: NaN }, { keepMs: -1 }, { maxItemBytes: 1e20 }, { keepAliveMs: 0 }, { handshakeMs: 1.5 }])
    test(`connect refuses ${JSON.stringify(options)}`, async () => {
      assert((await failure(connect("tcp://127.0.0.1:1", options as ConnectOptions))) instanceof RangeError);
    });

  test("no URL is an error that says so", async () => {
    assert((await failure(connect([]))) instanceof ConnectionLost);
  });

  test("requests that are awaited are left when the call ends", async () => {
    const url = await speaking((side, stream, { type }) => {
      if (type !== "Opened") return;
      accept(side, stream, WINDOW);
      side.answer(stream, { code: 8, message: "enough" });
    });
    await using(url, async (peer) => {
      await new Promise<void>((resolve) => {
        const requests = new ReadableStream({ pull: () => new Promise(() => {}), cancel: () => resolve() });
        peer.call("S/m", [], { requests }).catch(() => {});
      });
      await new Promise<void>((resolve) => {
        const iterator = {
          next: () => new Promise<never>(() => {}),
          return: async () => (resolve(), { done: true, value: 0 }),
        };
        peer.call("S/m", [], { requests: { [Symbol.asyncIterator]: () => iterator } as never }).catch(() => {});
      });
    });
  });

  for (const how of ["signal", "cancel"])
    test(`a loop is given up by its ${how} when all its items are here already`, async () => {
      const url = await speaking((side, stream, { type }) => {
        if (type !== "Opened") return;
        accept(side, stream, WINDOW);
        for (let item = 0; item < 50; item++) side.send(stream, item);
        side.answer(stream, { code: 0 });
      });
      await using(url, async (peer) => {
        const controller = new AbortController();
        const stream = peer.stream("S/m", [], { signal: controller.signal });
        const got: unknown[] = [];
        const loop = async () => {
          for await (const item of stream) {
            got.push(item);
            if (got.length < 3) continue;
            if (how === "signal") controller.abort();
            else stream.cancel();
          }
        };
        assert((await failure(loop())) instanceof Cancelled);
        assert.equal(got.length, 3);
        assert.equal(getEventListeners(controller.signal, "abort").length, 0);
        await failure(
          peer.actor("a").tell("x", [], { signal: controller.signal.aborted ? controller.signal : AbortSignal.abort() }),
        );
      });
    });

  test("a deadline of Infinity is none", async () => {
    await using(await speaking(), async (peer) => assert.equal(await peer.call("S/m", [], { deadlineMs: Infinity }), 7));
  });

  test("an onstate that throws does not stop the connection from being made again", async () => {
    const url = await speaking();
    const errors: unknown[] = [];
    const listeners = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException").on("uncaughtException", (error) => errors.push(error));
    try {
      const peer = await connect(url);
      peer.onstate = () => {
        throw new Error("of the program");
      };
      for (const socket of sockets) socket.destroy();
      while (errors.length === 0) await new Promise(setImmediate);
      assert.equal(await peer.call("S/m"), 7);
      await peer.close();
      await new Promise(setImmediate);
      assert.equal(errors.length, 3); // lost, there again, closed
    } finally {
      process.removeAllListeners("uncaughtException");
      for (const each of listeners) process.on("uncaughtException", each);
    }
  });

  test("a signal of many peers keeps nothing of those that are closed", async () => {
    const url = await speaking();
    const { signal } = new AbortController();
    for (let count = 0; count < 5; count++) await using(url, () => Promise.resolve(), { signal });
    assert.equal(getEventListeners(signal, "abort").length, 0);
  });
});

describe("what the server says", () => {
  for (const answer of [5, null, [], ["1", 2], [1, null, 5]])
    test(`the answer ${JSON.stringify(answer)} of an actor fails its asks, and the next ones`, async () => {
      const url = await speaking((side, stream, event) => {
        if (event.type === "Opened") accept(side, stream, WINDOW);
        else if (event.type === "ItemsArrived") side.send(stream, answer);
      });
      await using(url, async (peer) => {
        for (let count = 0; count < 2; count++) {
          assert.equal((await failure(peer.actor("a").ask("x"))).code, Code.DATA_LOSS);
        }
      });
    });

  test("a channel whose payload cannot be read is given up", async () => {
    let cancelled = 0;
    const url = await speaking((side, stream, event) => {
      if (event.type === "Opened") accept(side, stream, WINDOW, Uint8Array.of(0xc1));
      else if (event.type === "CallCancelled") cancelled += 1;
    });
    await using(url, async (peer) => {
      assert.equal((await failure(peer.actor("a").openChannel())).code, Code.DATA_LOSS);
      await failure(peer.actor("b").openChannel());
      assert(cancelled >= 1);
    });
  });

  for (const place of [null, 5, {}, { $penstock: "place", id: 5, offset: 0 }, { $penstock: "place", id: new Uint8Array(16) }])
    test(`${JSON.stringify(place)} is no place in a retained stream`, async () => {
      const url = await speaking((side, stream, { type }) => {
        if (type !== "Opened") return;
        accept(side, stream, WINDOW);
        side.send(stream, place);
        side.send(stream, 7);
      });
      await using(url, async (peer) => {
        const follower = peer.follow("run");
        assert.equal((await failure(follower.next())).code, Code.DATA_LOSS);
        assert.equal(follower.offset, undefined);
      });
    });

  for (const [how, end] of [
    ["left", (follower) => follower.return?.()],
    ["given up by its signal", (_, controller) => controller.abort()],
    ["closed with its peer", (_, __, peer) => peer.close()],
  ] as [string, (follower: AsyncIterator<unknown>, controller: AbortController, peer: Peer) => unknown][])
    test(`a follower that waits for another try ends, without that wait, when it is ${how}`, async ({ mock }) => {
      const url = await speaking((side, stream, { type }) => {
        if (type !== "Opened") return;
        accept(side, stream, WINDOW);
        side.send(stream, { $penstock: "place", id: new Uint8Array(16), offset: 0 });
        side.answer(stream, { code: 14, message: "later" });
      });
      await using(
        url,
        async (peer) => {
          const waits = waitsWithoutAnEnd(mock);
          const controller = new AbortController();
          const follower = peer.follow("run", { signal: controller.signal });
          const next = follower.next().then(
            ({ done }) => done,
            (error: unknown) => error instanceof Cancelled,
          );
          while (waits.size === 0) await new Promise(setImmediate);
          await end(follower, controller, peer);
          assert.equal(await next, true);
          assert.equal(waits.size, 0, "the wait is given up, too");
        },
        {},
      );
    });

  class Full {
    binaryType = "";
    bufferedAmount = 1_000_000;
    protocol = "penstock.1";
    readyState = 1;
    onopen: ((event: never) => unknown) | null = null;
    onmessage = null;
    onerror = null;
    onclose = null;
    terminated = false;
    constructor() {
      queueMicrotask(() => this.onopen?.({} as never));
      made = this;
    }
    send(): void {}
    close(): void {}
    terminate(): void {
      this.terminated = true;
    }
  }
  let made: Full;
  const dial = (drained: () => void) => {
    const receiver = { received() {}, drained, lost() {} };
    return webSocket(Full as unknown as WebSocketClass).dial(new URL("ws://x/"), receiver, new AbortController().signal);
  };

  test("a link that is lost with bytes in its buffer asks for no room any more", async () => {
    const link = await dial(() => assert.fail("it is closed"));
    link.write(new Uint8Array(1));
    made.readyState = 3;
    made.bufferedAmount = 0; // as if there was room
    await new Promise((resolve) => setTimeout(resolve, 20));
  });

  test("a WebSocket whose close is not answered is dropped", async ({ mock }) => {
    const link = await dial(() => {});
    mock.timers.enable({ apis: ["setTimeout"] });
    link.close();
    mock.timers.tick(999);
    assert.equal(made.terminated, false);
    mock.timers.tick(1);
    assert.equal(made.terminated, true);
  });
});

describe("bytes of vectors, from a real socket", () => {
  type Part = string | { repeat: string; times: number };
  const { cases } = load<{ cases: { name: string; receiver: string; data: Part[] }[] }>("bad_inputs.json");
  const bytesOf = (parts: Part[]) =>
    unhex(parts.map((part) => (typeof part === "string" ? part : part.repeat.repeat(part.times))).join(""));

  test("each bad input of a client ends the calls of one connection, and leaves nothing behind", async () => {
    for (const { receiver, data } of cases) {
      if (receiver !== "client") continue;
      const url = await listening((socket) => {
        const side = new Connection({ ...DEFAULTS, role: "server", keep_ms: 0 });
        side.beginLink();
        socket.write(side.output(65_536) as Uint8Array);
        socket.once("data", () => setTimeout(() => socket.end(bytesOf(data)), 1));
      });
      const peer = await connect(url, { reconnect: false });
      assert((await failure(peer.call("S/m"))) instanceof PenstockError);
      await peer.close();
    }
  });

  test("a conversation that is cut at any byte fails in good order", async () => {
    const { steps } = load<{ steps: { from: string; hex: string }[] }>("sessions/server_streaming.json");
    const bytes = unhex(
      steps
        .filter(({ from }) => from === "server")
        .map(({ hex }) => hex)
        .join(""),
    );
    let length = 0;
    const url = await listening((socket) => void socket.once("data", () => socket.end(bytes.subarray(0, length))));
    for (length = 0; length <= bytes.length; length += 3) {
      const items: unknown[] = [];
      try {
        const peer = await connect(url, { reconnect: false });
        for await (const item of peer.stream("Prices/watch", [], { bufferSize: 4 })) items.push(item);
        await peer.close();
      } catch (error) {
        assert(error instanceof PenstockError, String(error));
      }
      assert(items.length <= 5);
    }
  });
});
