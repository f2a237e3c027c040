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
  /** True if the client answers pings. */
  readonly #wantsPongs: boolean;
  #awaitsPong = false;

  constructor(
    client: PingedClient,
    config: Pick<ClientConfig, "pingIntervalMs" | "pongTimeoutMs">,
    deadlines: Deadlines,
    wantsPongs: boolean,
  ) {
    this.#client = client;
    this.#config = config;
    this.#deadlines = deadlines;
    this.#wantsPongs = wantsPongs;
    // Clients that came together are pinged at different times.
    deadlines.set("ping", config.pingIntervalMs * (0.5 + Math.random() / 2), this.#ping);
  }

  /** Returns what the client is told: seconds between pings, and whether it answers. */
  get terms(): { readonly ping: number; readonly pong?: boolean } {
    const ping = Math.max(1, Math.round(this.#config.pingIntervalMs / 1_000));
    return this.#wantsPongs ? { ping, pong: true } : { ping };
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
    if (!this.#wantsPongs || pongTimeoutMs === 0) return;
    this.#awaitsPong = true;
    this.#deadlines.set("pong", pongTimeoutMs, () => this.#client.closeWith(DISCONNECTS.noPong));
  };
}
