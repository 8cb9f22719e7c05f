/** One stream as the machine sees it: the state and the ledger of each direction (PROTOCOL.md section 3). */
import type { Assembly } from "./assembly.ts";
import { type END, ITEMS, LAST, OPEN, type STATUS, TYPE_NAMES } from "./frames.ts";
import { ReceiveLedger, SendLedger, type Window } from "./ledgers.ts";
import { Outgoing } from "./outgoing.ts";
import { CALLEE, CALLER, type State, type Table } from "./states.ts";
import { Violation } from "./violation.ts";

export const UNARY = 0;
export const CLIENT_STREAMING = 1;
export const SERVER_STREAMING = 2;
export const BIDIRECTIONAL = 3;

/** What ends what this side sends, behind the items that wait. */
export interface Ending {
  type: typeof END | typeof STATUS;
  /** Whether the flag LAST on the last batch says the same. */
  isPlain: boolean;
  write(count: number): Uint8Array;
}

export class Stream {
  /** 0 until the OPEN leaves (3.2). */
  id = 0;
  readonly kind: number;
  /** Whether this side has called. */
  readonly isOurs: boolean;
  ourState: State = "idle";
  theirState: State = "idle";
  readonly sending: SendLedger;
  readonly outgoing: Outgoing;
  ending: Ending | undefined;
  receiving: ReceiveLedger | undefined;
  /** An unfinished batch of the other side. */
  assembly: Assembly | undefined;
  /** How many bytes of it this side holds for the program (10.8). */
  held = 0;
  isCreditDue = false;
  /** Whether this side wants no more requests (6.6), or the other side wants none of ours. */
  hasStopped = false;
  readonly priority: number;

  constructor(isOurs: boolean, kind: number, priority: number, credit: { items: number; bytes: number }) {
    this.isOurs = isOurs;
    this.kind = kind;
    this.priority = priority;
    this.sending = isOurs ? new SendLedger() : new SendLedger(credit.items, credit.bytes);
    this.outgoing = new Outgoing(this.sending);
  }

  get hasRequests(): boolean {
    return (this.kind & 1) !== 0;
  }

  /** Whether the other side has items to send. */
  get receives(): boolean {
    return this.isOurs || this.hasRequests;
  }

  get isOver(): boolean {
    return this.ourState === "closed" || this.theirState === "closed";
  }

  receiveWith(window: Window): void {
    this.receiving = new ReceiveLedger(window);
  }

  /** Take a step of this side; the caller has made sure that it is legal. */
  steppedHere(type: number, flags: number, hasReason = false): void {
    this.ourState = step(this.isOurs ? CALLER : CALLEE, this.ourState, type, flags, hasReason);
  }

  /** Judge a step of the other side by the table (3.4), and return the state behind it. */
  judge(type: number, flags: number, hasReason = false): State {
    if (type === ITEMS && !this.isOurs && this.ourState === "idle") throw new Violation("3.4", "ITEMS before ACCEPT");
    return step(this.isOurs ? CALLEE : CALLER, this.theirState, type, flags, hasReason);
  }
}

function step(table: Table, state: State, type: number, flags: number, hasReason: boolean): State {
  const ended = (type === ITEMS || type === OPEN) && flags & LAST ? "+LAST" : "";
  const name = `${TYPE_NAMES[type]}${ended}${hasReason ? "+reason" : ""}`;
  const next = table[state][name];
  if (next === undefined) throw new Violation("3.4", `${name} in the state ${state}`);
  return next;
}
