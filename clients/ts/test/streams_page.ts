/** What runs in the page of a browser: retained streams over HTTP, by `EventSource` and by the client of the open protocol. */
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client";

/** A reader of numbers, as far as it is: a test looks at it. */
interface Reading {
  items: number[];
  /** How many responses there were. */
  opened: number;
  isOver: boolean;
}

const readings: Record<string, Reading> = {};

/** A plain `EventSource`: nothing here connects again but the browser. */
function bySource(name: string, url: string): void {
  const reading: Reading = (readings[name] = { items: [], opened: 0, isOver: false });
  const source = new EventSource(`${url}?offset=-1&live=sse`);
  source.onopen = () => (reading.opened += 1);
  source.addEventListener("data", ({ data }) => reading.items.push(...(JSON.parse(data) as number[])));
  source.addEventListener("control", ({ data }) => {
    if (!(JSON.parse(data) as { streamClosed?: boolean }).streamClosed) return;
    source.close();
    reading.isOver = true;
  });
}

/** The client of the protocol gives up when a response is cut; its program goes on by the last offset. */
async function byClient(name: string, url: string, live: "sse" | "long-poll"): Promise<void> {
  const reading: Reading = (readings[name] = { items: [], opened: 0, isOver: false });
  let offset = "-1";
  const once = async () => {
    const response = await stream<number>({ url, offset, live });
    reading.opened += 1;
    await new Promise<void>((resolve, reject) => {
      response.closed.catch(reject);
      response.subscribeJson((batch) => {
        reading.items.push(...batch.items);
        offset = batch.offset;
        if (batch.streamClosed) resolve();
      });
    });
  };
  while (!reading.isOver)
    await once().then(
      () => (reading.isOver = true),
      () => new Promise((resolve) => setTimeout(resolve, 50)),
    );
}

async function produce(url: string, count: number): Promise<void> {
  const made = await DurableStream.create({ url, contentType: "application/json" });
  const producer = new IdempotentProducer(made, "page", { lingerMs: 1, maxBatchBytes: 200, autoClaim: true });
  for (let number = 0; number < count; number++) producer.append(JSON.stringify(number));
  await producer.flush();
  await producer.close();
}

Object.assign(window, { readings, bySource, byClient, produce });
