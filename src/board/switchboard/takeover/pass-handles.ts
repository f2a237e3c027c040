/** Gives a shard the handles of sockets that came from another process, where numbers don't hold sockets. */
import { type TcpHandle, transferable } from "../../../wire/node-internals/net.ts";
import { takeHandleAt } from "../../../wire/passing/passed-sockets.ts";
import type { ShardHandle } from "../pool/shard-handle.ts";
import { NO_TIMEOUT_MS } from "./limits.ts";

/** Handles in one message: as many descriptors as a process that takes over has at least, beside its connections. */
const MAX_TOGETHER = 64;

/**
 * Resolves when the shard has the handles of all connections. The shard closes a connection whose handle it hasn't got.
 */
export async function passHandles(
  shard: ShardHandle,
  connections: readonly { readonly descriptor: number }[],
): Promise<void> {
  const all = connections.flatMap(({ descriptor }) => {
    const handle = takeHandleAt(descriptor);
    return handle === undefined ? [] : [[descriptor, handle] as const];
  });
  const batches: Promise<unknown>[] = [];
  for (let from = 0; from < all.length; from += MAX_TOGETHER) {
    const handles = new Map<number, TcpHandle>(all.slice(from, from + MAX_TOGETHER));
    const transfer = Array.from(handles.values(), transferable);
    const posted = shard.query({ kind: "passHandles", handles } as const, NO_TIMEOUT_MS, transfer);
    const stayed = [...handles.values()].filter(({ fd = -1 }) => fd >= 0);
    // Without a descriptor for the move Node posts nothing, throws nothing, and leaves the handles open.
    for (const handle of stayed) handle.close();
    if (stayed.length === 0) batches.push(posted);
  }
  await Promise.all(batches);
}
