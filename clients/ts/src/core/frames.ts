/**
 * The frames of PROTOCOL.md sections 1 to 9, as bytes and as values. This module knows no stream and no order.
 *
 * The names of the fields are those of PROTOCOL.md, so that a layout, a vector and an error say the same.
 */
import {
  boolean,
  bytes,
  type Field,
  field,
  NEEDED,
  number,
  optional,
  rawMap,
  text,
  textMap,
  texts,
  wide,
  wrong,
} from "./fields.ts";
import { BadBytes, Reader, Writer } from "./msgpack/index.ts";
import { Violation } from "./violation.ts";

export const HELLO = 1;
export const OPEN = 2;
export const ACCEPT = 3;
export const ITEMS = 4;
export const CREDIT = 5;
export const END = 6;
export const STATUS = 7;
export const CANCEL = 8;
export const PING = 9;
export const PONG = 10;
export const GOAWAY = 11;
export const ACK = 12;
export const RESUMED = 13;

export const MORE = 0x01;
export const LAST = 0x02;
export const COMPRESSED = 0x04;
export const IGNORABLE = 0x80;

export const HEADER_BYTES = 14;
export const PREFIX_BYTES = 12;
export const NUMBER_MAX = Number.MAX_SAFE_INTEGER;

export const TYPE_NAMES = [
  "",
  "HELLO",
  "OPEN",
  "ACCEPT",
  "ITEMS",
  "CREDIT",
  "END",
  "STATUS",
  "CANCEL",
  "PING",
  "PONG",
  "GOAWAY",
  "ACK",
  "RESUMED",
] as const;

const FLAGS_OF: Record<number, number> = { [OPEN]: MORE | LAST, [ITEMS]: MORE | LAST | COMPRESSED };

export interface Hello {
  magic: string;
  version: number;
  max_frame_bytes: number;
  max_item_bytes: number;
  max_header_bytes: number;
  max_streams: number;
  compressions: string[];
  agent: string;
  keep_ms: number;
  token: Uint8Array;
  instance: Uint8Array;
  max_ahead_items: number;
  max_ahead_bytes: number;
  received: number;
  credentials: string;
  valid_ms: number;
}

export interface Open {
  target: string;
  kind: number;
  codec: number;
  credit_items: number;
  credit_bytes: number;
  argument: Uint8Array | null;
  metadata: Record<string, string>;
  deadline_ms: number | null;
  priority: number;
  fingerprint: number | bigint;
  wish_items: number;
  wish_bytes: number;
}

export interface Accept {
  epoch: number;
  offset: number;
  credit_items: number;
  credit_bytes: number;
  payload: Uint8Array | null;
}

export interface Credit {
  items: number;
  bytes: number;
  consumed: number;
}

export interface End {
  count: number;
  reason: string | null;
}

export interface Status {
  code: number;
  reason: string;
  message: string;
  /** One map in msgpack, not decoded before the program asks (6.3). */
  details: Uint8Array;
  started: boolean;
  count: number;
}

export interface Cancel {
  code: number;
  reason: string;
  message: string;
}

export interface Goaway {
  last_stream_id: number;
  code: number;
  message: string;
}

export interface Resumed {
  code: number;
  received: number;
  message: string;
}

export interface Bodies {
  [HELLO]: Hello;
  [OPEN]: Open;
  [ACCEPT]: Accept;
  [CREDIT]: Credit;
  [END]: End;
  [STATUS]: Status;
  [CANCEL]: Cancel;
  [PING]: { number: number };
  [PONG]: { number: number };
  [GOAWAY]: Goaway;
  [ACK]: { received: number };
  [RESUMED]: Resumed;
}

/** The body of ITEMS (4.1). */
export interface Items {
  offset: number;
  count: number;
  payload: Uint8Array;
}

export const NO_BYTES = new Uint8Array(0);
const NO_DETAILS = Uint8Array.of(0x80);

const CODE = number(0, 255);
const PING_FIELDS = [field("number", number())];

/** The fields of each body, in their order; a missing one has its default, or is needed. */
const LAYOUTS: Record<keyof Bodies, Field[]> = {
  [HELLO]: [
    field("magic", text),
    field("version", number()),
    field("max_frame_bytes", number(16_384)),
    field("max_item_bytes", number(1024)),
    field("max_header_bytes", number(1024)),
    field("max_streams", number()),
    field("compressions", texts),
    field("agent", text, ""),
    field("keep_ms", number(), 0),
    field("token", bytes, NO_BYTES),
    field("instance", bytes, NO_BYTES),
    field("max_ahead_items", number(), 0),
    field("max_ahead_bytes", number(), 0),
    field("received", number(), 0),
    field("credentials", text, ""),
    field("valid_ms", number(), 0),
  ],
  [OPEN]: [
    field("target", text),
    field("kind", number(0, 3)),
    field("codec", CODE),
    field("credit_items", number()),
    field("credit_bytes", number()),
    field("argument", optional(bytes), null),
    field("metadata", textMap, {}),
    field("deadline_ms", optional(number()), null),
    field("priority", number(0, 2), 1),
    field("fingerprint", wide, 0),
    field("wish_items", number(), 0),
    field("wish_bytes", number(), 0),
  ],
  [ACCEPT]: [
    field("epoch", number()),
    field("offset", number()),
    field("credit_items", number()),
    field("credit_bytes", number()),
    field("payload", optional(bytes), null),
  ],
  [CREDIT]: [field("items", number()), field("bytes", number()), field("consumed", number())],
  [END]: [field("count", number()), field("reason", optional(text), null)],
  [STATUS]: [
    field("code", CODE),
    field("reason", text, ""),
    field("message", text, ""),
    field("details", rawMap, NO_DETAILS),
    field("started", boolean, true),
    field("count", number(), 0),
  ],
  [CANCEL]: [field("code", CODE, 1), field("reason", text, "cancelled"), field("message", text, "")],
  [PING]: PING_FIELDS,
  [PONG]: PING_FIELDS,
  [GOAWAY]: [field("last_stream_id", number()), field("code", CODE, 0), field("message", text, "")],
  [ACK]: [field("received", number())],
  [RESUMED]: [field("code", CODE), field("received", number(), 0), field("message", text, "")],
};

const isOfConnection = (type: number): boolean => type === HELLO || type >= PING;

/** Whether a frame belongs to its link, and so is not in the sequence of the session (9.2). */
export const isOfLink = (type: number): boolean => type === HELLO || type === PING || type === PONG || type >= ACK;

const writer = new Writer();

function frame(type: number, flags: number, stream: number): Uint8Array {
  const bytes = writer.take();
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - HEADER_BYTES);
  bytes[4] = type;
  bytes[5] = flags;
  view.setUint32(6, Math.floor(stream / 0x1_0000_0000));
  view.setUint32(10, stream % 0x1_0000_0000);
  return bytes;
}

const NO_HEADER = new Uint8Array(HEADER_BYTES);

/** Write the body of a frame alone, a field that is left out with its default; a large OPEN is cut before it gets its headers. */
export function writeBody<T extends keyof Bodies>(type: T, body: Partial<Bodies[T]>): Uint8Array {
  const fields = LAYOUTS[type];
  try {
    writer.arrayHeader(fields.length);
    for (const { name, kind, missing } of fields) kind.write(writer, (body[name as keyof Bodies[T]] ?? missing) as never);
    return writer.take();
  } finally {
    writer.cut(0); // also after an error: all connections write by this writer
  }
}

/** Write a frame with the header that goes before its body. */
export function writeFrame<T extends keyof Bodies>(type: T, stream: number, body: Partial<Bodies[T]>, flags = 0): Uint8Array {
  return wrap(type, flags, stream, writeBody(type, body));
}

/** Put a header before a body that is bytes already. */
export function wrap(type: number, flags: number, stream: number, body: Uint8Array): Uint8Array {
  writer.raw(NO_HEADER);
  writer.raw(body);
  return frame(type, flags, stream);
}

export function writeItems(stream: number, items: Items, flags: number): Uint8Array {
  writer.raw(NO_HEADER);
  writer.u64(items.offset);
  writer.u32(items.count);
  writer.raw(items.payload);
  return frame(ITEMS, flags, stream);
}

export function readItems(body: Uint8Array): Items {
  if (body.length < PREFIX_BYTES) throw new Violation("4.1", `ITEMS of ${body.length} bytes`);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const offset = view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4);
  if (offset > NUMBER_MAX) throw new Violation("1.3", `the offset ${offset}`);
  return { offset, count: view.getUint32(8), payload: body.subarray(PREFIX_BYTES) };
}

/** Read a body that is one array (1.7). */
export function readBody<T extends keyof Bodies>(type: T, body: Uint8Array): Bodies[T] {
  const values: Record<string, unknown> = {};
  let place = "";
  try {
    const reader = new Reader(body);
    const count = reader.arrayHeader() ?? wrong();
    const fields = LAYOUTS[type];
    fields.forEach(({ name, kind, missing }, index) => {
      place = ` field ${name}:`;
      if (index >= count && missing === NEEDED) throw new BadBytes("it is missing");
      values[name] = index < count ? kind.read(reader) : missing;
    });
    place = "";
    reader.skip(Math.max(0, count - fields.length));
    if (!reader.ended) throw new BadBytes("bytes follow the array");
  } catch (error) {
    if (!(error instanceof BadBytes)) throw error;
    throw new Violation("1.7", `${TYPE_NAMES[type]}:${place} ${error.message}`);
  }
  return values as unknown as Bodies[T];
}

/** What a header says, and the body behind it. */
export interface Frame {
  type: number;
  flags: number;
  stream: number;
  body: Uint8Array;
}

/** Judge a header by 1.4 and 1.5: is the frame one to act on? One to skip is not; anything else is a violation. */
export function isForUs({ type, flags, stream }: Frame): boolean {
  if (type === 0 || type > RESUMED) {
    if (flags & IGNORABLE) return false;
    throw new Violation("1.4", `the unknown type ${type}`);
  }
  const name = TYPE_NAMES[type];
  if (flags & ~(IGNORABLE | (FLAGS_OF[type] ?? 0))) throw new Violation("1.5", `${name} with the flags ${flags}`);
  if (isOfConnection(type) !== (stream === 0)) throw new Violation("1.5", `${name} with the stream id ${stream}`);
  return true;
}
