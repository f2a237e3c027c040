/** The choice of the shards' sockets, by the option `sockets` and by the abilities of this Node. */
import { canMoveSockets } from "../../wire/transport/handoff.ts";
import { checkUring } from "../../wire/transport/uring/uring-support.ts";
import { warnOfRelay } from "./node-version.ts";
import type { SocketsOption } from "./options/start-options.ts";

/** The way of a board's connections to the network, and the reason for it. */
export interface SocketsChoice {
  /**
   * - `node`: Node's sockets, in the shards.
   * - `uring`: io_uring, in the shards. Streams that can't be moved, and TLS, use Node's.
   * - `relay`: Node's sockets, in the main thread.
   */
  readonly kind: "node" | "uring" | "relay";
  /** Why, in a few words. */
  readonly reason: string;
}

/** Throws `ERR_NO_URING`. Warns if sockets should be moved and can't. */
export function chooseSockets(option: SocketsOption, nodeVersion = process.versions.node): SocketsChoice {
  const asked = `the option sockets: ${JSON.stringify(option)}`;
  if (option === "relay") return { kind: "relay", reason: asked };
  if (option === "uring") {
    checkUring();
    return { kind: "uring", reason: asked };
  }
  if (!canMoveSockets(nodeVersion)) {
    warnOfRelay(nodeVersion);
    return { kind: "relay", reason: `Node ${nodeVersion} can't move sockets` };
  }
  return { kind: "node", reason: option === "auto" ? "the default" : asked };
}
