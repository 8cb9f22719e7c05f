/** Maps of the protocol among the items of a program: they begin with the key `$penstock` (12.10, 14.2). */

/** Stands for items that this reader did not get, because it was too slow for them. */
export class Dropped {
  readonly count: number;

  constructor(count: number) {
    this.count = count;
  }
}

const KEY = "$penstock";

/** The mark that an item is; undefined for an item of the program. */
export function markOf(item: unknown): ({ [KEY]: string } & Record<string, unknown>) | undefined {
  const isMark = typeof item === "object" && item !== null && KEY in item;
  return isMark ? (item as { [KEY]: string } & Record<string, unknown>) : undefined;
}

/** An item, or the `Dropped` that it says. */
export function withDropped<T>(item: unknown): T | Dropped {
  const mark = markOf(item);
  return mark?.[KEY] === "dropped" ? new Dropped(Number(mark.count)) : (item as T);
}
