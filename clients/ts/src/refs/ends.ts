/** Ends of streams that Python has sent as values, used from here (PROTOCOL.md section 13). */
import type { Carrier } from "../calls/call.ts";
import type { StreamOptions } from "../calls/options.ts";
import { type Items, pullerOf } from "../calls/requests.ts";
import { resultOf } from "../calls/result.ts";
import { Stream } from "../calls/stream.ts";
import { encode, Extension } from "../core/msgpack/index.ts";
import { Code, PenstockError } from "../errors.ts";
import { prove } from "./proof.ts";

const SOURCE = 1;
const SINK = 2;
const FAILURE = 3;
const INSTANCE_BYTES = 16;

/**
 * The items of a `SourceRef`, for one `for await`. Its first `next` claims the end, so that no other process can; leaving the
 * loop stops the producer. `bufferSize` holds through every process on the way. `peer` is connected to the process that has made the
 * value, or has sent it on.
 */
export async function* itemsOf<T = unknown>(
  peer: Carrier,
  source: unknown,
  options: StreamOptions = {},
): AsyncGenerator<T, undefined> {
  const { token, carrier } = await claimed(peer, source, [SOURCE], options.signal);
  const args = [token, options.bufferSize ?? null];
  yield* new Stream<T>(carrier, { target: "Penstock/claim_source", kind: 2, args, options });
}

/**
 * Send items into a `SinkRef`, and end it. Resolves when all of them are in the stream. When the items fail, the stream fails behind
 * those that came before: with the code of a `PenstockError`, and no text of any other error. Then this rejects with the error.
 */
export async function sendTo(peer: Carrier, sink: unknown, items: Items<unknown>, options: StreamOptions = {}): Promise<void> {
  const { token, carrier } = await claimed(peer, sink, [SINK], options.signal).catch((error: unknown) => {
    void (async () => pullerOf(items).return?.())().catch(() => {}); // they are not wanted any more
    throw error;
  });
  const args = [token, options.bufferSize ?? null];
  const failures: unknown[] = [];
  const requests = withFailure(items, failures);
  const answer = resultOf(carrier, { target: "Penstock/claim_sink", kind: 1, args, requests, options });
  await answer.catch((error: unknown) => {
    throw failures.length > 0 ? failures[0] : error;
  });
  if (failures.length > 0) throw failures[0];
}

/** The items, and a last one that says how they have failed (13.4). */
async function* withFailure(items: Items<unknown>, failures: unknown[]): AsyncGenerator<unknown, undefined> {
  const puller = pullerOf(items);
  let isSpent = false;
  try {
    for (;;) {
      isSpent = true; // an iterator that has ended or thrown needs no return
      const { value, done } = await puller.next();
      if (done) return;
      isSpent = false;
      yield value;
    }
  } catch (error) {
    failures.push(error);
    yield new Extension(FAILURE, encode(failureOf(error)));
  } finally {
    if (!isSpent) await puller.return?.();
  }
}

function failureOf(error: unknown): [code: number, reason: string, message: string, details: Record<string, unknown>] {
  if (error instanceof PenstockError) return [error.code, error.reason, error.message, error.details];
  return [Code.INTERNAL, "internal", "the items have failed at the other side", {}];
}

/** End a `SourceRef` or a `SinkRef` that is not wanted. Otherwise it is taken back after a while. */
export async function release(peer: Carrier, end: unknown): Promise<void> {
  const { token, carrier } = await claimed(peer, end, [SOURCE, SINK]);
  await resultOf(carrier, { target: "Penstock/release", kind: 0, args: [token] });
}

interface Claim {
  token: Uint8Array;
  /** The session that has proven to be the one, and no other. */
  carrier: Carrier;
}

/** The token of a value, for the process that offers it alone. */
async function claimed(peer: Carrier, end: unknown, types: number[], signal?: AbortSignal): Promise<Claim> {
  if (!(end instanceof Extension) || !types.includes(end.type) || end.data.length !== 2 * INSTANCE_BYTES)
    throw new TypeError(
      types.length === 1 ? `this is no ${types[0] === SOURCE ? "SourceRef" : "SinkRef"}` : "this is no end of a stream",
    );
  const carrier = await prove(peer, end.data.subarray(0, INSTANCE_BYTES), signal);
  return { token: end.data.slice(INSTANCE_BYTES), carrier };
}
