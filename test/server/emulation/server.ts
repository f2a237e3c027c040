/** A board with the endpoints of emulation on a real HTTP server, and clients of it. Each ends with the test. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { Http2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import type { StartOptions, Switchboard } from "../../../src/index.ts";
import { createEmulation, type Emulation, type EmulationOptions } from "../../../src/server/emulation/emulation.ts";
import { startBoard } from "../../support/board.ts";

export interface EmulationServer {
  readonly board: Switchboard;
  readonly emulation: Emulation;
  readonly url: string;
  readonly port: number;
}

export interface ServerOptions {
  readonly board?: Partial<StartOptions>;
  readonly emulation?: EmulationOptions;
  readonly server?: Server | Http2Server;
}

/** Requests for nothing of emulation get 418. */
export async function startServer(options: ServerOptions = {}): Promise<EmulationServer> {
  const { board } = await startBoard({
    ...(options.board as object),
    actor: new URL("./emulated-actor.ts", import.meta.url),
  });
  const emulation = createEmulation(board, options.emulation);
  const server = options.server ?? createServer();
  (server as Server).on("request", (request, response) => {
    if (!emulation.handle(request, response)) response.writeHead(418).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    if ("closeAllConnections" in server) server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { board, emulation, url: `http://127.0.0.1:${port}`, port };
}

/** A connect command as JSON. */
export const CONNECT = JSON.stringify({ id: 1, connect: {} });

/** A line of JSON, as far as tests look into it. */
export interface Line {
  readonly id?: number;
  readonly connect?: {
    readonly session: string;
    readonly node: string;
    readonly data: Readonly<Record<string, unknown>>;
  };
  readonly rpc?: { readonly data: unknown };
  readonly push?: { readonly disconnect?: { readonly code: number; readonly reason: string } };
}

/** A response whose lines are read one by one. */
export class LineStream {
  readonly response: Response;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #abort: AbortController;
  readonly #decoder = new TextDecoder();
  #text = "";

  private constructor(response: Response, abort: AbortController) {
    this.response = response;
    this.#abort = abort;
    if (response.body === null) throw new Error("the response has no body");
    this.#reader = response.body.getReader();
  }

  static async open(url: string, init: RequestInit = {}): Promise<LineStream> {
    const abort = new AbortController();
    onTestFinished(() => abort.abort());
    const response = await fetch(`${url}/connection/http_stream`, {
      method: "POST",
      body: CONNECT,
      ...init,
      signal: abort.signal,
    });
    return new LineStream(response, abort);
  }

  /** Returns the next line without its end; undefined at the end of the response. Rejects if the response is cut. */
  async raw(): Promise<string | undefined> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line;
      }
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      this.#text += this.#decoder.decode(value, { stream: true });
    }
  }

  async next(): Promise<Line> {
    const line = await this.raw();
    if (line === undefined) throw new Error("the response has ended");
    return JSON.parse(line);
  }

  /** Reads the connect reply. */
  async connected(): Promise<NonNullable<Line["connect"]>> {
    const { connect } = await this.next();
    if (connect === undefined) throw new Error("this is no connect reply");
    return connect;
  }

  leave(): void {
    this.#abort.abort();
  }
}

/** Sends commands over `/emulation`. Returns the status of the answer. */
export async function emulate(
  url: string,
  { node, session }: { readonly node: string; readonly session: string },
  ...commands: object[]
): Promise<number> {
  const data = commands.map((command) => JSON.stringify(command)).join("\n");
  const body = JSON.stringify({ node, session, data });
  const { status } = await fetch(`${url}/emulation`, { method: "POST", body });
  return status;
}

/** An RPC command with an id. */
export function rpc(id: number, method: string, data: unknown = null): object {
  return { id, rpc: { method, data } };
}
