/** What a connection tells the session around it. The names are those of `vectors/sessions/`. */
import type { Accept, Cancel, Goaway, Hello, Open, Status } from "./frames.ts";
import type { Stream } from "./stream.ts";
import type { Violation } from "./violation.ts";

export type Event =
  /** A new session has begun. */
  | { type: "Ready"; hello: Hello }
  /** The session goes on over this link. */
  | { type: "WentOn" }
  /** The server could not resume: the streams of the session are lost (9.6). `Ready` follows. */
  | { type: "Refused"; message: string; lost: Stream[] }
  | { type: "Opened"; stream: Stream; open: Open }
  | { type: "Accepted"; stream: Stream; accept: Accept }
  /** A batch: `payload` is one encoded array of `count` items. */
  | { type: "ItemsArrived"; stream: Stream; count: number; payload: Uint8Array }
  /** The other side has granted credit. */
  | { type: "RoomMade"; stream: Stream }
  /** The callee wants no more requests (6.6). */
  | { type: "StopSending"; stream: Stream; cancel: Cancel }
  /** The callee sends no more items; its status still follows (6.10). */
  | { type: "HalfClosed"; stream: Stream }
  /** The direction of the caller has ended, or the call. `status` is null when the flag LAST said it. */
  | { type: "Ended"; stream: Stream; status: Status | null }
  /** The caller has closed the call normally (6.10). */
  | { type: "Closed"; stream: Stream; reason: string }
  /** The caller has given up the call. */
  | { type: "CallCancelled"; stream: Stream; cancel: Cancel }
  /** This side has ended a stream, because what arrives on it does not fit into the budget (10.4). */
  | { type: "OverBudget"; stream: Stream }
  /** The other side takes no new streams on this connection (8.2). */
  | { type: "Draining"; goaway: Goaway }
  /** The other side has ended the connection (8.4). */
  | { type: "Gone"; goaway: Goaway }
  /** The other side has broken a rule: the connection ends when the output is written. */
  | { type: "Violated"; violation: Violation };
