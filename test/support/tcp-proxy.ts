/** A TCP proxy between an engine and a server, for faults of the link. Ends with the test. */
import { connect, createServer, type Server, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** - `open`: bytes pass.
 * - `stuck`: connections are accepted and stay, and no byte passes, as behind a firewall that forgot them.
 * - `closed`: connections are reset. */
type ProxyState = "open" | "stuck" | "closed";

export class TcpProxy {
  readonly #server: Server;
  #target: number;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  /** Clients that have subscribed to something. */
  readonly #subscribed = new WeakSet<Socket>();
  #state: ProxyState = "open";
  /** Bytes that may still pass to the server before the proxy closes everything. */
  #upBudget = Number.POSITIVE_INFINITY;
  /** Connections that were reset at once. */
  refused = 0;

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
    server.on("connection", (socket) => this.#accept(socket));
  }

  /** @param outlivesTest true if the test closes the proxy itself, or `beforeAll` has started it */
  static async start(target: number, { outlivesTest = false } = {}): Promise<TcpProxy> {
    const server = createServer();
    const proxy = new TcpProxy(server, target);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    if (!outlivesTest) onTestFinished(() => proxy.close());
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the proxy doesn't listen");
    return address.port;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Number of connections. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Lets no byte pass any more, and keeps the connections. New ones are accepted and get no answer. */
  stick(): void {
    this.#state = "stuck";
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  /** Holds from now on what the server publishes on the connections that are there. Answers to commands pass. */
  deafen(): void {
    for (const [near, far] of this.#pairs) {
      if (this.#subscribed.has(near)) far.pause();
    }
  }

  /** Leads new connections to another server, and resets those that are there: a virtual address that moves. */
  retarget(target: number): void {
    this.#target = target;
    this.#reset();
  }

  /** Resets all connections, and those that come. */
  cut(): void {
    this.#state = "closed";
    this.#reset();
  }

  /** Resets all connections when so many more bytes have gone to the server: in the middle of a command. */
  cutAfter(bytes: number): void {
    this.#upBudget = bytes;
  }

  /** Lets bytes pass again. Connections that were stuck go on. */
  mend(): void {
    this.#state = "open";
    this.#upBudget = Number.POSITIVE_INFINITY;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #reset(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
  }

  #accept(near: Socket): void {
    if (this.#state === "closed") {
      this.refused++;
      near.on("error", () => undefined);
      near.resetAndDestroy();
      return;
    }
    const far = connect({ port: this.#target, host: "127.0.0.1", noDelay: true });
    near.setNoDelay();
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    for (const socket of pair) {
      socket.on("error", () => undefined);
      socket.on("close", () => {
        this.#pairs.delete(pair);
        for (const other of pair) other.destroy();
      });
      if (this.#state === "stuck") socket.pause();
    }
    near.on("data", (chunk: Buffer) => {
      if (/\r\ns?subscribe\r\n/i.test(chunk.toString("latin1"))) this.#subscribed.add(near);
      far.write(this.#upBudget < chunk.length ? chunk.subarray(0, this.#upBudget) : chunk);
      this.#upBudget -= chunk.length;
      if (this.#upBudget > 0) return;
      this.#upBudget = Number.POSITIVE_INFINITY;
      // What is under way reaches the server first.
      far.end(() => this.#reset());
    });
    far.on("data", (chunk: Buffer) => near.write(chunk));
  }
}
