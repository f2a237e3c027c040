/**
 * A real `redis-server` on a free port, for the tests of the engine. Ends with the test. The variable `REDIS_SERVER`
 * of the environment names another program, as `/opt/valkey/valkey-server`.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createClient } from "@redis/client";
import { onTestFinished, vi } from "vitest";
import type { Certificate } from "./certificate.ts";
import { freePort } from "./free-port.ts";

const run = promisify(execFile);

/** Throws a sentence that says what to install, if a program isn't there. */
function find(program: string): string {
  const { REDIS_SERVER } = process.env;
  if (program === "redis-server" && REDIS_SERVER) return REDIS_SERVER;
  const path = [`/usr/bin/${program}`, `/usr/local/bin/${program}`].find((one) => existsSync(one));
  if (path !== undefined) return path;
  throw new Error(`${program} isn't installed: apt-get install redis-server (tests of the engine for Redis need it)`);
}

export interface RedisServerOptions {
  /** More settings, as on the command line: `{ "maxmemory": "10mb" }`. */
  readonly config?: Readonly<Record<string, string>>;
  /** True to keep the data over restarts: each write is on the disk before its answer. Default: false. */
  readonly keepsData?: boolean;
  /** Port. Default: a free one. */
  readonly port?: number;
  /** Program and its leading arguments. Default: `redis-server`. */
  readonly sentinelConfig?: string;
  /** The certificate of a server that takes only TLS. Default: a server without TLS. */
  readonly certificate?: Certificate;
  /** True if the test ends the server itself, or `beforeAll` has started it. */
  readonly outlivesTest?: boolean;
}

type Client = ReturnType<typeof createClient>;

export class RedisServer {
  readonly port: number;
  readonly #options: RedisServerOptions;
  readonly #folder: string;
  #process: ChildProcess | undefined;
  #client: Client | undefined;

  private constructor(port: number, options: RedisServerOptions, folder: string) {
    this.port = port;
    this.#options = options;
    this.#folder = folder;
  }

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const folder = mkdtempSync(join(tmpdir(), "switchboard-redis-"));
    const server = new RedisServer(options.port ?? (await freePort()), options, folder);
    await server.start();
    if (options.outlivesTest !== true) onTestFinished(() => server.destroy());
    return server;
  }

  get url(): string {
    return `${this.#options.certificate === undefined ? "redis" : "rediss"}://127.0.0.1:${this.port}`;
  }

  get address(): { readonly host: string; readonly port: number } {
    return { host: "127.0.0.1", port: this.port };
  }

  /** Starts the server, again after `kill` with the data that it has on the disk. Resolves when it answers. */
  async start(): Promise<void> {
    const { config = {}, keepsData = false, sentinelConfig, certificate } = this.#options;
    const settings: Record<string, string> = {
      port: String(this.port),
      dir: this.#folder,
      save: "",
      appendonly: keepsData ? "yes" : "no",
      appendfsync: "always",
      "repl-diskless-sync-delay": "0",
      ...(certificate && this.#tlsSettings(certificate)),
      ...config,
    };
    const flags =
      sentinelConfig === undefined
        ? Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
        : [sentinelConfig, "--sentinel", "--port", String(this.port)];
    const child = spawn(find("redis-server"), flags, { stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    let output = "";
    await new Promise<void>((resolve, reject) => {
      const read = (chunk: Buffer): void => {
        output += chunk.toString();
        if (/Ready to accept connections|Sentinel ID is/.test(output)) resolve();
      };
      child.stdout?.on("data", read);
      child.stderr?.on("data", read);
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`redis-server ended with ${code}: ${output.slice(-500)}`)));
    });
    child.stdout?.resume();
  }

  /** Writes a certificate into the folder of the server. Returns the settings that use it. */
  #tlsSettings({ cert, key }: Certificate): Record<string, string> {
    const [certFile, keyFile] = [join(this.#folder, "cert.pem"), join(this.#folder, "key.pem")];
    writeFileSync(certFile, cert);
    writeFileSync(keyFile, key);
    return {
      port: "0",
      "tls-port": String(this.port),
      "tls-cert-file": certFile,
      "tls-key-file": keyFile,
      "tls-ca-cert-file": certFile,
      "tls-auth-clients": "no",
    };
  }

  /** A client of its own for the test: to look at keys, to say what no engine says. */
  async client(): Promise<Client> {
    if (this.#client?.isReady === true) return this.#client;
    this.#client?.destroy();
    const { certificate } = this.#options;
    const tls = certificate && { tls: true as const, ca: certificate.cert };
    const client = createClient({ url: this.url, socket: { reconnectStrategy: false, ...tls } });
    client.on("error", () => undefined);
    this.#client = client as Client;
    await client.connect();
    return this.#client;
  }

  async command(...args: string[]): Promise<unknown> {
    return (await this.client()).sendCommand(args);
  }

  /** Ends the server as `kill -9` does. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#client?.destroy();
    this.#client = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await exited;
  }

  /** Deletes what a server that doesn't run has on the disk. */
  forget(): void {
    for (const name of readdirSync(this.#folder)) rmSync(join(this.#folder, name), { recursive: true });
  }

  /** Stands still until `thaw`, and keeps its connections. */
  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#process?.kill("SIGCONT");
  }

  async destroy(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Resolves when this server has all that its master has. */
  async follows(master: { readonly port: number }): Promise<void> {
    await this.command("REPLICAOF", "127.0.0.1", String(master.port));
    await vi.waitFor(async () => {
      const info = String(await this.command("INFO", "replication"));
      if (!info.includes("master_link_status:up")) throw new Error(info);
    });
  }
}

/** Resolves when a replica has all that its master has. */
export async function caughtUp(master: RedisServer, replica: RedisServer): Promise<void> {
  await vi.waitFor(async () => {
    const [ahead, behind] = await Promise.all(
      [master, replica].map(async (server) => {
        const info = String(await server.command("INFO", "replication"));
        return Number(/(?:slave_repl_offset|master_repl_offset):(\d+)/.exec(info)?.[1]);
      }),
    );
    if (ahead !== behind) throw new Error(`the replica is at ${behind} of ${ahead}`);
  });
}

/** Starts a sentinel that knows a master as `board`, and its replicas. */
export async function startSentinel(master: RedisServer): Promise<RedisServer> {
  const port = await freePort();
  const config = join(tmpdir(), `switchboard-sentinel-${port}.conf`);
  const lines = [
    `sentinel monitor board 127.0.0.1 ${master.port} 1`,
    "sentinel down-after-milliseconds board 500",
    "sentinel failover-timeout board 5000",
  ];
  writeFileSync(config, lines.join("\n"));
  const sentinel = await RedisServer.start({ port, sentinelConfig: config });
  await vi.waitFor(async () => {
    const replicas = await sentinel.command("SENTINEL", "replicas", "board");
    if (!Array.isArray(replicas) || replicas.length === 0) throw new Error("the sentinel doesn't know the replica");
  });
  return sentinel;
}

export interface RedisClusterOfThree {
  readonly servers: readonly RedisServer[];
}

/** Starts a Redis Cluster of three masters, each with so many replicas. */
export async function startRedisCluster(replicas = 0, outlivesTest = false): Promise<RedisClusterOfThree> {
  const start = async (): Promise<RedisServer> => {
    const bus = String(await freePort());
    const config = { "cluster-enabled": "yes", "cluster-node-timeout": "2000", "cluster-port": bus };
    return RedisServer.start({ config, outlivesTest });
  };
  const servers = await Promise.all(Array.from({ length: 3 * (1 + replicas) }, start));
  const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
  const flags = ["--cluster-replicas", String(replicas), "--cluster-yes"];
  await run(find("redis-cli"), ["--cluster", "create", ...addresses, ...flags]);
  for (const server of servers) {
    await vi.waitFor(async () => {
      const info = String(await server.command("CLUSTER", "INFO"));
      if (!info.includes("cluster_state:ok")) throw new Error(info);
    });
  }
  return { servers };
}

/** A slot on its way to another master. */
export interface SlotMove {
  /** Moves the keys that the slot has now. */
  migrate(): Promise<void>;
  /** Gives the slot to the other master. */
  finish(): Promise<void>;
}

/** Moves a slot, with its keys, to another master. */
export async function moveSlot(servers: readonly RedisServer[], slot: number): Promise<void> {
  const move = await beginMove(servers, slot);
  await move.migrate();
  await move.finish();
}

export async function beginMove(servers: readonly RedisServer[], slot: number): Promise<SlotMove> {
  const ids = new Map<RedisServer, string>();
  for (const server of servers) ids.set(server, String(await server.command("CLUSTER", "MYID")));
  let from: RedisServer | undefined;
  for (const server of servers) {
    const map = String(await server.command("CLUSTER", "NODES"));
    const own = map.split("\n").find((line) => line.includes("myself")) ?? "";
    const ranges = [...own.matchAll(/ (\d+)-(\d+)/g)];
    if (ranges.some(([, first, last]) => Number(first) <= slot && slot <= Number(last))) from = server;
  }
  const to = servers.find((server) => server !== from);
  if (from === undefined || to === undefined) throw new Error(`no master has the slot ${slot}`);
  await to.command("CLUSTER", "SETSLOT", String(slot), "IMPORTING", ids.get(from) ?? "");
  await from.command("CLUSTER", "SETSLOT", String(slot), "MIGRATING", ids.get(to) ?? "");
  return {
    async migrate() {
      const keys = (await from.command("CLUSTER", "GETKEYSINSLOT", String(slot), "1000")) as string[];
      if (keys.length > 0) {
        await from.command("MIGRATE", "127.0.0.1", String(to.port), "", "0", "5000", "KEYS", ...keys);
      }
    },
    async finish() {
      for (const server of [to, from, ...servers]) {
        await server.command("CLUSTER", "SETSLOT", String(slot), "NODE", ids.get(to) ?? "");
      }
    },
  };
}
