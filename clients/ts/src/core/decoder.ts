/** Bytes in, frames out, however the bytes were cut (1.6). This module looks at lengths only. */
import { type Frame, HEADER_BYTES, NO_BYTES } from "./frames.ts";
import { Violation } from "./violation.ts";

/** The longest body before the receiver has read the HELLO of the other side (1.2). */
export const FIRST_BODY_MAX = 4082;

export class Decoder {
  /** The longest body that may come. */
  bodyMax = FIRST_BODY_MAX;
  #bytes: Uint8Array = NO_BYTES;
  #at = 0;
  /** The beginning of a frame that is not whole, with room for the rest of it. */
  #partial: Uint8Array = NO_BYTES;
  #filled = 0;

  /** Take bytes that have arrived. `next` must have returned undefined before. */
  push(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#at = 0;
  }

  /** The next whole frame, undefined when more bytes are needed. Its body is a view of the bytes that were pushed. */
  next(): Frame | undefined {
    if (this.#filled > 0) return this.#nextOfPartial();
    const left = this.#bytes.length - this.#at;
    const size = left >= 4 ? this.#size(this.#bytes, this.#at) : HEADER_BYTES;
    if (left < size) {
      if (left > 0) this.#keep(size);
      return undefined;
    }
    const start = this.#at;
    this.#at += size;
    return read(this.#bytes.subarray(start, this.#at));
  }

  #nextOfPartial(): Frame | undefined {
    for (;;) {
      const known = this.#filled >= 4;
      const size = known ? this.#size(this.#partial, 0) : 4;
      if (size > this.#partial.length) this.#grow(size);
      const taken = Math.min(size - this.#filled, this.#bytes.length - this.#at);
      this.#partial.set(this.#bytes.subarray(this.#at, this.#at + taken), this.#filled);
      this.#filled += taken;
      this.#at += taken;
      if (this.#filled < size) return undefined;
      if (!known) continue;
      const whole = this.#partial.subarray(0, size);
      this.#partial = NO_BYTES;
      this.#filled = 0;
      return read(whole);
    }
  }

  #keep(size: number): void {
    const rest = this.#bytes.subarray(this.#at);
    this.#partial = new Uint8Array(size);
    this.#partial.set(rest);
    this.#filled = rest.length;
    this.#at = this.#bytes.length;
  }

  #grow(size: number): void {
    const larger = new Uint8Array(size);
    larger.set(this.#partial.subarray(0, this.#filled));
    this.#partial = larger;
  }

  #size(bytes: Uint8Array, at: number): number {
    const length = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0);
    if (length > this.bodyMax) throw new Violation("1.2", `a frame of ${length} bytes, over ${this.bodyMax}`);
    return HEADER_BYTES + length;
  }
}

function read(bytes: Uint8Array): Frame {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return {
    type: bytes[4] as number,
    flags: bytes[5] as number,
    stream: view.getUint32(6) * 0x1_0000_0000 + view.getUint32(10),
    body: bytes.subarray(HEADER_BYTES),
  };
}
