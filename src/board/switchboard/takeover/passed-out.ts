/**
 * Connections that shards give up for another process, and whose their descriptors are: the shard's until the main
 * thread has claimed them. `PassedOut` closes those that a shard that ends leaves behind. `BoardSource` has one.
 */
import { createEstateMemory } from "../../../wire/native/estate/estate-memory.ts";
import { claimDescriptor } from "../../../wire/native/estate/settlement.ts";
import { settle } from "../../../wire/native/ring.ts";
import { holdsByNumber, keepHandle } from "../../../wire/passing/passed-sockets.ts";
import type { GivenUpConnection, PassedConnection } from "../../shard/moving/messages.ts";
import type { ShardHandle } from "../pool/shard-handle.ts";
import { NO_TIMEOUT_MS } from "./limits.ts";

export class PassedOut {
  /** Lists on which shards leave the descriptors of Node's sockets. */
  readonly #lists = new Map<ShardHandle, SharedArrayBuffer>();

  /** Lets a shard give up suspended connections, at most `count`. Their descriptors are the caller's. */
  async take(shard: ShardHandle, count: number): Promise<readonly PassedConnection[]> {
    const list = this.#listFor(shard);
    const given = await shard.query({ kind: "passOut", count, list } as const, NO_TIMEOUT_MS);
    if (given === undefined) {
      // The estate of a shard with io_uring is settled without us.
      if (list !== undefined) void shard.exited().then(() => settle(list));
      return [];
    }
    return given.flatMap((one) => passedOut(one, list ?? shard.uringEstate) ?? []);
  }

  /** Returns the list for a shard whose descriptors are on no other one. */
  #listFor(shard: ShardHandle): SharedArrayBuffer | undefined {
    if (shard.uringEstate !== undefined || !holdsByNumber()) return undefined;
    const list = this.#lists.get(shard) ?? createEstateMemory();
    this.#lists.set(shard, list);
    return list;
  }
}

/** Undefined for a connection that was closed with its thread. */
function passedOut(
  { socket, ...one }: GivenUpConnection,
  list: SharedArrayBuffer | undefined,
): PassedConnection | undefined {
  if ("handle" in socket) return { descriptor: keepHandle(socket.handle), ...one };
  const { descriptor } = socket;
  return list === undefined || claimDescriptor(list, descriptor) ? { descriptor, ...one } : undefined;
}
