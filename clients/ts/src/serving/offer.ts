/** A service of this side, which the program at the other end calls over the same connection. */
import type { Items } from "../calls/requests.ts";
import type { Stream } from "../calls/stream.ts";
import type { Open } from "../core/frames.ts";
import { decode } from "../core/msgpack/index.ts";
import { CallFailed, clean, Code } from "../errors.ts";
import type { Offered } from "../session/session.ts";
import { type Handler, Incoming } from "./incoming.ts";

/** What `penstock typescript` writes of a service: its name, and the kind and parameters of each method. */
export interface Description<T> {
  readonly name: string;
  readonly methods: { readonly [M in keyof T]: readonly [kind: string, ...parameters: string[]] };
}

/** The parameters of a method, whose requests are to be read here. */
type Given<P extends unknown[]> = P extends [infer First, ...infer Rest]
  ? [First] extends [Items<infer X>]
    ? [Items<X>] extends [First]
      ? [requests: AsyncIterableIterator<X, undefined>, ...rest: Rest]
      : P
    : P
  : P;

type Method<F> = F extends (...args: infer P) => infer R
  ? (
      ...args: Given<P>
    ) => R extends Stream<infer X> ? Items<X> | Promise<Items<X>> : R extends Promise<infer X> ? X | Promise<X> : R
  : never;

/** An object with the methods of a service. In the place of the options stands what the caller has said, and its `signal`. */
export type Implementation<T> = { [M in keyof T]: Method<T[M]> };

const KINDS = ["unary", "client_streaming", "server_streaming", "bidirectional"];

/**
 * Offer a service to the other side: `connect(url, { services: [offer(Screen, screen)] })`. A program in Python calls it as
 * `penstock.context().peer.service(Screen)`.
 *
 * A method of streams returns a generator, or anything else with items: an item is asked for when the caller's credit allows
 * to send it. Requests are for one `for await`; leaving it tells the caller to send no more. `signal` aborts when the caller gives
 * up or is gone, or the deadline passes. A `PenstockError` that is thrown is the answer. Any other is logged here, and the
 * caller gets the id of its log line.
 */
export function offer<T>(of: Description<T>, implementation: Implementation<T>): Offered {
  const { name } = of;
  const methods = new Map(Object.entries<readonly [kind: string, ...parameters: string[]]>(of.methods));
  return {
    name,
    begin: (session, stream, open) =>
      new Incoming(session, stream, open, () => {
        const method = open.target.slice(name.length + 1);
        const known = methods.get(method);
        if (known === undefined)
          throw unknown(`${name} has no ${clean(method)} here: it has ${[...methods.keys()].join(", ")}`);
        const [kind, ...parameters] = known;
        if (KINDS[open.kind] !== kind) throw unknown(`${clean(open.target)} is ${kind}, not ${KINDS[open.kind]}`);
        const args = argumentsOf(open, parameters);
        const call = (implementation as Record<string, (...given: unknown[]) => unknown>)[method];
        if (typeof call !== "function") throw unknown(`${clean(open.target)} is not implemented here`);
        const run: Handler = (requests, options) =>
          call.call(implementation, ...(open.kind & 1 ? [requests] : []), ...args, options);
        return run;
      }),
  };
}

const unknown = (message: string): CallFailed =>
  new CallFailed(Code.UNIMPLEMENTED, message, { reason: "unimplemented", started: false });

/** The arguments in the order of the parameters (3.8). Those that were left out are undefined. */
function argumentsOf({ target, argument }: Open, parameters: string[]): unknown[] {
  const wrong = (why: string) =>
    new CallFailed(Code.INVALID_ARGUMENT, `${clean(target)}: ${why}`, { reason: "invalid_argument", started: false });
  let given: unknown;
  try {
    given = argument === null || argument.length === 0 ? [] : decode(argument);
  } catch (error) {
    throw wrong(`the arguments cannot be read: ${(error as Error).message}`);
  }
  if (given === null) return parameters.map(() => undefined);
  if (Array.isArray(given)) {
    if (given.length > parameters.length) throw wrong(`it takes (${parameters.join(", ")}), and ${given.length} were given`);
    return parameters.map((_, index) => given[index]);
  }
  if (typeof given !== "object" || given instanceof Map) throw wrong("the arguments are an array, or a map by name");
  const named = new Map(Object.entries(given));
  for (const key of named.keys()) if (!parameters.includes(key)) throw wrong(`it has no parameter ${clean(key)}`);
  return parameters.map((parameter) => named.get(parameter));
}
