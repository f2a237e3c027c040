import { once } from "node:events";
import type { AddressInfo, Server, Socket } from "node:net";
import type { ListenerSettings } from "../shard/messages.ts";
import type { UpgradeCounters } from "../shard/upgrade-counters.ts";
import type { HandoffResult } from "../transport/handoff.ts";
import { createUnreadServer } from "../transport/unread-server.ts";
import { refuseUpgrade } from "../upgrade/response.ts";

export interface ShardListenerOwner {
  /** For the outcomes that no shard counts. */
  readonly counters: UpgradeCounters;
  /** Hands an unread socket to a shard; undefined when there is none that takes any. */
  handOffUnread(socket: Socket, listener: number): Promise<HandoffResult> | undefined;
  handshakeFailed(error: Error): void;
}

/** A port whose sockets go to the shards as they were accepted: TLS and the opening handshake are theirs. */
export class ShardListener {
  /** Under which the shards know it. */
  readonly listener: number;
  readonly #owner: ShardListenerOwner;
  readonly #server: Server;
  settings: ListenerSettings;

  constructor(listener: number, settings: ListenerSettings, owner: ShardListenerOwner) {
    this.listener = listener;
    this.settings = settings;
    this.#owner = owner;
    this.#server = createUnreadServer((socket) => void this.#accept(socket));
  }

  /** Rejects as `net.Server` does (`EADDRINUSE`). */
  async listen(port: number, host: string | undefined): Promise<AddressInfo> {
    this.#server.listen(port, host);
    await once(this.#server, "listening");
    // Such as running out of descriptors: the sockets that are there go on.
    this.#server.on("error", (error) => this.#owner.handshakeFailed(error));
    return this.#server.address() as AddressInfo;
  }

  get port(): number | undefined {
    return (this.#server.address() as AddressInfo | null)?.port;
  }

  /** A shard that was replaced gets its sockets from here, as before. */
  async reopen(): Promise<void> {}

  close(): void {
    this.#server.close();
  }

  async #accept(socket: Socket): Promise<void> {
    const { counters } = this.#owner;
    socket.on("error", ignore);
    const handoff = this.#owner.handOffUnread(socket, this.listener);
    if (handoff === undefined) {
      this.#refuse(socket);
      return;
    }
    const result = await handoff;
    if (result.outcome === "peerGone") counters.add("abandoned");
    if (result.outcome !== "failed") return;
    counters.add("failed");
    this.#owner.handshakeFailed(result.error);
  }

  /** No shard takes it. Without one there is no TLS to say so in. */
  #refuse(socket: Socket): void {
    const { counters } = this.#owner;
    if (this.settings.tls === undefined) {
      refuseUpgrade(socket, { status: 503, headers: { "Retry-After": "1" } });
      counters.addRefused(503);
    } else {
      socket.destroy();
      counters.add("failed");
    }
  }
}

function ignore(): void {}
