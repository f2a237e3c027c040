/** The pings of all clients of one shard, by messages of the protocol. `ClientServer` has one `ClientPings`. */
import type { ClientConfig } from "../../config/config.ts";
import { type CodeWithReason, DISCONNECTS } from "../../protocol/codes.ts";

export interface PingedClient {
  /** True from a ping to its pong. */
  awaitsPong: boolean;
  readonly deadlines: {
    set(name: string, delayMs: number, callback: (client: PingedClient) => unknown): void;
    delete(name: string): void;
  };
  sendPing(): void;
  closeWith(reason: CodeWithReason): void;
}

export class ClientPings {
  readonly #config: Pick<ClientConfig, "pingIntervalMs" | "pongTimeoutMs">;

  constructor(config: Pick<ClientConfig, "pingIntervalMs" | "pongTimeoutMs">) {
    this.#config = config;
  }

  start({ deadlines }: PingedClient): void {
    // Clients that came together are pinged at different times.
    deadlines.set("ping", this.#config.pingIntervalMs * (0.5 + Math.random() / 2), this.#ping);
  }

  /** Goes on with a client that came from another shard. */
  again({ deadlines }: PingedClient, dueInMs: number): void {
    deadlines.set("ping", dueInMs, this.#ping);
  }

  awaitPong({ deadlines }: PingedClient, dueInMs: number): void {
    deadlines.set("pong", dueInMs, noPong);
  }

  /** Fields of the answer to `connect`: seconds between pings, and that the client has to answer them. */
  get terms(): { readonly ping: number; readonly pong: boolean } {
    // Clients without a WebSocket answer as well: nothing else tells that one of them vanished without a word.
    return { ping: Math.max(1, Math.round(this.#config.pingIntervalMs / 1_000)), pong: true };
  }

  /** A client may answer each ping once. */
  pong(client: PingedClient): void {
    if (!client.awaitsPong) {
      client.closeWith(DISCONNECTS.badRequest);
      return;
    }
    client.awaitsPong = false;
    client.deadlines.delete("pong");
  }

  readonly #ping = (client: PingedClient): void => {
    const { pingIntervalMs, pongTimeoutMs } = this.#config;
    client.sendPing();
    client.deadlines.set("ping", pingIntervalMs, this.#ping);
    if (pongTimeoutMs === 0) return;
    client.awaitsPong = true;
    this.awaitPong(client, pongTimeoutMs);
  };
}

function noPong(client: PingedClient): void {
  client.closeWith(DISCONNECTS.noPong);
}
