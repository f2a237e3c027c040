/** The pings of one client, by messages of the protocol. The client's actor has one `ClientPings`. */
import type { ClientConfig } from "../config/config.ts";
import { type CodeWithReason, DISCONNECTS } from "../protocol/codes.ts";
import type { Deadlines } from "./deadlines.ts";

export interface PingedClient {
  sendPing(): void;
  closeWith(reason: CodeWithReason): void;
}

export class ClientPings {
  readonly #client: PingedClient;
  readonly #config: Pick<ClientConfig, "pingIntervalMs" | "pongTimeoutMs">;
  readonly #deadlines: Deadlines;
  #awaitsPong = false;

  constructor(
    client: PingedClient,
    config: Pick<ClientConfig, "pingIntervalMs" | "pongTimeoutMs">,
    deadlines: Deadlines,
  ) {
    this.#client = client;
    this.#config = config;
    this.#deadlines = deadlines;
    // Clients that came together are pinged at different times.
    deadlines.set("ping", config.pingIntervalMs * (0.5 + Math.random() / 2), this.#ping);
  }

  /** Returns what the client is told: seconds between pings, and that it has to answer. */
  get terms(): { readonly ping: number; readonly pong: boolean } {
    // Clients without a WebSocket answer as well: nothing else tells that one of them vanished without a word.
    return { ping: Math.max(1, Math.round(this.#config.pingIntervalMs / 1_000)), pong: true };
  }

  /** A client may answer each ping once. */
  pong(): void {
    if (!this.#awaitsPong) {
      this.#client.closeWith(DISCONNECTS.badRequest);
      return;
    }
    this.#awaitsPong = false;
    this.#deadlines.delete("pong");
  }

  readonly #ping = (): void => {
    const { pingIntervalMs, pongTimeoutMs } = this.#config;
    this.#client.sendPing();
    this.#deadlines.set("ping", pingIntervalMs, this.#ping);
    if (pongTimeoutMs === 0) return;
    this.#awaitsPong = true;
    this.#deadlines.set("pong", pongTimeoutMs, () => this.#client.closeWith(DISCONNECTS.noPong));
  };
}
