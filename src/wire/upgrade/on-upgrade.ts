import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { SwitchboardError } from "../../errors.ts";
import { Upgraded } from "./upgraded.ts";

/** One exchange that may leave HTTP, from the request (on a server) or the response (on a client) on. */
export class Exchange {
  readonly #outcome = Promise.withResolvers<Upgraded>();

  constructor(message: IncomingMessage) {
    // Whoever doesn't ask isn't told that it failed.
    this.#outcome.promise.catch(() => {});
    exchanges.set(message, this);
  }

  get upgraded(): Promise<Upgraded> {
    return this.#outcome.promise;
  }

  /** The switch has happened. */
  succeed(socket: Duplex, head: Buffer): Upgraded {
    const upgraded = new Upgraded(socket, head);
    this.#outcome.resolve(upgraded);
    return upgraded;
  }

  /** The exchange has ended as HTTP, or not at all. */
  fail(error: Error): void {
    this.#outcome.reject(error);
  }
}

const exchanges = new WeakMap<IncomingMessage, Exchange>();

/**
 * The byte stream that an exchange leaves behind: call it on a server's request, or on a client's response (101, or 2xx to CONNECT). On a
 * request it may be called before the answer is written, and resolves when that has left. All calls for one message give the same stream.
 *
 * Rejects with `ERR_UPGRADE_REFUSED` when the exchange ended with another answer, `ERR_UPGRADE_ABANDONED` when a side closed it first, and
 * `ERR_NOT_AN_UPGRADE` for a message that asks for none or isn't served by `serveUpgrades` or one of the client calls.
 */
export function onUpgrade(message: IncomingMessage): Promise<Upgraded> {
  const exchange = exchanges.get(message);
  if (exchange !== undefined) return exchange.upgraded;
  const reason =
    "this message asks for no upgrade, or nobody serves its upgrade: see serveUpgrades, requestUpgrade and openTunnel";
  return Promise.reject(new SwitchboardError("ERR_NOT_AN_UPGRADE", reason));
}

export function refusedError(status: number): SwitchboardError {
  return new SwitchboardError("ERR_UPGRADE_REFUSED", `the upgrade was answered with ${status}`);
}

export function abandonedError(cause: Error | null = null): SwitchboardError {
  const message = "the connection was closed before the upgrade was answered";
  return new SwitchboardError("ERR_UPGRADE_ABANDONED", message, cause === null ? {} : { cause });
}
