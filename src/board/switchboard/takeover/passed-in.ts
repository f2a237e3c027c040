/**
 * Connections that shards take in from the main thread, and whose their descriptors are: the caller's until `start`,
 * then the shard's. `PassedIn` closes those that a shard that ends leaves behind. `BoardSink` and `BoardSource` have
 * one each.
 */
import { fstatSync } from "node:fs";
import { reviveError, SwitchboardError } from "../../../errors.ts";
import { entrustDescriptor } from "../../../wire/native/estate/settlement.ts";
import { closeDescriptor } from "../../../wire/native/sockets.ts";
import { holdsByNumber } from "../../../wire/passing/passed-sockets.ts";
import type { PassedConnection, StartedConnections } from "../../shard/moving/messages.ts";
import type { ShardHandle } from "../pool/shard-handle.ts";
import { NO_TIMEOUT_MS } from "./limits.ts";
import { passHandles } from "./pass-handles.ts";

/** A descriptor that was given to a shard. */
interface Given {
  readonly descriptor: number;
  /** Number of the socket, by which another socket with the same descriptor is told apart. */
  readonly inode: bigint;
}

export class PassedIn {
  readonly #given = new Map<ShardHandle, Given[]>();

  /**
   * Lets a shard read the states of connections. Rejects with the error of a state that can't be read, and with
   * `ERR_SHARD_EXITED`. The descriptors stay the caller's.
   *
   * @param isReturn true for connections that this process has given up itself
   */
  async takeIn(shard: ShardHandle, connections: readonly PassedConnection[], isReturn: boolean): Promise<void> {
    const answer = shard.query({ kind: "passIn", connections, isReturn } as const, NO_TIMEOUT_MS);
    // The shard reads meanwhile.
    const given = connections.map(({ descriptor }) => ({ descriptor, inode: inodeOf(descriptor) ?? 0n }));
    const taken = await answer;
    if (taken === undefined) throw new SwitchboardError("ERR_SHARD_EXITED", `shard ${shard.shard} has ended`);
    if (taken.error !== undefined) throw reviveError(taken.error);
    const before = this.#given.get(shard);
    if (before === undefined) this.#given.set(shard, given);
    else before.push(...given);
  }

  /**
   * Lets the shards start all connections that were taken in. The descriptors aren't the caller's from here on.
   * Resolves when all threads know the topics of these connections.
   *
   * @param started called for each shard
   */
  async start(started: (shard: ShardHandle, connections: StartedConnections) => void = () => {}): Promise<void> {
    const all = Array.from(this.#given, async ([shard, given]) => {
      const { uringEstate } = shard;
      if (uringEstate === undefined) await passHandles(shard, given);
      else entrustAll(uringEstate, given);
      const answer = await shard.query({ kind: "startPassed" } as const, NO_TIMEOUT_MS);
      if (answer !== undefined) started(shard, answer);
      // Handles that nobody has taken are closed by Node, and what is on the list of an estate by its settlement.
      else if (holdsByNumber() && uringEstate === undefined) await closeAbandoned(shard, given);
      await shard.query({ kind: "settle" } as const, NO_TIMEOUT_MS);
    });
    this.#given.clear();
    await Promise.all(all);
  }
}

/** Gives descriptors to a shard with io_uring, or closes them if the shard is at its end. */
function entrustAll(uringEstate: SharedArrayBuffer, given: readonly Given[]): void {
  for (const { descriptor } of given) if (!entrustDescriptor(uringEstate, descriptor)) closeDescriptor(descriptor);
}

/** Closes the descriptors that a shard had when it ended, and that no socket of its thread owned: nobody else would. */
async function closeAbandoned(shard: ShardHandle, given: readonly Given[]): Promise<void> {
  await shard.exited();
  // The thread has closed all others. Its connections couldn't go elsewhere before it had answered.
  for (const { descriptor, inode } of given) if (inodeOf(descriptor) === inode) closeDescriptor(descriptor);
}

function inodeOf(descriptor: number): bigint | undefined {
  try {
    return fstatSync(descriptor, { bigint: true }).ino;
  } catch {
    return undefined;
  }
}
