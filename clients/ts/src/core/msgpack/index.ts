/**
 * Values as msgpack. `Writer` writes them side by side into one buffer, `Reader` reads them one after the other.
 *
 * A whole number is written as an int, a bigint as an int of 64 bits, any other number as a float of 64 bits, a `Date` as
 * a timestamp, bytes as bin. Read back, an int beyond 2^53 is a bigint. A map with a key that is no text is a `Map`.
 */

import { Reader } from "./reader.ts";
import { BadBytes } from "./values.ts";
import { Writer } from "./writer.ts";

export { Reader } from "./reader.ts";
export { BadBytes, Extension } from "./values.ts";
export { Writer } from "./writer.ts";

/** Encode one value. */
export function encode(value: unknown): Uint8Array {
  const writer = new Writer();
  writer.value(value);
  return writer.take();
}

/** Decode bytes that are exactly one value. */
export function decode(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes);
  const value = reader.value();
  if (!reader.ended) throw new BadBytes("bytes follow the value");
  return value;
}
