// Items a second and CPU time an item of this client in Node, beside the client in Python, at the same server: `npm run bench`.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";

const ROOT = new URL("../../../", import.meta.url).pathname;
const python = process.env.PENSTOCK_PYTHON ?? `${ROOT}.venv/bin/python`;
const env = { ...process.env, PYTHONPATH: `${ROOT}src:${ROOT}`, PYTHONUNBUFFERED: "1" };
const ITEMS = 300_000;
const CALLS = 2_000;

const IN_PYTHON = `
import asyncio, sys, time, penstock
from tests.clients.market import Market

async def main():
    async with penstock.connect(sys.argv[1]) as peer:
        market = peer.service(Market)
        for name, stream in (("ints", market.count), ("structs", market.prices)):
            began, cpu = time.perf_counter(), time.process_time()
            async for _ in stream(${ITEMS}):
                pass
            took, used = time.perf_counter() - began, time.process_time() - cpu
            print(f"python {name}: {${ITEMS} / took / 1e3:.0f} k items/s, {used / ${ITEMS} * 1e6:.2f} us of CPU an item")
        began = time.perf_counter()
        for _ in range(${CALLS}):
            await market.quote("ACME")
        print(f"python call: {(time.perf_counter() - began) / ${CALLS} * 1e6:.0f} us")

asyncio.run(main())
`;

const IN_NODE = `
import { connect } from "./build/dist/node.js";

const peer = await connect(process.argv[1], {});
for (const [name, target] of [["ints", "Market/count"], ["structs", "Market/prices"]]) {
  const [began, cpu] = [performance.now(), process.cpuUsage()];
  for await (const _ of peer.stream(target, [${ITEMS}]));
  const { user, system } = process.cpuUsage(cpu);
  const rate = ${ITEMS} / (performance.now() - began);
  console.log(\`node \${name}: \${rate.toFixed(0)} k items/s, \${((user + system) / ${ITEMS}).toFixed(2)} us of CPU an item\`);
}
const began = performance.now();
for (let count = 0; count < ${CALLS}; count++) await peer.call("Market/quote", ["ACME"]);
console.log(\`node call: \${(((performance.now() - began) / ${CALLS}) * 1000).toFixed(0)} us\`);
await peer.close();
`;

async function serve(scheme) {
  const args = ["-m", "penstock", "serve", "tests.clients.market:Market", "--listen", `${scheme}://127.0.0.1:0`];
  const server = spawn(python, args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  server.stdout.on("data", (chunk) => (said += chunk));
  while (!/at (\S+)/.test(said)) await once(server.stdout, "data");
  return [server, /at (\S+)/.exec(said)[1]];
}

if (spawnSync(process.execPath, ["tools/build.mjs", "build/dist"], { stdio: "inherit" }).status !== 0) process.exit(1);
for (const scheme of ["tcp", "ws"]) {
  const [server, url] = await serve(scheme);
  console.log(scheme);
  spawnSync(process.execPath, ["--experimental-websocket", "--input-type=module", "--eval", IN_NODE, url], {
    stdio: "inherit",
  });
  spawnSync(python, ["-c", IN_PYTHON, url], { cwd: ROOT, env, stdio: "inherit" });
  server.kill();
}
