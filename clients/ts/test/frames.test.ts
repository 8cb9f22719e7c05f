import assert from "node:assert/strict";
import { test } from "node:test";
import { inflateRawSync } from "node:zlib";
import { Assembly } from "../src/core/assembly.ts";
import { inflated } from "../src/core/compression.ts";
import { Decoder } from "../src/core/decoder.ts";
import * as frames from "../src/core/frames.ts";
import { decode, encode } from "../src/core/msgpack/index.ts";
import { CALLEE, CALLER } from "../src/core/states.ts";
import { flagBits, hex, load, plain, rich, typeOf, unhex, type VectorFrame } from "./vectors.ts";

type Case = { name: string; hex: string; frame: VectorFrame; read_only?: boolean };

function read(bytes: Uint8Array): frames.Frame {
  const decoder = new Decoder();
  decoder.push(bytes);
  const frame = decoder.next();
  assert(frame);
  return frame;
}

for (const { name, hex: bytes, frame, read_only } of load<Case[]>("frames.json")) {
  const { items, ...rest } = frame.body;
  const body = frame.type === "ITEMS" ? rest : frame.body;
  test(`frames.json: ${name} is read`, () => {
    const found = read(unhex(bytes));
    assert(frames.isForUs(found));
    assert.deepEqual(
      { type: frames.TYPE_NAMES[found.type], flags: found.flags, stream: found.stream },
      { type: frame.type, flags: flagBits(frame.flags), stream: frame.stream },
    );
    if (frame.type !== "ITEMS")
      return assert.deepEqual(plain(frames.readBody(found.type as typeof frames.OPEN, found.body)), body);
    const { payload, ...prefix } = frames.readItems(found.body);
    assert.deepEqual({ ...prefix, payload: plain(payload) }, body);
    const isJson = payload[0] === 0x5b;
    assert.deepEqual(isJson ? JSON.parse(Buffer.from(payload).toString()) : plain(decode(payload)), items);
    return undefined;
  });
  if (read_only) continue;
  test(`frames.json: ${name} is written`, () => {
    const meaning = rich(body) as Record<string, unknown>;
    const flags = flagBits(frame.flags);
    if (frame.type === "STATUS") meaning.details = encode(meaning.details);
    const written =
      frame.type === "ITEMS"
        ? frames.writeItems(frame.stream, meaning as never, flags)
        : frames.writeFrame(typeOf(frame.type) as typeof frames.OPEN, frame.stream, meaning as never, flags);
    assert.equal(hex(written), bytes);
  });
}

type Fragments = { name: string; frames: { hex: string; frame: VectorFrame }[]; payload: { hex: string } };
for (const { name, frames: parts, payload } of load<Fragments[]>("fragments.json"))
  test(`fragments.json: ${name} is put together`, () => {
    const found = parts.map((part) => read(unhex(part.hex)));
    const pieces = found.map(({ type, body }) => (type === frames.ITEMS ? frames.readItems(body).payload : body));
    const assembly = new Assembly(found[0]?.flags ?? 0);
    found.forEach(({ flags }, index) => assembly.add(flags, pieces[index] as Uint8Array, 1000));
    assert.equal(hex(assembly.whole()), payload.hex);
  });

type Compressed = Case & { plain: { hex: string } };
for (const { name, hex: bytes, plain: expected } of load<Compressed[]>("compression.json")) {
  const isDeflate = name.startsWith("deflate");
  test(`compression.json: ${name} is ${isDeflate ? "decompressed" : "refused by a side that did not name it"}`, () => {
    const { payload } = frames.readItems(read(unhex(bytes)).body);
    const whole = () => inflated(payload, { deflate: (data) => new Uint8Array(inflateRawSync(data)) }, 1000);
    if (isDeflate) assert.equal(hex(whole()), expected.hex);
    else assert.throws(whole, { rule: "11.2" });
  });
}

test("states.json: the tables are those of section 3", () => {
  assert.deepEqual({ caller: CALLER, callee: CALLEE }, load("states.json"));
});
