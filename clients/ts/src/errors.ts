/** The errors of calls. A stream stops in one of four ways: it ends, and its loop with it; or one of these is thrown. */
import { decode } from "./core/msgpack/index.ts";
import type { Status } from "./core/frames.ts";

/** The codes of PROTOCOL.md 6.4, which are those of gRPC. */
export const Code = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

export type Code = (typeof Code)[keyof typeof Code];

export interface ErrorOptions {
  reason?: string;
  details?: Record<string, unknown>;
  started?: boolean;
  cause?: unknown;
}

/** Any end of a call that is not the normal one. */
export class PenstockError extends Error {
  override readonly name: string = "PenstockError";
  /** One of `Code`; 2 for a code that is unknown here. */
  readonly code: Code;
  /** Narrows the code, as `connection_lost` narrows 14. */
  readonly reason: string;
  /** What the other side has added for programs. */
  readonly details: Record<string, unknown>;
  /** False only when the handler was surely never started: the call can be made again without harm. */
  readonly started: boolean;

  constructor(code: number, message: string, { reason, details = {}, started = true, cause }: ErrorOptions = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = NAMES.has(code) ? (code as Code) : Code.UNKNOWN;
    this.reason = `${reason || NAMES.get(this.code)}`;
    this.details = details;
    this.started = started;
  }
}

/** The call failed: the other side has answered with an error, a deadline passed, an item does not fit. */
export class CallFailed extends PenstockError {
  override readonly name = "CallFailed";
}

/** Somebody gave up on purpose: this program, by `cancel` or its `AbortSignal`, or the other side. */
export class Cancelled extends PenstockError {
  override readonly name = "Cancelled";

  constructor(message: string, options?: ErrorOptions) {
    super(Code.CANCELLED, message, options);
  }
}

/** What a program gets that has given a call up by its signal. */
export const aborted = (signal: AbortSignal): Cancelled =>
  new Cancelled("the signal of the call was aborted", { cause: signal.reason });

/** The connection went away before the call ended. What arrived before is valid. */
export class ConnectionLost extends PenstockError {
  override readonly name = "ConnectionLost";

  constructor(message: string, options?: ErrorOptions) {
    super(Code.UNAVAILABLE, message, { reason: "connection_lost", ...options });
  }
}

const NAMES = new Map<number, string>(Object.entries(Code).map(([name, code]) => [code, name.toLowerCase()]));

const TEXT_MAX = 4096;

/** A text for people that the other side has written: control characters are escaped, and it is cut (10.6). */
export function clean(text: string): string {
  return `${text}`.slice(0, TEXT_MAX).replace(/[\0-\x1f\x7f-\x9f\u2028\u2029]/g, (each) => {
    return `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** How a call or an ask has failed, as the other side says it. */
export type Failure = Pick<Status, "code" | "reason" | "message" | "started"> & { details: Record<string, unknown> };

export function errorOf({ code, reason, message, ...more }: Failure): PenstockError {
  const options = { reason: clean(reason), ...more };
  return code === Code.CANCELLED ? new Cancelled(clean(message), options) : new CallFailed(code, clean(message), options);
}

/** The details of a status; empty when they cannot be decoded (6.3). */
export function detailsOf({ details }: Status): Record<string, unknown> {
  try {
    const value = decode(details);
    return value instanceof Map ? Object.fromEntries(value) : (value as Record<string, unknown>);
  } catch {
    return {};
  }
}
