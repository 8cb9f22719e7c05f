/** Time, as a session needs it. Tests pass a clock of their own. */

export interface Clock {
  /** Milliseconds that never go back. */
  now(): number;
  /** Call once, after some milliseconds; the result takes it back. */
  after(ms: number, call: () => void): () => void;
}

/** `setTimeout` takes no longer time than this. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export const realClock: Clock = {
  now: () => performance.now(),
  after(ms, call) {
    const timer = setTimeout(call, Math.min(Math.max(ms, 0), TIMER_MS_MAX));
    return () => clearTimeout(timer);
  },
};
