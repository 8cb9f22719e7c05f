/** Messages that travel in several frames (4.5), put together as they arrive. */
import { LAST, MORE } from "./frames.ts";
import { Violation } from "./violation.ts";

/** One unfinished message, an OPEN or a batch. */
export class Assembly {
  readonly offset: number;
  readonly count: number;
  readonly flags: number;
  readonly #parts: Uint8Array[] = [];
  size = 0;

  constructor(flags: number, offset = 0, count = 0) {
    this.flags = flags & ~MORE;
    this.offset = offset;
    this.count = count;
  }

  get isLast(): boolean {
    return (this.flags & LAST) !== 0;
  }

  /** Add a fragment. Its bytes are copied, because they are a view of what the link has read. */
  add(flags: number, part: Uint8Array, sizeMax: number, offset = 0, count = 0): void {
    if ((flags & ~MORE) !== this.flags || offset !== this.offset || count !== this.count)
      throw new Violation("4.5", "a fragment of another message");
    if (part.length === 0) throw new Violation("4.5", "an empty fragment");
    this.size += part.length;
    if (this.size > sizeMax) throw new Violation("4.6", `a message of more than ${sizeMax} bytes`);
    this.#parts.push(part.slice());
  }

  whole(): Uint8Array {
    return joined(this.#parts, this.size);
  }
}

export function joined(parts: readonly Uint8Array[], size: number): Uint8Array {
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return first;
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
