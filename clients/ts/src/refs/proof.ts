/** Whether the other side of a connection is the instance that it says: a proof by Diffie-Hellman (PROTOCOL.md 13.5). */
import type { Carrier } from "../calls/call.ts";
import { resultOf } from "../calls/result.ts";
import type { Connection } from "../core/connection.ts";
import { aborted, CallFailed, Code } from "../errors.ts";
import type { Session } from "../session/session.ts";

/** The group of 2,048 bits of RFC 3526, as in src/penstock/refs/_proof.py. */
const PRIME = BigInt(
  "0x" +
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F" +
    "14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8" +
    "A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C3290" +
    "5E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA051015728E5A8AACAA68" +
    "FFFFFFFFFFFFFFFF",
);
const GENERATOR = 2n;
const NUMBER_BYTES = 256;
const SECRET_BYTES = 32;
const INSTANCE_BYTES = 16;
const ANSWER_MS = 10_000;

/** What is known of the connections of this program: each is asked once. */
const proofs = new WeakMap<Connection, Promise<void>>();

/**
 * Make sure that the other side is `instance`, before it is told a token, and return what carries calls over the session that has
 * proven it, and over no other one. Rejects with code 16 when it is not, and when the signal aborts.
 */
export async function prove(carrier: Carrier, instance: Uint8Array, signal?: AbortSignal): Promise<Carrier> {
  const only = within(carrier, carrier.session());
  const { connection } = only.session();
  const said = connection.peer?.instance;
  if (said === undefined || !isSame(said, instance))
    throw new CallFailed(Code.UNAVAILABLE, "the value belongs to another process than the one at the other side", {
      started: false,
    });
  let proof = proofs.get(connection);
  if (proof === undefined) {
    proof = ask(only, connection, said);
    proofs.set(connection, proof);
    proof.catch(({ code }: CallFailed) => {
      if (code === Code.UNAVAILABLE) proofs.delete(connection); // it was not asked
    });
  }
  await unlessAborted(proof, signal);
  return only;
}

function within(carrier: Carrier, its: Session): Carrier {
  const { clock, reconnects, whenClosed } = carrier;
  const session = () => {
    if (carrier.session() === its) return its;
    throw new CallFailed(Code.UNAVAILABLE, "the process at the other side takes no new streams", { started: false });
  };
  return { clock, isFixed: true, reconnects, whenClosed, session };
}

/** The proof goes on when one of those that wait for it gives up. */
function unlessAborted(proof: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return proof;
  return new Promise((resolve, reject) => {
    const abort = () => reject(aborted(signal));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    void proof.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

async function ask(carrier: Carrier, connection: Connection, instance: Uint8Array): Promise<void> {
  const secret = numberOf(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));
  const challenge = bytesOf(power(GENERATOR, secret));
  const request = { target: "Penstock/prove", kind: 0, args: [challenge], options: { deadlineMs: ANSWER_MS } };
  const [owner, salt, answer] = await resultOf<[Uint8Array, Uint8Array, Uint8Array]>(carrier, request);
  const asker = { challenge, secret, instance: connection.settings.instance };
  if (!(await isProof({ owner, salt, answer, instance, role: "server" }, asker)))
    throw new CallFailed(Code.UNAUTHENTICATED, "the other side is not the process that it says it is", { started: false });
}

export interface Answer {
  /** The public number of the owner. */
  owner: Uint8Array;
  salt: Uint8Array;
  answer: Uint8Array;
  /** What it says it is. */
  instance: Uint8Array;
  role: "client" | "server";
}

export interface Asker {
  challenge: Uint8Array;
  secret: bigint;
  instance: Uint8Array;
}

/** Judge an answer to a challenge. */
export async function isProof({ owner, salt, answer, instance, role }: Answer, asker: Asker): Promise<boolean> {
  const number = numberOf(owner);
  if (owner.length !== NUMBER_BYTES || number < 2n || number > PRIME - 2n) return false;
  const hashed = await sha256(text("penstock instance"), owner, salt);
  if (!isSame(hashed.subarray(0, INSTANCE_BYTES), instance)) return false;
  const key = await sha256(bytesOf(power(number, asker.secret)));
  return isSame(await hmac(key, text(`${role}\0`), asker.instance, asker.challenge), answer);
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let square = base, left = exponent; left > 0n; left >>= 1n, square = (square * square) % PRIME)
    if (left & 1n) result = (result * square) % PRIME;
  return result;
}

const text = (ascii: string): Uint8Array => new TextEncoder().encode(ascii);

function numberOf(bytes: Uint8Array): bigint {
  return BigInt(`0x0${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`);
}

function bytesOf(number: bigint): Uint8Array {
  const digits = number.toString(16).padStart(NUMBER_BYTES * 2, "0");
  return Uint8Array.from({ length: NUMBER_BYTES }, (_, at) => Number.parseInt(digits.slice(at * 2, at * 2 + 2), 16));
}

async function sha256(...parts: Uint8Array[]): Promise<Uint8Array> {
  return new Uint8Array(await subtle().digest("SHA-256", joined(parts)));
}

async function hmac(key: Uint8Array, ...parts: Uint8Array[]): Promise<Uint8Array> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await subtle().importKey("raw", joined([key]), algorithm, false, ["sign"]);
  return new Uint8Array(await subtle().sign("HMAC", imported, joined(parts)));
}

function subtle(): SubtleCrypto {
  if (globalThis.crypto?.subtle === undefined)
    throw new CallFailed(Code.FAILED_PRECONDITION, "this page has no crypto.subtle: serve it by https or from localhost", {
      started: false,
    });
  return globalThis.crypto.subtle;
}

function joined(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Compare without telling by the time where they differ. */
function isSame(one: Uint8Array, other: Uint8Array): boolean {
  let difference = one.length ^ other.length;
  for (let at = 0; at < one.length; at++) difference |= (one[at] as number) ^ (other[at] ?? 0);
  return difference === 0;
}
