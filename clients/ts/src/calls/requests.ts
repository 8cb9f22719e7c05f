/** Pulls what a program wants to send, at the pace of the other side: an item is asked for when credit allows to send it. */

import { NOTHING, type Outlet } from "./outlet.ts";

/** Anything with items: a generator, an array, a `ReadableStream`. */
export type Items<T> = AsyncIterable<T> | Iterable<T> | ReadableStream<T>;

type Puller<T> = Pick<AsyncIterator<T> | Iterator<T>, "next" | "return">;

/** Iterate over anything with items. */
export function pullerOf<T>(items: Items<T>): Puller<T> {
  if ("getReader" in items) return pullerOfReader(items.getReader());
  return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
}

/** Not every browser can iterate over a `ReadableStream`; and its iterator is not left before the next item. */
function pullerOfReader<T>(reader: ReadableStreamDefaultReader<T>): Puller<T> {
  return {
    next: () => reader.read() as Promise<IteratorResult<T>>,
    async return() {
      await reader.cancel();
      return { value: undefined, done: true };
    },
  };
}

/** Where requests go. */
export interface Sink {
  readonly outlet: Outlet;
  send(item: unknown): void;
  end(): void;
}

/** Send all items. Rejects with what the program has thrown; resolves early when no more are wanted. */
export async function sendAll(items: Items<unknown>, sink: Sink): Promise<void> {
  const puller = pullerOf(items);
  const { outlet } = sink;
  let isSpent = false;
  outlet.onLeft = () => {
    outlet.onLeft = NOTHING;
    (async () => puller.return?.())().catch(NOTHING);
  };
  try {
    for (;;) {
      const room = outlet.room();
      if (!(typeof room === "boolean" ? room : await room)) return;
      isSpent = true; // an iterator that has ended or thrown needs no return
      const { value, done } = await puller.next();
      if (done) return sink.end();
      isSpent = false;
      sink.send(value);
    }
  } finally {
    if (!isSpent) outlet.onLeft();
    outlet.onLeft = NOTHING;
  }
}
