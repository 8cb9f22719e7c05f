/** What the writer and the reader have in common. */

/** An extension type that has no meaning of its own here. */
export class Extension {
  readonly type: number;
  readonly data: Uint8Array;

  constructor(type: number, data: Uint8Array) {
    this.type = type;
    this.data = data;
  }
}

/** Bytes that are no msgpack, or more values than a reader takes. */
export class BadBytes extends Error {
  override readonly name = "BadBytes";
}

/** The extension type of a moment. */
export const TIMESTAMP = -1;
/** How deep values may be nested. */
export const DEPTH_MAX = 512;
