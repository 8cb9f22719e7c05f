/** The sequence of one direction (9.2): the bytes of its frames over all links, kept until the other side has them. */
import { Violation } from "./violation.ts";

export class Sequence {
  /** How many bytes the sequence has so far. */
  end = 0;
  /** Whether bytes that were written are kept: the session can be resumed. */
  keeps = false;
  readonly #chunks: Uint8Array[] = [];
  /** The position of the first byte that is kept. */
  #base = 0;
  /** How many of the chunks the present link has had. */
  #written = 0;
  /** The highest position that the other side has told. */
  #told = 0;

  /** How many bytes are kept. */
  get kept(): number {
    return this.end - this.#base;
  }

  append(bytes: Uint8Array): void {
    this.#chunks.push(bytes);
    this.end += bytes.length;
  }

  /** The next bytes for the present link. */
  next(): Uint8Array | undefined {
    const chunk = this.#chunks[this.#written];
    if (chunk === undefined) return undefined;
    if (this.keeps) this.#written += 1;
    else this.#drop(1, chunk.length);
    return chunk;
  }

  /** The other side has the sequence up to a position (9.4). */
  acknowledge(position: number): void {
    const written = this.#chunks.slice(0, this.#written).reduce((sum, chunk) => sum + chunk.length, this.#base);
    if (position > written) throw new Violation("9.4", `the position ${position}, over ${written}`);
    this.#told = Math.max(this.#told, position);
    let count = 0;
    let size = 0;
    for (const chunk of this.#chunks) {
      if (this.#base + size + chunk.length > position) break;
      size += chunk.length;
      count += 1;
    }
    this.#drop(count, size);
    this.#written -= count;
  }

  /** Go on over a new link at the position up to which the other side has the sequence. */
  rewind(position: number): void {
    if (position < this.#told || position > this.end)
      throw new Violation("9.3", `the position ${position}, which is not in ${this.#told} to ${this.end}`);
    this.acknowledge(position);
    const [first] = this.#chunks;
    const past = position - this.#base;
    if (first !== undefined && past > 0) {
      this.#chunks[0] = first.subarray(past);
      this.#base = position;
    }
    this.#written = 0;
  }

  #drop(count: number, size: number): void {
    this.#chunks.splice(0, count);
    this.#base += size;
  }
}
