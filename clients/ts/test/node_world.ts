/** The world of a case in Node: a server in Python, and a proxy before it. */
import { after, before, describe, test } from "node:test";
import WebSocket from "ws";
import { connect, type ConnectOptions, type Peer } from "../src/node.ts";
import type { WebSocketClass } from "../src/transports/websocket.ts";
import type { Cases, Path, World } from "./cases/world.ts";
import { PenstockServer, Proxy } from "./server.ts";

/** Run cases over a transport, `tcp` or `ws`, with one server. */
export function run(scheme: "tcp" | "ws", cases: Cases): void {
  describe(scheme, () => {
    let world: World;
    let server: PenstockServer;
    const undo: (() => void)[] = [];
    const options = { WebSocket: WebSocket as unknown as WebSocketClass };
    const connecting = async (more: ConnectOptions = {}, url = server.url): Promise<Peer> => {
      const peer = await connect(url, { ...options, ...more });
      undo.push(() => peer.close());
      return peer;
    };
    const through = async (more: ConnectOptions = {}): Promise<[Peer, Path]> => {
      const proxy = await Proxy.to(server.port);
      undo.push(() => proxy.close());
      return [await connecting(more, `${scheme}://127.0.0.1:${proxy.port}`), pathOf(proxy)];
    };

    before(async () => {
      server = await PenstockServer.start(`${scheme}://127.0.0.1:0`);
      world = { peer: await connecting(), connect: connecting, through, nowhere: `${scheme}://127.0.0.1:1` };
    });
    after(async () => {
      for (const each of undo) each();
      await server?.stop();
    });
    for (const [name, each] of Object.entries(cases)) test(name, () => each(world));
  });
}

const pathOf = (proxy: Proxy): Path => ({
  cut: async () => proxy.cut(),
  accept: async (isAccepted) => void (proxy.accepts = isAccepted),
  connections: async () => proxy.connections,
});
