/** Items as a `ReadableStream`. It asks for an item when its reader does, so that the reader's pace reaches the other side. */

export function readableOf<T>(items: AsyncIterableIterator<T, undefined, void>): ReadableStream<T> {
  return new ReadableStream<T>(
    {
      async pull(controller) {
        const { value, done } = await items.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: async () => void (await items.return?.()),
    },
    { highWaterMark: 0 },
  );
}
