/**
 * Connects an HTTP message with the byte stream that its exchange leaves behind. The server and client calls use it.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { SwitchboardError } from "../../errors.ts";
import { messageError } from "./arguments.ts";
import { noop } from "./empty.ts";
import { Upgraded } from "./upgraded.ts";

/** One exchange that may leave HTTP. It begins with the request on a server, and with the response on a client. */
export class Exchange {
  readonly #outcome = Promise.withResolvers<Upgraded>();
  /** True once somebody has asked for the outcome. */
  isAsked = false;

  constructor(message: IncomingMessage) {
    // Marks the promise as handled, so that a failed exchange that nobody asks about raises no unhandledRejection.
    this.#outcome.promise.catch(noop);
    exchanges.set(message, this);
  }

  /** The byte stream; rejects when the exchange fails. */
  get upgraded(): Promise<Upgraded> {
    this.isAsked = true;
    return this.#outcome.promise;
  }

  /** Records that the protocol was switched. */
  succeed(socket: Duplex, head: Buffer): Upgraded {
    const upgraded = new Upgraded(socket, head);
    this.#outcome.resolve(upgraded);
    return upgraded;
  }

  /** Records that the exchange ended as HTTP, or that its connection was lost. */
  fail(error: Error): void {
    this.#outcome.reject(error);
  }
}

/** The exchange of each request (on a server) or response (on a client). */
const exchanges = new WeakMap<IncomingMessage, Exchange>();

/**
 * Resolves with the byte stream that an exchange leaves behind. Call it on a server's request, or on a client's
 * response (101, or 2xx to CONNECT). On a request it may be called before the answer is written, and resolves once the
 * answer has been sent. All calls for one message resolve with the same stream.
 *
 * Rejects with `ERR_UPGRADE_REFUSED` when the exchange ended with another answer, and with `ERR_UPGRADE_ABANDONED` when
 * a side closed the connection first. Rejects with `ERR_NOT_AN_UPGRADE` for a message that asks for no upgrade, or that
 * neither `serveUpgrades` nor one of the client calls handles, and with `ERR_ARGUMENT` for what is no message.
 */
export function onUpgrade(message: IncomingMessage): Promise<Upgraded> {
  const exchange = exchanges.get(message);
  if (exchange !== undefined) return exchange.upgraded;
  const reason = "this message asks for no upgrade, or none of serveUpgrades, requestUpgrade and openTunnel handles it";
  return Promise.reject(messageError("onUpgrade", message) ?? new SwitchboardError("ERR_NOT_AN_UPGRADE", reason));
}

/** The error of an exchange that was answered, but not with an upgrade. */
export function refusedError(status: number): SwitchboardError {
  return new SwitchboardError("ERR_UPGRADE_REFUSED", `the upgrade was answered with ${status}`);
}

/** The error of an exchange whose connection was closed before its answer. */
export function abandonedError(cause: Error | null = null): SwitchboardError {
  const message = "the connection was closed before the upgrade was answered";
  return new SwitchboardError("ERR_UPGRADE_ABANDONED", message, cause === null ? {} : { cause });
}
