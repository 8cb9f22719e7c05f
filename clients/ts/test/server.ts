/** A real Penstock server in a process of its own, and a proxy whose connections a test can cut. */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer, connect as dial, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { resolve } from "node:path";

export const ROOT = resolve(process.cwd(), "../..");
export const python =
  process.env.PENSTOCK_PYTHON ?? [`${ROOT}/.venv/bin/python`, `${ROOT}/.venv-3.13/bin/python`].find(existsSync) ?? "python3";

export class PenstockServer {
  readonly url: string;
  readonly #process: ChildProcess;

  private constructor(url: string, process: ChildProcess) {
    this.url = url;
    this.#process = process;
  }

  /** Start `penstock serve` with a service. */
  static serve(listen = "tcp://127.0.0.1:0", service = "tests.clients.market:Market"): Promise<PenstockServer> {
    return PenstockServer.#start("penstock", "serve", service, "--listen", listen);
  }

  /** Start tests/clients/serving.py, which has actors and kept streams, too. */
  static start(listen = "tcp://127.0.0.1:0", ...more: string[]): Promise<PenstockServer> {
    return PenstockServer.#start("tests.clients.serving", listen, ...more);
  }

  /** Start tests/clients/known.py, which knows its clients. */
  static known(listen: string): Promise<PenstockServer> {
    return PenstockServer.#start("tests.clients.known", listen);
  }

  static async #start(...module: string[]): Promise<PenstockServer> {
    const args = ["-m", ...module];
    const env = { ...process.env, PYTHONPATH: `${ROOT}/src:${ROOT}`, PYTHONUNBUFFERED: "1" };
    const child = spawn(python, args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "inherit"] });
    process.on("exit", () => child.kill("SIGKILL"));
    return new PenstockServer(await saidUrl(child), child);
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.kill(signal);
    await exited;
  }
}

function saidUrl(child: ChildProcess): Promise<string> {
  let said = "";
  return new Promise((resolve, reject) => {
    child.stdout?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      const url = /\bat ((?:tcp|ws|http):\/\/\S+)/.exec(said)?.[1];
      if (url !== undefined) resolve(url);
    });
    child.on("exit", () => reject(new Error(`penstock serve has said no URL: ${said}`)));
  });
}

/** Passes bytes to a port. A test cuts its connections, counts them, or lets it refuse new ones. */
export class Proxy {
  accepts = true;
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port: number;
  #isFrozen = false;

  private constructor(port: number) {
    this.#port = port;
    this.#server = createServer((near) => this.#pass(near));
  }

  static async to(port: number): Promise<Proxy> {
    const proxy = new Proxy(port);
    await once(proxy.#server.listen(0, "127.0.0.1"), "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Lead new connections to another port. */
  leadTo(port: number): void {
    this.#port = port;
  }

  /** Let connections stand, without a byte. */
  freeze(): void {
    this.#isFrozen = true;
    for (const socket of this.#sockets) socket.unpipe();
  }

  thaw(): void {
    this.#isFrozen = false;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.#server.close();
    this.cut();
  }

  #pass(near: Socket): void {
    if (!this.accepts) return void near.destroy();
    this.connections += 1;
    const far = dial(this.#port, "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.on("error", () => {});
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      if (!this.#isFrozen) from.pipe(to);
    }
    return undefined;
  }
}
