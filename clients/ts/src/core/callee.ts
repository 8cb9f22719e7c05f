/** What a callee says, and a side that drains. A client that serves nothing does not load it. */
import type { Connection } from "./connection.ts";
import { ACCEPT, type Accept, CANCEL, type Cancel, END, GOAWAY, writeFrame } from "./frames.ts";
import type { Window } from "./ledgers.ts";
import type { Stream } from "./stream.ts";

/** Take a call; the window is that of its requests. */
export function accept(connection: Connection, stream: Stream, window: Window, payload: Uint8Array | null = null): void {
  const credit = stream.hasRequests ? window : { items: 0, bytes: 0 };
  if (stream.hasRequests) stream.receiveWith(window);
  stream.steppedHere(ACCEPT, 0);
  const said: Accept = { epoch: 0, offset: 0, credit_items: credit.items, credit_bytes: credit.bytes, payload };
  connection.outbox.send(writeFrame(ACCEPT, stream.id, said));
}

/** Send no more items, and go on reading (6.10). */
export function halfClose(connection: Connection, stream: Stream): void {
  const write = (count: number): Uint8Array => writeFrame(END, stream.id, { count, reason: null });
  connection.endWith(stream, { type: END, isPlain: false, write });
}

/** Want no more requests (6.6). */
export function stopRequests(connection: Connection, stream: Stream, cancel: Cancel): void {
  if (stream.isOver || stream.hasStopped) return;
  stream.hasStopped = true;
  connection.release(stream, stream.held);
  connection.outbox.send(writeFrame(CANCEL, stream.id, cancel));
}

/** Take no new streams of the other side (8.2). */
export function drain(connection: Connection, message: string): void {
  if (connection.isDraining) return;
  connection.isDraining = true;
  connection.outbox.send(writeFrame(GOAWAY, 0, { last_stream_id: connection.highest, code: 0, message }));
}
