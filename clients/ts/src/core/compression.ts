/** Compressed payloads (PROTOCOL.md section 11), read by functions that are passed in. */
import type { Settings } from "./settings.ts";
import { Violation } from "./violation.ts";

const NAMES = { 1: "zstd", 2: "deflate" } as const;

export function inflated(payload: Uint8Array, decompress: Settings["decompress"], bytesMax: number): Uint8Array {
  const name = NAMES[payload[0] as keyof typeof NAMES];
  const read = decompress[name];
  if (read === undefined) throw new Violation("11.2", `the unknown compression ${payload[0]}`);
  try {
    return read(payload.subarray(1), bytesMax);
  } catch (error) {
    if (error instanceof RangeError) throw new Violation("11.4", `over ${bytesMax} bytes when decompressed`);
    throw new Violation("11.3", `${name}: ${error instanceof Error ? error.message : "broken data"}`);
  }
}
