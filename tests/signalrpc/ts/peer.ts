// A peer of the npm package ts-rpc, which does as it is asked. Its first line on the standard output is its address.
const quiet = () => {};
console.debug = console.time = console.timeEnd = console.warn = console.error = quiet;

const { RpcPeer } = await import(`${process.env.TS_RPC}/lib.ts`);
const { z } = await import("zod");

type Asked = { method: string; n: number; value: unknown; streamId: string; error: string };

const peer = RpcPeer.FromOptions({
	url: process.argv[2],
	name: "bun",
	requestSchema: z.object({ method: z.string() }).passthrough(),
	responseSchema: z.any(),
});
let made = 0;

async function* count(n: number, error?: string) {
	for (let i = 0; i < n; i++) {
		made++;
		yield i;
	}
	if (error) throw new Error(error);
}

const methods: Record<string, (asked: Asked, from?: string) => unknown> = {
	echo: (asked) => ({ echo: asked.value }),
	// as the seed has it: the stream begins, and the answer says its id
	stream: ({ n, error }) => {
		const streamId = crypto.randomUUID();
		peer.sendStream(count(n, error), streamId).catch(quiet);
		return { streamId };
	},
	// the same with a pause before each item: its event loop is never free while the items of `count` last
	slow: ({ n }) => {
		const streamId = crypto.randomUUID();
		const slowly = async function* () {
			for await (const i of count(n)) {
				await new Promise((done) => setTimeout(done, 1));
				yield i;
			}
		};
		peer.sendStream(slowly(), streamId).catch(quiet);
		return { streamId };
	},
	abort: ({ streamId }) => {
		peer.abortStream(streamId);
		return { aborted: streamId };
	},
	// receives a stream whole, and says its items and how it ended
	collect: async ({ streamId }) => {
		const items: unknown[] = [];
		const [, stream] = peer.receiveStream(streamId);
		try {
			for await (const item of stream) items.push(item);
		} catch (error) {
			return { items, error: (error as Error).message };
		}
		return { items };
	},
	// asks the other side, and says its answer
	ask: async ({ value }, from) => (await peer.request(value, from, 2000)).data,
	// asks for a stream of the other side, and sums it up
	pull: async ({ n }, from) => {
		const answer = await peer.request({ method: "stream", n }, from, 2000);
		let sum = 0;
		for await (const item of peer.receiveStream(answer.data.streamId)[1]) sum += item as number;
		return { sum };
	},
};

peer.match((data: Asked, from?: string) => methods[data.method]?.(data, from));
console.log(await peer.waitForWelcome());
