/**
 * Values as msgpack. `Writer` writes them side by side into one buffer, `Reader` reads them one after the other.
 *
 * A whole number is written as an int, a bigint as an int of 64 bits, any other number as a float of 64 bits, a `Date` as
 * a timestamp, bytes as bin. Read back, an int beyond 2^53 is a bigint. A map with a key that is no text is a `Map`.
 */

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

const TIMESTAMP = -1;
const DEPTH_MAX = 512;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

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
    if (depth === DEPTH_MAX) throw new TypeError(`a value is nested deeper than ${DEPTH_MAX}, or contains itself`);
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
    if (value < -(2n ** 63n) || value >= 2n ** 64n) throw new TypeError("an integer of more than 64 bits cannot travel");
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

/** Keys of maps that were read before, by their length and last bytes: most items have the keys of the item before. */
const keys: ({ bytes: Uint8Array; text: string } | undefined)[] = new Array(256);

export class Reader {
  /** Where the next value begins. */
  at: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #valuesLeft: number;

  /** Read `bytes` from `at`. More than `valuesMax` values (those inside others are counted, too) are `BadBytes`. */
  constructor(bytes: Uint8Array, at = 0, valuesMax = Infinity) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
    this.#valuesLeft = valuesMax;
  }

  get ended(): boolean {
    return this.at === this.#bytes.length;
  }

  /** The bytes from a place up to here. */
  since(start: number): Uint8Array {
    return this.#bytes.slice(start, this.at);
  }

  /** Let the next value count anew. */
  allow(valuesMax: number): void {
    this.#valuesLeft = valuesMax;
  }

  value(): unknown {
    return this.#value(0);
  }

  #value(depth: number): unknown {
    const head = this.#next();
    this.#valuesLeft -= 1;
    if (this.#valuesLeft < 0) throw new BadBytes("too many values");
    if (head < 0x80) return head;
    if (head >= 0xe0) return head - 0x100;
    if (head < 0x90) return this.#map(head & 0x0f, depth);
    if (head < 0xa0) return this.#array(head & 0x0f, depth);
    if (head < 0xc0) return this.#text(head & 0x1f);
    switch (head) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xca:
        return this.#view.getFloat32(this.#skipped(4));
      case 0xcb:
        return this.#view.getFloat64(this.#skipped(8));
      case 0xcc:
        return this.#next();
      case 0xcd:
        return this.#u16();
      case 0xce:
        return this.u32();
      case 0xcf:
        return shrunk(this.#view.getBigUint64(this.#skipped(8)));
      case 0xd0:
        return this.#view.getInt8(this.#skipped(1));
      case 0xd1:
        return this.#view.getInt16(this.#skipped(2));
      case 0xd2:
        return this.#view.getInt32(this.#skipped(4));
      case 0xd3:
        return shrunk(this.#view.getBigInt64(this.#skipped(8)));
      case 0xdc:
        return this.#array(this.#u16(), depth);
      case 0xdd:
        return this.#array(this.u32(), depth);
      case 0xde:
        return this.#map(this.#u16(), depth);
      case 0xdf:
        return this.#map(this.u32(), depth);
      default:
        return this.#sized(head);
    }
  }

  /** Read what has a length of its own: a text, bytes, an extension. */
  #sized(head: number): unknown {
    if (head >= 0xd9 && head <= 0xdb) return this.#text(this.#length(head - 0xd9));
    if (head >= 0xc4 && head <= 0xc6) return this.#cut(this.#length(head - 0xc4)).slice();
    if (head >= 0xc7 && head <= 0xc9) return this.#extension(this.#length(head - 0xc7));
    if (head >= 0xd4 && head <= 0xd8) return this.#extension(1 << (head - 0xd4));
    throw new BadBytes(`${head.toString(16)} begins no value`);
  }

  #length(size: number): number {
    return size === 0 ? this.#next() : size === 1 ? this.#u16() : this.u32();
  }

  #array(count: number, depth: number): unknown[] {
    this.#enter(count, depth);
    const values: unknown[] = [];
    for (let left = count; left > 0; left--) values.push(this.#value(depth + 1));
    return values;
  }

  #map(count: number, depth: number): unknown {
    this.#enter(count, depth);
    const values: Record<string, unknown> = {};
    for (let index = 0; index < count; index++) {
      const key = this.#key(depth);
      if (typeof key !== "string") return this.#otherMap(values, key, count - index - 1, depth);
      const value = this.#value(depth + 1);
      if (key === "__proto__")
        Object.defineProperty(values, key, { value, enumerable: true, configurable: true, writable: true });
      else values[key] = value;
    }
    return values;
  }

  #otherMap(before: Record<string, unknown>, key: unknown, left: number, depth: number): Map<unknown, unknown> {
    const values = new Map<unknown, unknown>(Object.entries(before));
    values.set(key, this.#value(depth + 1));
    for (; left > 0; left--) {
      const each = this.#key(depth);
      values.set(each, this.#value(depth + 1));
    }
    return values;
  }

  #key(depth: number): unknown {
    const head = this.#bytes[this.at];
    if (head === undefined || head < 0xa0 || head >= 0xc0) return this.#value(depth + 1);
    this.#valuesLeft -= 1;
    const length = head & 0x1f;
    const bytes = this.#bytes;
    const start = this.at + 1;
    const place = (length ^ ((bytes[start] ?? 0) << 3) ^ ((bytes[start + length - 1] ?? 0) << 1)) & 0xff;
    const known = keys[place];
    if (known !== undefined && this.#is(known.bytes, start, length)) {
      this.at = start + length;
      return known.text;
    }
    this.at = start;
    const text = this.#text(length);
    keys[place] = { bytes: bytes.slice(start, start + length), text };
    return text;
  }

  #is(known: Uint8Array, start: number, length: number): boolean {
    if (known.length !== length || start + length > this.#bytes.length) return false;
    for (let index = 0; index < length; index++) if (known[index] !== this.#bytes[start + index]) return false;
    return true;
  }

  #text(length: number): string {
    const start = this.#skipped(length);
    const bytes = this.#bytes;
    if (length > 24) return utf8(bytes.subarray(start, start + length));
    let text = "";
    for (let index = start; index < start + length; index++) {
      const code = bytes[index] as number;
      if (code >= 0x80) return utf8(bytes.subarray(start, start + length));
      text += String.fromCharCode(code);
    }
    return text;
  }

  #extension(length: number): unknown {
    const type = this.#view.getInt8(this.#skipped(1));
    const data = this.#cut(length);
    return type === TIMESTAMP ? timestamp(data) : new Extension(type, data.slice());
  }

  /** Read the header of an array; undefined when the next value is none. */
  arrayHeader(): number | undefined {
    const head = this.#next();
    if (head >= 0x90 && head < 0xa0) return head & 0x0f;
    return head === 0xdc ? this.#u16() : head === 0xdd ? this.u32() : undefined;
  }

  /** Read the header of a map; undefined when the next value is none. */
  mapHeader(): number | undefined {
    const head = this.#next();
    if (head >= 0x80 && head < 0x90) return head & 0x0f;
    return head === 0xde ? this.#u16() : head === 0xdf ? this.u32() : undefined;
  }

  /** The first byte of the next value. */
  peek(): number {
    const head = this.#next();
    this.at -= 1;
    return head;
  }

  /** Go over values without making them, however deep they are; texts are not looked at. */
  skip(count = 1): void {
    for (let left = count; left > 0; left--) {
      const head = this.#next();
      if (head >= 0x80 && head < 0x90) left += (head & 0x0f) * 2;
      else if (head >= 0x90 && head < 0xa0) left += head & 0x0f;
      else if (head >= 0xa0 && head < 0xc0) this.#skipped(head & 0x1f);
      else if (head >= 0xc4 && head <= 0xc6) this.#skipped(this.#length(head - 0xc4));
      else if (head >= 0xc7 && head <= 0xc9) this.#skipped(this.#length(head - 0xc7) + 1);
      else if (head >= 0xca && head <= 0xcb) this.#skipped(4 << (head - 0xca));
      else if (head >= 0xcc && head <= 0xcf) this.#skipped(1 << (head - 0xcc));
      else if (head >= 0xd0 && head <= 0xd3) this.#skipped(1 << (head - 0xd0));
      else if (head >= 0xd4 && head <= 0xd8) this.#skipped((1 << (head - 0xd4)) + 1);
      else if (head >= 0xd9 && head <= 0xdb) this.#skipped(this.#length(head - 0xd9));
      else if (head >= 0xdc && head <= 0xdd) left += this.#length(head - 0xdb);
      else if (head >= 0xde && head <= 0xdf) left += this.#length(head - 0xdd) * 2;
      else if (head === 0xc1) throw new BadBytes("c1 begins no value");
    }
  }

  u32(): number {
    return this.#view.getUint32(this.#skipped(4));
  }

  #u16(): number {
    return this.#view.getUint16(this.#skipped(2));
  }

  #next(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined) throw new BadBytes("the bytes end early");
    this.at += 1;
    return byte;
  }

  #skipped(count: number): number {
    const start = this.at;
    if (start + count > this.#bytes.length) throw new BadBytes("the bytes end early");
    this.at = start + count;
    return start;
  }

  #cut(length: number): Uint8Array {
    const start = this.#skipped(length);
    return this.#bytes.subarray(start, start + length);
  }

  #enter(count: number, depth: number): void {
    if (depth === DEPTH_MAX) throw new BadBytes(`values are nested deeper than ${DEPTH_MAX}`);
    if (count > this.#bytes.length - this.at) throw new BadBytes("the bytes end early");
  }
}

function shrunk(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

function utf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new BadBytes("a text is no UTF-8");
  }
}

function timestamp(data: Uint8Array): Date {
  const reader = new Reader(data);
  if (data.length === 4) return new Date(reader.u32() * 1000);
  if (data.length !== 8 && data.length !== 12) throw new BadBytes(`a timestamp of ${data.length} bytes`);
  const first = reader.u32();
  const high = data.length === 8 ? first & 3 : reader.u32() | 0;
  const nanoseconds = data.length === 8 ? first >>> 2 : first;
  return new Date((high * 0x1_0000_0000 + reader.u32()) * 1000 + nanoseconds / 1_000_000);
}

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
