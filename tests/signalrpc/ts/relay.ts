// The server of ts-rpc. Its first line on the standard output is its port.
const { serve } = await import(`${process.env.TS_RPC}/examples/serve.ts`);
const quiet = () => {};
const logger = { ...console, debug: quiet, log: quiet, warn: quiet, error: quiet, time: quiet, timeEnd: quiet };
const server = serve({ hostname: "127.0.0.1", port: 0, logger, enableRateLimit: false });
console.log(server.port);
