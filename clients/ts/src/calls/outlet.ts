/** Where what is to be sent on a stream waits: for credit of the other side, and for the line. */
import type { Stream } from "../core/stream.ts";
import type { Session } from "../session/session.ts";

/** How many bytes wait in a stream before the program is asked for more (10.7). */
const UNSENT_BYTES_MAX = 1_048_576;

export const NOTHING = (): void => {};

export class Outlet {
  readonly #stream: Stream;
  readonly #session: () => Session;
  readonly #isWanted: () => boolean;
  /** Called when nothing is wanted any more, also while an item is awaited. */
  onLeft = NOTHING;
  #makeRoom: (() => void) | undefined;

  /** `isWanted` says whether the other side still wants items. */
  constructor(stream: Stream, session: () => Session, isWanted: () => boolean) {
    this.#stream = stream;
    this.#session = session;
    this.#isWanted = isWanted;
  }

  /** True when an item may be sent, false when none is wanted any more; a promise of it while neither is so. */
  room(): boolean | Promise<boolean> {
    if (!this.#isWanted()) return false;
    if (this.#hasRoom) return true;
    return new Promise((resolve) => {
      this.#makeRoom = () => {
        const isWanted = this.#isWanted();
        if (isWanted && !this.#hasRoom) return this.#waitForLine();
        this.#makeRoom = undefined;
        resolve(isWanted);
      };
      this.#waitForLine();
    });
  }

  /** Look again: there is credit, or the call is over. */
  wake(): void {
    this.#makeRoom?.();
    if (!this.#isWanted()) this.onLeft();
  }

  get #hasRoom(): boolean {
    const { sending, outgoing } = this.#stream;
    return outgoing.bytes < UNSENT_BYTES_MAX && sending.mayBegin(outgoing.items, outgoing.bytes);
  }

  /** When credit is there and bytes wait, the line has to take them first. */
  #waitForLine(): void {
    if (this.#stream.outgoing.bytes > 0) this.#session().whenWritten(() => this.#makeRoom?.());
  }
}
