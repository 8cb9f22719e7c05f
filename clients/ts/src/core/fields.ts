/** The types of the fields of a body (1.7): how each is read and written. A wrong one is `BadBytes`. */
import { BadBytes, type Reader, type Writer } from "./msgpack/index.ts";

export type Kind<T> = { read(reader: Reader): T; write(writer: Writer, value: T): void };
export interface Field {
  name: string;
  kind: Kind<never>;
  missing: unknown;
}
export const NEEDED = Symbol();

export const wrong = (): never => {
  throw new BadBytes("a value of another type");
};

export const number = (low = 0, high = Number.MAX_SAFE_INTEGER): Kind<number> => ({
  read(reader) {
    const head = reader.peek();
    const value = reader.value();
    if (typeof value !== "number" || head === 0xca || head === 0xcb) return wrong();
    if (value < low || value > high) throw new BadBytes(`${value} is not between ${low} and ${high}`);
    return value;
  },
  write: (writer, value) => writer.number(value),
});

export const text: Kind<string> = {
  read(reader) {
    const value = reader.value();
    return typeof value === "string" ? value : wrong();
  },
  write: (writer, value) => writer.text(value),
};

export const bytes: Kind<Uint8Array> = {
  read(reader) {
    const value = reader.value();
    return value instanceof Uint8Array ? value : wrong();
  },
  write: (writer, value) => writer.bytes(value),
};

export const boolean: Kind<boolean> = {
  read(reader) {
    const value = reader.value();
    return typeof value === "boolean" ? value : wrong();
  },
  write: (writer, value) => writer.value(value),
};

/** A number of up to 64 bits: the one exception of 1.3. */
export const wide: Kind<number | bigint> = {
  read(reader) {
    const head = reader.peek();
    const value = reader.value();
    if ((typeof value !== "number" && typeof value !== "bigint") || head === 0xca || head === 0xcb || value < 0) return wrong();
    return value;
  },
  write: (writer, value) => writer.value(value),
};

export const texts: Kind<string[]> = {
  read(reader) {
    const values: string[] = [];
    for (let left = reader.arrayHeader() ?? wrong(); left > 0; left--) values.push(text.read(reader));
    return values;
  },
  write(writer, values) {
    writer.arrayHeader(values.length);
    for (const each of values) writer.text(each);
  },
};

export const textMap: Kind<Record<string, string>> = {
  read(reader) {
    const pairs: [string, string][] = [];
    for (let left = reader.mapHeader() ?? wrong(); left > 0; left--) pairs.push([text.read(reader), text.read(reader)]);
    return Object.fromEntries(pairs);
  },
  write(writer, values) {
    const pairs = Object.entries(values);
    writer.mapHeader(pairs.length);
    for (const [key, value] of pairs) {
      writer.text(key);
      writer.text(value);
    }
  },
};

/** A map of values, kept as it is: its keys and values are not decoded. */
export const rawMap: Kind<Uint8Array> = {
  read(reader) {
    const start = reader.at;
    for (let left = reader.mapHeader() ?? wrong(); left > 0; left--) {
      text.read(reader);
      reader.skip();
    }
    return reader.since(start);
  },
  write: (writer, value) => writer.raw(value),
};

export const optional = <T>(kind: Kind<T>): Kind<T | null> => ({
  read: (reader) => (reader.peek() === 0xc0 ? (reader.skip(), null) : kind.read(reader)),
  write: (writer, value) => (value === null ? writer.byte(0xc0) : kind.write(writer, value)),
});

export const field = <T>(name: string, kind: Kind<T>, missing: T | typeof NEEDED = NEEDED): Field => ({
  name,
  kind: kind as unknown as Kind<never>,
  missing,
});
