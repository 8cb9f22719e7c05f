// The TypeScript client of the protocol, as a peer of the tests. usage: node peer.mjs follow|produce URL …
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"

const [what, url, ...rest] = process.argv.slice(2)

// follow URL OFFSET MODE: writes each item as a line of JSON until the stream is closed, then the last offset. The client gives up
// when a response is cut, so this goes on by the last offset, as its users do.
async function follow(offset, mode) {
  let last = offset
  const once = async () => {
    const response = await stream({ url, offset: last, live: mode })
    return await new Promise((resolve, reject) => {
      response.closed.catch(reject)
      response.subscribeJson(async (batch) => {
        for (const item of batch.items) console.log(JSON.stringify(item))
        last = batch.offset
        if (batch.streamClosed) resolve(true)
      })
    })
  }
  while (!(await once().catch(() => false))) await new Promise((resolve) => setTimeout(resolve, 50))
  console.log(`closed at ${last}`)
}

// produce URL COUNT: appends the numbers below COUNT as a producer whose batches are kept once, and closes the stream.
async function produce(count) {
  const made = await DurableStream.create({ url, contentType: "application/json" })
  const producer = new IdempotentProducer(made, "peer", { lingerMs: 1, maxBatchBytes: 200, autoClaim: true })
  for (let n = 0; n < Number(count); n++) producer.append(JSON.stringify({ n }))
  await producer.flush()
  await producer.close()
  console.log("closed")
}

await { follow, produce }[what](...rest)
