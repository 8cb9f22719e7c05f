// Written by `penstock typescript`: write it anew when the service has changed.
import { service, type CallOptions, type Items, type Service, type Stream, type StreamOptions } from "@penstock/client";

/** What the other side offers: `penstock typescript tests.clients.screen:Screen`. */
export interface Screen {
  show(text: string, times?: number, options?: CallOptions): Promise<string>;
  keys(n: number, options?: StreamOptions): Stream<number>;
  total(requests: Items<number>, start?: number, options?: StreamOptions): Promise<number>;
  double(requests: Items<number>, options?: StreamOptions): Stream<number>;
  some(requests: Items<number>, wanted: number, options?: StreamOptions): Promise<number[]>;
  echo(value: unknown, options?: CallOptions): Promise<unknown>;
  fail(how: string, options?: CallOptions): Promise<void>;
  told(options?: CallOptions): Promise<Record<string, unknown>>;
  forever(options?: CallOptions): Promise<void>;
}

export const Screen: Service<Screen> = service("Screen", {
  show: ["unary", "text", "times"],
  keys: ["server_streaming", "n"],
  total: ["client_streaming", "start"],
  double: ["bidirectional"],
  some: ["client_streaming", "wanted"],
  echo: ["unary", "value"],
  fail: ["unary", "how"],
  told: ["unary"],
  forever: ["unary"],
});
