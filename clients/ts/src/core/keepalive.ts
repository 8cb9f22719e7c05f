/** When to ask whether the other side is alive, and when it is not (PROTOCOL.md section 7). Times are in milliseconds. */

export class KeepAlive {
  readonly #everyMs: number;
  #heardAt: number;
  #askedAt: number | undefined;
  #wakesAt: number;

  constructor(everyMs: number, now: number) {
    this.#everyMs = everyMs;
    this.#heardAt = now;
    this.#wakesAt = now + everyMs;
  }

  /** When `check` is to be called again. */
  get wakesAt(): number {
    return this.#wakesAt;
  }

  heard(now: number): void {
    this.#heardAt = now;
    this.#askedAt = undefined;
  }

  /** Say what is due: nothing, a question, or that the other side is lost. A side that slept itself asks first (7.3). */
  check(now: number): "ask" | "lost" | undefined {
    const slept = now - this.#wakesAt > this.#everyMs / 2;
    if (this.#askedAt !== undefined && !slept && now - this.#askedAt >= this.#everyMs) return "lost";
    if (slept || (this.#askedAt === undefined && now - this.#heardAt >= this.#everyMs)) {
      this.#askedAt = now;
      this.#wakesAt = now + this.#everyMs;
      return "ask";
    }
    this.#wakesAt = (this.#askedAt ?? this.#heardAt) + this.#everyMs;
    return undefined;
  }
}
