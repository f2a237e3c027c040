/** Requests to the HTTP API, and to a bare `node:http` server that parses the same JSON. Used by `serve.ts`. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { ServerProcess } from "../server-process.ts";
import { median } from "../statistics.ts";
import { measureVariants, type Settings, type Variant } from "./run.ts";
import { API_KEY } from "./settings.ts";

const CONNECTIONS = 16;
const BATCH_CONNECTIONS = 4;
const IN_BATCH = 1_000;
const CHANNELS = 100;
const DATA = { text: "what 64 bytes of a chat might look like" };

function request(path: string, body: string): Buffer {
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-API-Key: ${API_KEY}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

/** Sends a request again and again, one at a time on each connection. */
class ApiLoad {
  readonly #sockets: readonly Socket[];
  readonly #request: Buffer;

  static async open({ port }: ServerProcess, connections: number, bytes: Buffer): Promise<ApiLoad> {
    const sockets = Array.from({ length: connections }, () => connect({ host: "127.0.0.1", port, noDelay: true }));
    await Promise.all(sockets.map((socket) => once(socket, "connect")));
    return new ApiLoad(sockets, bytes);
  }

  private constructor(sockets: readonly Socket[], bytes: Buffer) {
    this.#sockets = sockets;
    this.#request = bytes;
  }

  /** Returns the number of requests that were answered. */
  async run(seconds: number): Promise<number> {
    const until = performance.now() + seconds * 1_000;
    const each = this.#sockets.map(async (socket) => {
      let requests = 0;
      while (performance.now() < until) {
        await this.#exchange(socket);
        requests++;
      }
      return requests;
    });
    return (await Promise.all(each)).reduce((sum, count) => sum + count, 0);
  }

  #exchange(socket: Socket): Promise<void> {
    return new Promise((resolve, reject) => {
      let text = "";
      const read = (chunk: Buffer): void => {
        text += chunk.toString("latin1");
        const head = text.indexOf("\r\n\r\n");
        const length = /content-length: (\d+)/i.exec(text)?.[1];
        if (head === -1 || text.length < head + 4 + Number(length)) return;
        socket.off("data", read);
        if (text.startsWith("HTTP/1.1 200") && !text.includes('"error"')) resolve();
        else reject(new Error(text));
      };
      socket.on("data", read);
      socket.write(this.#request);
    });
  }
}

export async function measureApi(ours: ServerProcess, bare: ServerProcess, settings: Settings): Promise<void> {
  const { seconds } = settings;
  const publish = (channel: string): Buffer => request("/api/publish", JSON.stringify({ channel, data: DATA }));
  const batch = (prefix: string): Buffer =>
    request(
      "/api/batch",
      JSON.stringify({
        commands: Array.from({ length: IN_BATCH }, (_, index) => ({
          publish: { channel: `${prefix}${index % CHANNELS}`, data: DATA },
        })),
      }),
    );
  const single = async (name: string, server: ServerProcess, channel: string): Promise<Variant> => {
    const load = await ApiLoad.open(server, CONNECTIONS, publish(channel));
    const compared = server === bare ? {} : { reference: "bare node:http", bar: "1.67, that is 1/0.6" };
    return { name, server, ...compared, run: () => load.run(seconds) };
  };
  const batches = async (name: string, prefix: string): Promise<Variant> => {
    const load = await ApiLoad.open(ours, BATCH_CONNECTIONS, batch(prefix));
    return { name, server: ours, run: async () => (await load.run(seconds)) * IN_BATCH };
  };
  await measureVariants(
    "/api/publish",
    "request",
    [
      await single("bare node:http", bare, "api"),
      await single("/api/publish", ours, "api"),
      await single("/api/publish, history", ours, "history:api"),
    ],
    settings,
  );
  const figures = await measureVariants(
    `/api/batch of ${IN_BATCH}`,
    "publish",
    [await batches("/api/batch", "batch-"), await batches("/api/batch, history", "history:batch-")],
    settings,
  );
  for (const [name, each] of figures) {
    console.log(`  ${name.padEnd(28)} ${Math.round(1e6 / median(each))} publishes a second of CPU (bar 100,000)`);
  }
}
