/** Reads `vectors/`, and says what the vectors say in the words of this implementation. */
import { readdirSync, readFileSync } from "node:fs";
import { decode } from "../src/core/msgpack/index.ts";
import * as frames from "../src/core/frames.ts";

const ROOT = findRoot();

function findRoot(): string {
  for (let path = process.cwd(); path !== "/"; path = path.slice(0, path.lastIndexOf("/")) || "/")
    if (readdirSync(path).includes("vectors")) return `${path}/vectors`;
  throw new Error("vectors/ is not above the working directory");
}

export const load = <T>(name: string): T => JSON.parse(readFileSync(`${ROOT}/${name}`, "utf8")) as T;
export const sessions = (): string[] => readdirSync(`${ROOT}/sessions`);

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
export const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));

export interface VectorFrame {
  type: string;
  flags: string[];
  stream: number;
  body: Record<string, unknown>;
}

/** Bytes as `{"hex": …}`, the details of a STATUS decoded, all else as it is. */
export function plain(value: unknown, key = ""): unknown {
  if (value instanceof Uint8Array) return key === "details" ? plain(decode(value)) : { hex: hex(value) };
  if (Array.isArray(value)) return value.map((each) => plain(each));
  if (typeof value === "bigint") return { number: `${value}` };
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each, name)]));
}

/** `{"hex": …}` as bytes and `{"number": …}` as a bigint, whatever is around them. */
export function rich(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(rich);
  if (value === null || typeof value !== "object") return value;
  const pairs = Object.entries(value);
  const [name, only] = pairs.length === 1 ? (pairs[0] as [string, unknown]) : ["", undefined];
  if (typeof only === "string" && name === "hex") return unhex(only);
  if (typeof only === "string" && name === "number") return BigInt(only);
  return Object.fromEntries(pairs.map(([name, each]) => [name, rich(each)]));
}

const FLAG_NAMES: [number, string][] = [
  [frames.MORE, "MORE"],
  [frames.LAST, "LAST"],
  [frames.COMPRESSED, "COMPRESSED"],
  [frames.IGNORABLE, "IGNORABLE"],
];

export const flagNames = (flags: number): string[] => FLAG_NAMES.filter(([bit]) => flags & bit).map(([, name]) => name);
export const flagBits = (names: string[]): number =>
  FLAG_NAMES.filter(([, name]) => names.includes(name)).reduce((bits, [bit]) => bits | bit, 0);

export const typeOf = (name: string): number => frames.TYPE_NAMES.indexOf(name as never);

/** Cut bytes into frames and read each, as a vector writes it. */
export function readAll(bytes: Uint8Array): VectorFrame[] {
  const read: VectorFrame[] = [];
  for (let at = 0; at < bytes.length;) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at);
    const length = view.getUint32(0);
    const body = bytes.subarray(at + 14, at + 14 + length);
    const type = view.getUint8(4);
    read.push({
      type: frames.TYPE_NAMES[type] ?? "",
      flags: flagNames(view.getUint8(5)),
      stream: Number(view.getBigUint64(6)),
      body: plain(type === frames.ITEMS ? frames.readItems(body) : frames.readBody(type as typeof frames.OPEN, body)) as never,
    });
    at += 14 + length;
  }
  return read;
}
