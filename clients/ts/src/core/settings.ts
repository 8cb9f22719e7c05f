/** What a connection promises, and bounds (10.1). */

/** Decompress a payload to at most `bytesMax` bytes; a `RangeError` says that there are more. */
export type Decompress = (payload: Uint8Array, bytesMax: number) => Uint8Array;

export interface Settings {
  role: "client" | "server";
  agent: string;
  max_frame_bytes: number;
  max_item_bytes: number;
  max_header_bytes: number;
  max_streams: number;
  /** All that arrived and was not consumed, in bytes as they came (10.8). */
  max_connection_bytes: number;
  /** For how long this side keeps the session without a link; 0: not at all (9.1). */
  keep_ms: number;
  /** Which process this is (2.7). */
  instance: Uint8Array;
  /** What this side can decompress, by the name of the compression (11.2). */
  decompress: Partial<Record<"zstd" | "deflate", Decompress>>;
}

export const DEFAULTS: Settings = {
  role: "client",
  agent: "penstock-typescript",
  max_frame_bytes: 262_144,
  max_item_bytes: 16_777_216,
  max_header_bytes: 65_536,
  max_streams: 16_384,
  max_connection_bytes: 268_435_456,
  keep_ms: 0,
  instance: new Uint8Array(0),
  decompress: {},
};
