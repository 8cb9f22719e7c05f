/** How long a client waits before it dials again. */

const FIRST_MS = 50;
const MAX_MS = 5_000;

export class Backoff {
  readonly maxMs = MAX_MS;
  #failures = 0;

  /** The wait before the next attempt: half of it is random, so that many clients do not come at once. */
  nextMs(random = Math.random()): number {
    const ms = Math.min(MAX_MS, FIRST_MS * 2 ** this.#failures);
    this.#failures += 1;
    return ms * (0.5 + random / 2);
  }

  reset(): void {
    this.#failures = 0;
  }
}
