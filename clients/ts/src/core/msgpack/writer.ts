/** Writes values side by side into one buffer. */
import { DEPTH_MAX, Extension, TIMESTAMP } from "./values.ts";

const encoder = new TextEncoder();

export class Writer {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  /** How many bytes were written since the last `take`. */
  get length(): number {
    return this.#at;
  }

  /** Return what was written, as bytes of its own, and begin anew. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#at);
    this.#at = 0;
    return taken;
  }

  /** What was written from a place to another one, until the next write. */
  view(start: number, end: number): Uint8Array {
    return this.#bytes.subarray(start, end);
  }

  /** Forget what was written behind a length, because the rest of the value could not be written. */
  cut(length: number): void {
    this.#at = length;
  }

  value(value: unknown): void {
    this.#value(value, 0);
  }

  #value(value: unknown, depth: number): void {
    switch (typeof value) {
      case "string":
        return this.text(value);
      case "number":
        return this.number(value);
      case "boolean":
        return this.byte(value ? 0xc3 : 0xc2);
      case "undefined":
        return this.byte(0xc0);
      case "bigint":
        return this.#bigint(value);
      case "object":
        return value === null ? this.byte(0xc0) : this.#object(value, depth);
      default:
        throw new TypeError(`a ${typeof value} cannot travel`);
    }
  }

  #object(value: object, depth: number): void {
    if (depth === DEPTH_MAX) throw new TypeError(`values are nested deeper than ${DEPTH_MAX}`);
    if (Array.isArray(value)) {
      this.arrayHeader(value.length);
      for (const each of value) this.#value(each, depth + 1);
    } else if (value instanceof Uint8Array) this.bytes(value);
    else if (value instanceof Date) this.#timestamp(value);
    else if (value instanceof Map) this.#pairs([...value], depth);
    else if (value instanceof Set) this.#value([...value], depth);
    else if (value instanceof Extension) this.#extension(value.type, value.data);
    else if (value instanceof ArrayBuffer) this.bytes(new Uint8Array(value));
    else if (ArrayBuffer.isView(value)) this.bytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    else this.#fields(value as Record<string, unknown>, depth);
  }

  /** Fields that are undefined are left out, so that the other side takes their defaults. */
  #fields(value: Record<string, unknown>, depth: number): void {
    const encoded = (value as { toJSON?: unknown }).toJSON;
    if (typeof encoded === "function") return this.#value(encoded.call(value, ""), depth + 1);
    const keys = Object.keys(value);
    let count = 0;
    for (const key of keys) if (value[key] !== undefined) count += 1;
    this.#header(count, 0x80, 15, 0xde);
    for (const key of keys) {
      const field = value[key];
      if (field === undefined) continue;
      this.text(key);
      this.#value(field, depth + 1);
    }
  }

  #pairs(pairs: [unknown, unknown][], depth: number): void {
    this.#header(pairs.length, 0x80, 15, 0xde);
    for (const [key, each] of pairs) {
      this.#value(key, depth + 1);
      this.#value(each, depth + 1);
    }
  }

  byte(value: number): void {
    this.#room(1);
    this.#bytes[this.#at++] = value;
  }

  u32(value: number): void {
    this.#room(4);
    this.#view.setUint32(this.#at, value);
    this.#at += 4;
  }

  /** Write a number of up to 2^53 in the eight bytes of a layout. */
  u64(value: number): void {
    this.u32(Math.floor(value / 0x1_0000_0000));
    this.u32(value % 0x1_0000_0000);
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  number(value: number): void {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) return this.#float(value);
    this.#room(9);
    const view = this.#view;
    let at = this.#at;
    if (value >= 0) {
      if (value < 0x80) view.setUint8(at++, value);
      else if (value < 0x100) {
        view.setUint16(at, 0xcc00 | value);
        at += 2;
      } else if (value < 0x1_0000) {
        view.setUint8(at, 0xcd);
        view.setUint16(at + 1, value);
        at += 3;
      } else if (value < 0x1_0000_0000) {
        view.setUint8(at, 0xce);
        view.setUint32(at + 1, value);
        at += 5;
      } else {
        view.setUint8(at, 0xcf);
        view.setUint32(at + 1, Math.floor(value / 0x1_0000_0000));
        view.setUint32(at + 5, value % 0x1_0000_0000);
        at += 9;
      }
    } else if (value >= -0x20) view.setInt8(at++, value);
    else if (value >= -0x80) {
      view.setUint8(at, 0xd0);
      view.setInt8(at + 1, value);
      at += 2;
    } else if (value >= -0x8000) {
      view.setUint8(at, 0xd1);
      view.setInt16(at + 1, value);
      at += 3;
    } else if (value >= -0x8000_0000) {
      view.setUint8(at, 0xd2);
      view.setInt32(at + 1, value);
      at += 5;
    } else {
      view.setUint8(at, 0xd3);
      view.setBigInt64(at + 1, BigInt(value));
      at += 9;
    }
    this.#at = at;
  }

  #float(value: number): void {
    this.#room(9);
    this.#view.setUint8(this.#at, 0xcb);
    this.#view.setFloat64(this.#at + 1, value);
    this.#at += 9;
  }

  #bigint(value: bigint): void {
    if (value < -(2n ** 63n) || value >= 2n ** 64n) throw new TypeError("an integer over 64 bits cannot travel");
    this.#room(9);
    this.#view.setUint8(this.#at, value < 0n ? 0xd3 : 0xcf);
    if (value < 0n) this.#view.setBigInt64(this.#at + 1, value);
    else this.#view.setBigUint64(this.#at + 1, value);
    this.#at += 9;
  }

  text(value: string): void {
    if (value.length <= 40) return this.#shortText(value);
    this.#room(5 + value.length * 3);
    const start = this.#at;
    const head = value.length < 0x56 ? 2 : value.length < 0x5556 ? 3 : 5; // as if each character had three bytes
    const written = encoder.encodeInto(value, this.#bytes.subarray(start + head)).written;
    if (head === 2) this.#view.setUint16(start, 0xd900 | written);
    else if (head === 3) {
      this.#view.setUint8(start, 0xda);
      this.#view.setUint16(start + 1, written);
    } else {
      this.#view.setUint8(start, 0xdb);
      this.#view.setUint32(start + 1, written);
    }
    this.#at = start + head + written;
  }

  #shortText(value: string): void {
    this.#room(2 + value.length * 3);
    const bytes = this.#bytes;
    const start = this.#at;
    const head = value.length < 32 ? 1 : 2;
    let at = start + head;
    for (let index = 0; index < value.length; index++) {
      const code = value.charCodeAt(index);
      if (code >= 0x80) return this.#encodedText(value);
      bytes[at++] = code;
    }
    if (head === 1) bytes[start] = 0xa0 | value.length;
    else {
      bytes[start] = 0xd9;
      bytes[start + 1] = value.length;
    }
    this.#at = at;
  }

  #encodedText(value: string): void {
    const encoded = encoder.encode(value);
    if (encoded.length < 32) this.byte(0xa0 | encoded.length);
    else {
      this.byte(0xd9);
      this.byte(encoded.length);
    }
    this.raw(encoded);
  }

  bytes(value: Uint8Array): void {
    this.#room(5);
    if (value.length < 0x100) {
      this.byte(0xc4);
      this.byte(value.length);
    } else if (value.length < 0x1_0000) {
      this.#view.setUint8(this.#at, 0xc5);
      this.#view.setUint16(this.#at + 1, value.length);
      this.#at += 3;
    } else {
      this.byte(0xc6);
      this.u32(value.length);
    }
    this.raw(value);
  }

  arrayHeader(count: number): void {
    this.#header(count, 0x90, 15, 0xdc);
  }

  mapHeader(count: number): void {
    this.#header(count, 0x80, 15, 0xde);
  }

  #header(count: number, short: number, shortMax: number, long: number): void {
    if (count <= shortMax) return this.byte(short | count);
    this.#room(5);
    if (count < 0x1_0000) {
      this.#view.setUint8(this.#at, long);
      this.#view.setUint16(this.#at + 1, count);
      this.#at += 3;
    } else {
      this.byte(long + 1);
      this.u32(count);
    }
  }

  #timestamp(value: Date): void {
    const ms = value.getTime();
    if (Number.isNaN(ms)) throw new TypeError("an invalid Date cannot travel");
    const seconds = Math.floor(ms / 1000);
    const nanoseconds = (ms - seconds * 1000) * 1_000_000;
    const data = new Writer();
    if (seconds >= 0 && seconds < 0x1_0000_0000 && nanoseconds === 0) data.u32(seconds);
    else if (seconds >= 0 && seconds < 2 ** 34) {
      data.u32(nanoseconds * 4 + Math.floor(seconds / 0x1_0000_0000));
      data.u32(seconds % 0x1_0000_0000);
    } else {
      data.u32(nanoseconds);
      data.u32(Math.floor(seconds / 0x1_0000_0000) >>> 0);
      data.u32(seconds >>> 0);
    }
    this.#extension(TIMESTAMP, data.take());
  }

  #extension(type: number, data: Uint8Array): void {
    const short = [1, 2, 4, 8, 16].indexOf(data.length);
    if (short >= 0) this.byte(0xd4 + short);
    else if (data.length < 0x100) {
      this.byte(0xc7);
      this.byte(data.length);
    } else {
      this.byte(0xc9);
      this.u32(data.length);
    }
    this.byte(type & 0xff);
    this.raw(data);
  }

  #room(count: number): void {
    if (this.#at + count <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + count));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}
