/** Checks that work in Node and in a browser alike. */

export function check(isSo: unknown, message = "it is not so"): asserts isSo {
  if (!isSo) throw new Error(message);
}

export function same(actual: unknown, expected: unknown): void {
  if (!isSame(actual, expected)) throw new Error(`${show(actual)}, where ${show(expected)} was expected`);
}

/** Check that a promise is rejected, with an error that has these properties, is of this class, or matches this text. */
export async function rejects(
  promise: Promise<unknown> | (() => Promise<unknown>),
  expected: Record<string, unknown> | RegExp | (abstract new (...args: never[]) => Error),
): Promise<Error> {
  const error = await (typeof promise === "function" ? promise() : promise).then(
    (value) => new Error(`it was resolved with ${show(value)}`),
    (reason: unknown) => reason as Error,
  );
  if (typeof expected === "function") check(error instanceof expected, `${error} is no ${expected.name}`);
  else if (expected instanceof RegExp) check(expected.test(error.message), `${error} does not match ${expected}`);
  else for (const [name, value] of Object.entries(expected)) same((error as never as Record<string, unknown>)[name], value);
  return error;
}

/** Ask until something is so. A test that waits for ever is ended by its time-out. */
export async function until(isSo: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 2));
}

export async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function isSame(actual: unknown, expected: unknown): boolean {
  if (Object.is(actual, expected)) return true;
  if (typeof actual !== "object" || typeof expected !== "object" || actual === null || expected === null) return false;
  if (Object.getPrototypeOf(actual) !== Object.getPrototypeOf(expected)) return false;
  if (actual instanceof Date) return actual.getTime() === (expected as Date).getTime();
  if (actual instanceof Uint8Array)
    return (
      actual.length === (expected as Uint8Array).length &&
      actual.every((byte, index) => byte === (expected as Uint8Array)[index])
    );
  const names = Object.keys(actual);
  if (names.length !== Object.keys(expected).length) return false;
  return names.every((name) => isSame(actual[name as never], expected[name as never]));
}

function show(value: unknown): string {
  return (
    JSON.stringify(value, (_, each: unknown) => (typeof each === "bigint" ? `${each}n` : each))?.slice(0, 300) ?? String(value)
  );
}
