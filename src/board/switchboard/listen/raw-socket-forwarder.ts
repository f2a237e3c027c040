/** Forwards sockets of which this process has read nothing to the shards. The listeners of this folder use it. */
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { UpgradeCounters } from "../../../runtime/stats/upgrade-counters.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import { descriptorRoom, outOfDescriptors } from "../../../wire/transport/descriptors.ts";
import type { HandoffResult } from "../../../wire/transport/pending-handoffs.ts";
import { refuseUpgrade, type UpgradeRefusal } from "../../../wire/upgrade/response.ts";
import type { Permit } from "../../accept/admission-control.ts";

export interface RawSocketForwarderOwner {
  /** Counters for outcomes that no shard counts. */
  readonly counters: UpgradeCounters;
  /** Reserves a place for a socket, or refuses it. Undefined without limits. */
  readonly admit?: ((socket: Socket) => Permit | UpgradeRefusal) | undefined;
  /** Hands a raw socket to a shard; undefined if none takes any. */
  handOffRawSocket(socket: Socket, clientKey: string | undefined): Promise<HandoffResult> | undefined;
  handshakeFailed(error: Error): void;
  /** A socket was refused or not accepted, because few descriptors are left. */
  acceptFailed(error: Error): void;
}

export class RawSocketForwarder {
  readonly #owner: RawSocketForwarderOwner;

  constructor(owner: RawSocketForwarderOwner) {
    this.#owner = owner;
  }

  /** @param isSecure true for a port with TLS: only a shard can answer there */
  async forward(socket: Socket, isSecure: boolean): Promise<void> {
    const { counters } = this.#owner;
    socket.on("error", noop);
    const room = descriptorRoom(socket);
    if (room !== "enough") {
      this.#owner.acceptFailed(outOfDescriptors());
      if (room === "few") {
        this.#refuseUnavailable(socket, isSecure);
      } else {
        counters.add("failed");
        socket.destroy();
      }
      return;
    }
    const permit = this.#owner.admit?.(socket);
    if (permit !== undefined && "status" in permit) {
      counters.addRefused(permit.status);
      this.#refuse(socket, permit, isSecure);
      return;
    }
    const handoff = this.#owner.handOffRawSocket(socket, permit?.clientKey);
    if (handoff === undefined) {
      permit?.release();
      this.#refuseUnavailable(socket, isSecure);
      return;
    }
    permit?.commit();
    const result = await handoff;
    switch (result.outcome) {
      case "peerGone":
        counters.add("abandoned");
        return;
      case "stayed":
        this.#refuseUnavailable(result.socket, isSecure);
        this.#owner.handshakeFailed(result.error);
        return;
      case "failed":
        counters.add("failed");
        this.#owner.handshakeFailed(result.error);
    }
  }

  #refuseUnavailable(socket: Duplex, isSecure: boolean): void {
    if (isSecure) this.#owner.counters.add("failed");
    else this.#owner.counters.addRefused(503);
    this.#refuse(socket, { status: 503, headers: { "Retry-After": "1" } }, isSecure);
  }

  /** Refuses a socket. With TLS it is only closed: without a shard nothing can speak TLS. */
  #refuse(socket: Duplex, refusal: UpgradeRefusal, isSecure: boolean): void {
    if (isSecure) socket.destroy();
    else refuseUpgrade(socket, refusal);
  }
}
