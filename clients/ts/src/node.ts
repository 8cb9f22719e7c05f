/** `@penstock/client/node`: the same with `tcp://`, and with compressed items. */
import { type ConnectOptions, connectWith } from "./connect.ts";
import type { Peer } from "./peer.ts";
import { deflate } from "./transports/deflate.ts";
import { tcp } from "./transports/tcp.ts";

export * from "./index.ts";

/** Connect to the first of some URLs that answers: `tcp://`, `ws://` and `wss://`. */
export async function connect(url: string | URL | readonly (string | URL)[], options: ConnectOptions = {}): Promise<Peer> {
  return connectWith({ "tcp:": tcp }, { decompress: { deflate } }, url, options);
}
