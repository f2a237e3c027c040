/** A `redis-server` on a free port, for `bench/redis.ts`. Keeps nothing on the disk. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { createClient } from "@redis/client";

const START_MS = 10_000;

type Client = ReturnType<typeof createClient>;

export class RedisServer {
  readonly url: string;
  readonly #process: ChildProcess;
  readonly #client: Client;

  /** Starts a server. Rejects if it doesn't answer within 10 seconds, for example because it isn't installed. */
  static async start(): Promise<RedisServer> {
    const port = await freePort();
    const flags = ["--port", String(port), "--save", "", "--appendonly", "no", "--dir", tmpdir()];
    const child = spawn("redis-server", flags, { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("redis-server didn't start in time")), START_MS);
      child.stdout.on("data", (chunk) => {
        if (!String(chunk).includes("Ready to accept connections")) return;
        clearTimeout(timer);
        resolve();
      });
      child.once("error", (cause) => reject(new Error("redis-server can't be started: is it installed?", { cause })));
      child.once("exit", (code) => reject(new Error(`redis-server ended with ${code}`)));
    });
    const client = createClient({ url: `redis://127.0.0.1:${port}` });
    await client.connect();
    return new RedisServer(`redis://127.0.0.1:${port}`, child, client as Client);
  }

  private constructor(url: string, child: ChildProcess, client: Client) {
    this.url = url;
    this.#process = child;
    this.#client = client;
  }

  /** CPU time of the server since its start, in µs. */
  async cpuMicros(): Promise<number> {
    const info = await this.#client.info("cpu");
    const read = (name: string): number => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1]);
    return (read("used_cpu_user") + read("used_cpu_sys")) * 1e6;
  }

  /** Number of times that each command has run, by its name in lower case; also those that scripts ran. */
  async commands(): Promise<Map<string, number>> {
    const info = await this.#client.info("commandstats");
    return new Map(
      [...info.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)].map(([, name = "", calls]) => [name, Number(calls)]),
    );
  }

  async stop(): Promise<void> {
    this.#client.destroy();
    this.#process.kill();
    await once(this.#process, "exit");
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return address.port;
}
