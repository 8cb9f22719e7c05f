/**
 * The seam between a session and what carries its bytes. A transport knows no frame.
 *
 * The bytes of each direction are one sequence. How they are cut, into messages or reads, has no meaning.
 */

export interface Transport {
  /**
   * Make a connection, and resolve when bytes may be written. `receiver` hears of it from then on.
   * Rejects when there is none, and when the signal aborts.
   */
  dial(url: URL, receiver: Receiver, signal: AbortSignal): Promise<Link>;
}

export interface Link {
  /** How many bytes were written and have not left. A session writes no more while this is over its bound. */
  readonly unsent: number;
  /** Write bytes. They belong to the link from now on. */
  write(bytes: Uint8Array): void;
  /** Close it behind the bytes that were written. `Receiver.lost` need not be called. */
  close(): void;
}

export interface Receiver {
  /** Bytes have arrived. They stay as they are. */
  received(bytes: Uint8Array): void;
  /** Bytes have left, after `unsent` was high. */
  drained(): void;
  /** The connection is gone, or its other side has written text or anything else that is no byte. Called once. */
  lost(why: string): void;
}
