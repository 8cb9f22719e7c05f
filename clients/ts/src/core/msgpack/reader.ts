/** Reads values one after the other. What is no msgpack is `BadBytes`. */
import { BadBytes, DEPTH_MAX, Extension, TIMESTAMP } from "./values.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

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
