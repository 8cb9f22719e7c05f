/** What runs in the page of a browser: the cases, one after the other, as the test asks for them. */
import { connect, type ConnectOptions, type Peer } from "../src/index.ts";
import { actors } from "./cases/actors.ts";
import { calls } from "./cases/calls.ts";
import { follow } from "./cases/follow.ts";
import { refs } from "./cases/refs.ts";
import { resume } from "./cases/resume.ts";
import { serving } from "./cases/serving.ts";
import { slow } from "./cases/slow.ts";
import type { Cases, Path, World } from "./cases/world.ts";

/** What the test gives to the page: a proxy of its own for each number. */
interface Given {
  openProxy(): Promise<[id: number, url: string]>;
  moveProxy(id: number, what: "cut" | "accept" | "refuse" | "connections"): Promise<number>;
}

const all: Cases = { ...actors, ...calls, ...follow, ...refs, ...resume, ...serving, ...slow };
const given = window as unknown as Given;

async function worldAt(url: string): Promise<World> {
  const peers: Peer[] = [];
  const connecting = async (options: ConnectOptions = {}, to = url): Promise<Peer> => {
    const peer = await connect(to, options);
    peers.push(peer);
    return peer;
  };
  return {
    peer: await connecting(),
    connect: connecting,
    async through(options) {
      const [id, proxied] = await given.openProxy();
      return [await connecting(options, proxied), pathOf(id)];
    },
    nowhere: "ws://127.0.0.1:1",
    close: () => peers.forEach((peer) => peer.close()),
  };
}

const pathOf = (id: number): Path => ({
  cut: async () => void (await given.moveProxy(id, "cut")),
  accept: async (isAccepted) => void (await given.moveProxy(id, isAccepted ? "accept" : "refuse")),
  connections: () => given.moveProxy(id, "connections"),
});

/** Run one case; the result is what went wrong, or an empty text. */
async function runCase(url: string, name: string): Promise<string> {
  const world = await worldAt(url);
  try {
    await (all[name] as Cases[string])(world);
    return "";
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  } finally {
    world.close?.();
  }
}

/** Read a retained stream on, from where this tab was before; the items stand in its storage. */
async function readOn(url: string, name: string): Promise<number[]> {
  const peer = await connect(url);
  const before = () => JSON.parse(sessionStorage.getItem(name) ?? "[]") as number[];
  for await (const item of peer.follow<number>(name, { since: before().length }))
    sessionStorage.setItem(name, JSON.stringify([...before(), item]));
  await peer.close();
  return before();
}

/** Take one item a second of a producer that could make many, each of `size` characters. */
async function takeSlowly(url: string, size: number, bufferSize: number, seconds: number): Promise<void> {
  const peer = await connect(url);
  let taken = 0;
  for await (const item of peer.stream<string>("Market/texts", [100_000, size], { bufferSize })) {
    if (item.length !== size || Number.parseInt(item) !== taken) throw new Error(`${item.slice(0, 9)}, where ${taken} is next`);
    Object.assign(window, { taken: ++taken });
    if (taken === seconds + 1) break;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  await peer.close();
}

Object.assign(window, { runCase, readOn, takeSlowly, caseNames: Object.keys(all) });
