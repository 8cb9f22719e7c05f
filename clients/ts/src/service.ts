/** Services as a program calls them: a description of the methods, and an object that calls them at a peer. */
import type { Carrier, Request } from "./calls/call.ts";
import type { StreamOptions } from "./calls/options.ts";
import type { Items } from "./calls/requests.ts";
import { resultOf } from "./calls/result.ts";
import { Stream } from "./calls/stream.ts";

export type Kind = "unary" | "client_streaming" | "server_streaming" | "bidirectional";

const KINDS: Record<Kind, number> = { unary: 0, client_streaming: 1, server_streaming: 2, bidirectional: 3 };

/** The kind of a method, and the names of its parameters in their order, without the stream of requests. */
export type Method = readonly [kind: Kind, ...parameters: string[]];

/** A service with the interface `T`, as `penstock typescript` writes it. */
export interface Service<T> {
  readonly name: string;
  readonly methods: { readonly [M in keyof T]: Method };
}

/** Describe a service: `service<Prices>("Prices", { watch: ["server_streaming", "symbol"] })`. */
export function service<T>(name: string, methods: Service<T>["methods"]): Service<T> {
  return { name, methods };
}

/** An object with the methods of a service, each of which makes a call at the peer. */
export function stubOf<T>(carrier: Carrier, { name, methods }: Service<T>): T {
  const made = Object.entries<Method>(methods).map(([method, [kind, ...parameters]]) => [
    method,
    (...given: unknown[]) => call(carrier, requestOf(`${name}/${method}`, kind, parameters, given)),
  ]);
  return Object.fromEntries(made) as T;
}

function call(carrier: Carrier, request: Request): unknown {
  return request.kind & 2 ? new Stream(carrier, request) : resultOf(carrier, request);
}

/** The stream of requests comes first, the options last: behind as many arguments as there are parameters. */
function requestOf(target: string, kind: Kind, parameters: string[], given: unknown[]): Request {
  const number = KINDS[kind];
  const requests = number & 1 ? (given.shift() as Items<unknown>) : undefined;
  if (number & 1 && (typeof requests !== "object" || requests === null))
    throw new TypeError(`${target}: the requests come first`);
  if (given.length > parameters.length + 1) throw new TypeError(`${target} takes (${parameters.join(", ")}) and options`);
  const options = given[parameters.length] as StreamOptions | undefined;
  return { target, kind: number, args: argumentsOf(parameters, given), requests, options };
}

/** Arguments by name, which a method takes in any case (3.8). One that is undefined is left out. */
function argumentsOf(parameters: string[], given: unknown[]): Record<string, unknown> {
  return Object.fromEntries(parameters.map((name, index) => [name, given[index]]));
}
