/** A port of the board that accepts in the main thread and forwards raw sockets to the shards. */
import type { AddressInfo, Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { UpgradeCounters } from "../../../runtime/stats/upgrade-counters.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import { descriptorRoom, outOfDescriptors } from "../../../wire/transport/descriptors.ts";
import type { HandoffResult } from "../../../wire/transport/pending-handoffs.ts";
import { createRawSocketServer } from "../../../wire/transport/raw-socket-server.ts";
import { refuseUpgrade, type UpgradeRefusal } from "../../../wire/upgrade/response.ts";
import type { Permit } from "../../accept/admission-control.ts";
import type { ShardPortSettings } from "../../accept/shard-port.ts";
import type { ListeningSockets } from "./listening-sockets.ts";

export interface ForwardingListenerOwner {
  /** Counters for outcomes that no shard counts. */
  readonly counters: UpgradeCounters;
  /** Reserves a place for a socket, or refuses it. Undefined without limits. */
  readonly admit?: ((socket: Socket) => Permit | UpgradeRefusal) | undefined;
  /** Hands a raw socket to a shard; undefined if none takes any. */
  handOffRawSocket(socket: Socket, clientKey: string | undefined): Promise<HandoffResult> | undefined;
  handshakeFailed(error: Error): void;
  /** A socket was refused or not accepted, because few descriptors are left. */
  acceptFailed(error: Error): void;
  readonly sockets: ListeningSockets;
}

/** A port whose sockets go to the shards as they were accepted. The shards do TLS and the opening handshake. */
export class ForwardingListener {
  /** Number of the port for the shards. */
  readonly listenerId: number;
  readonly #owner: ForwardingListenerOwner;
  readonly #server: Server;
  settings: ShardPortSettings;

  constructor(listenerId: number, settings: ShardPortSettings, owner: ForwardingListenerOwner) {
    this.listenerId = listenerId;
    this.settings = settings;
    this.#owner = owner;
    this.#server = createRawSocketServer((socket) => void this.#accept(socket));
  }

  /** Rejects as `openServer` does. */
  async listen(port: number, host: string | undefined, signal: AbortSignal): Promise<AddressInfo> {
    const asked = host === undefined ? { port } : { port, host };
    const address = (await this.#owner.sockets.open(this.#server, asked, signal)) as AddressInfo;
    // An error such as running out of descriptors: open sockets are not concerned.
    this.#server.on("error", (error) => this.#owner.acceptFailed(error));
    return address;
  }

  get port(): number | undefined {
    return (this.#server.address() as AddressInfo | null)?.port;
  }

  /** A shard that was replaced gets sockets from here, as before. */
  async reopen(): Promise<void> {}

  /** The other shards get the sockets. */
  shardFailed(): void {}

  close(): void {
    this.#server.close();
  }

  async #accept(socket: Socket): Promise<void> {
    const { counters } = this.#owner;
    socket.on("error", noop);
    const room = descriptorRoom(socket);
    if (room !== "enough") {
      this.#owner.acceptFailed(outOfDescriptors());
      if (room === "few") {
        this.#refuseUnavailable(socket);
      } else {
        counters.add("failed");
        socket.destroy();
      }
      return;
    }
    const permit = this.#owner.admit?.(socket);
    if (permit !== undefined && "status" in permit) {
      counters.addRefused(permit.status);
      this.#refuse(socket, permit);
      return;
    }
    const handoff = this.#owner.handOffRawSocket(socket, permit?.clientKey);
    if (handoff === undefined) {
      permit?.release();
      this.#refuseUnavailable(socket);
      return;
    }
    permit?.commit();
    const result = await handoff;
    switch (result.outcome) {
      case "peerGone":
        counters.add("abandoned");
        return;
      case "stayed":
        this.#refuseUnavailable(result.socket);
        this.#owner.handshakeFailed(result.error);
        return;
      case "failed":
        counters.add("failed");
        this.#owner.handshakeFailed(result.error);
    }
  }

  #refuseUnavailable(socket: Duplex): void {
    if (this.settings.tls === undefined) this.#owner.counters.addRefused(503);
    else this.#owner.counters.add("failed");
    this.#refuse(socket, { status: 503, headers: { "Retry-After": "1" } });
  }

  /** Refuses a socket. With TLS it is only closed: without a shard nothing can speak TLS. */
  #refuse(socket: Duplex, refusal: UpgradeRefusal): void {
    if (this.settings.tls === undefined) refuseUpgrade(socket, refusal);
    else socket.destroy();
  }
}
