/** The compression `deflate` (11.2) for Node, which reads it at once. */
import { inflateRawSync } from "node:zlib";
import type { Decompress } from "../core/settings.ts";

export const deflate: Decompress = (payload, bytesMax) => {
  const read = inflateRawSync(payload, { maxOutputLength: bytesMax, info: true }) as unknown as {
    buffer: Buffer;
    engine: { bytesWritten: number };
  };
  if (read.engine.bytesWritten !== payload.length) throw new Error("bytes follow the end");
  return new Uint8Array(read.buffer);
};
