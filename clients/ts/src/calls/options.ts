/** What a program may say of a call. */
import type { Clock } from "../session/clock.ts";
import type { Window } from "../core/ledgers.ts";
import { WINDOW_BYTES, WINDOW_ITEMS } from "../core/ledgers.ts";

export interface CallOptions {
  /** Gives the call up when it aborts. */
  signal?: AbortSignal;
  /** How long the call may take, in milliseconds. Both sides watch it. */
  deadlineMs?: number;
  /** Travels with the call. */
  metadata?: Record<string, string>;
  /** Which streams go first when the line is full. */
  priority?: "interactive" | "normal" | "bulk";
}

export interface StreamOptions extends CallOptions {
  /**
   * How many items the other side may be ahead of the loop; it is kept exactly. It holds for both directions.
   * Without it the window begins at 256 items and grows while the loop waits for the line, to at most 16,384.
   */
  bufferSize?: number;
  /** The same in bytes: an item begins while fewer are ahead. */
  bufferBytes?: number;
}

/** The bytes of a window whose items alone are set (5.7). */
const AMPLE_BYTES = 67_108_864;
const AMPLE_ITEMS = 16_384;

export const PRIORITIES = { interactive: 0, normal: 1, bulk: 2 } as const;

/** Return how many milliseconds are left when it is called; null without a deadline. */
export function deadlineOf(clock: Clock, deadlineMs: number | undefined): () => number | null {
  if (deadlineMs === undefined) return () => null;
  if (typeof deadlineMs !== "number" || Number.isNaN(deadlineMs)) throw new RangeError(`a deadline of ${deadlineMs} ms`);
  const deadline = clock.now() + deadlineMs;
  return () => Math.min(Math.max(0, Math.ceil(deadline - clock.now())), Number.MAX_SAFE_INTEGER);
}

/** Refuse an option that is no whole number from `low` on; one that is undefined is left out. */
export function judgeNumbers(options: Record<string, number | undefined>, low = 1): void {
  for (const [name, value] of Object.entries(options))
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= low)) throw new RangeError(`${name} is ${value}`);
}

/** Texts that are written when the call leaves, where an error would be one of the connection. */
export function judgeTexts(...texts: unknown[]): void {
  for (const each of texts) if (typeof each !== "string") throw new TypeError(`${each} is no text`);
}

/** The window of one result. */
export const oneItem = (): Window => ({ items: 1, bytes: AMPLE_BYTES, fixed: true });

/** The window that a program has set; undefined when it has set none. */
export function windowOf({ bufferSize, bufferBytes }: StreamOptions): Window | undefined {
  if (bufferSize === undefined && bufferBytes === undefined) return undefined;
  judgeNumbers({ bufferSize, bufferBytes });
  return { items: bufferSize ?? AMPLE_ITEMS, bytes: bufferBytes ?? AMPLE_BYTES, fixed: true };
}

export const growingWindow = (): Window => ({ items: WINDOW_ITEMS, bytes: WINDOW_BYTES, fixed: false });
