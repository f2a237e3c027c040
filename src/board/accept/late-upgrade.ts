/**
 * Upgrades that this process has read, and that the process which has taken over answers. The acceptors of the main
 * thread and of the shards take a request apart into its socket and its bytes, which the other process reads as those
 * of a new connection.
 */
import type { IncomingMessage } from "node:http";
import { type TakenSocket, takeSocket } from "../../wire/transport/taken-socket.ts";
import type { UpgradeRefusal } from "../../wire/upgrade/response.ts";
import type { OpeningHandshake } from "./opening-handshake.ts";

/** The refusal of an upgrade that can't be passed on. The client may come back at once, to the other process. */
export const LEFT_BEHIND: UpgradeRefusal = { status: 503, headers: { "Retry-After": "0" } };

/** A socket without an answer, with everything that was read of it, for the process that has taken over. */
export interface LateUpgrade {
  /** Number of the socket (`passed-sockets.ts`), which belongs to the holder of this object. */
  readonly descriptor: number;
  /** Name of the listening socket that has accepted it. */
  readonly listener: string;
  /** A request, a part of one, or nothing. */
  readonly bytes: Uint8Array;
}

/**
 * Takes the socket of a request, with the request as bytes. The socket belongs to the caller. Returns undefined, and
 * changes nothing, for a request over TLS or HTTP/2, whose state can't leave the process, and for a request whose body
 * Node has read.
 */
export function takeUnanswered({ request, socket, head }: OpeningHandshake): TakenSocket | undefined {
  if (request.socket !== socket || request.readableLength > 0) return undefined;
  return takeSocket(socket, Buffer.concat([headOf(request), head]));
}

/** Returns the head of a request as its peer has sent it, except for spaces around the values of headers. */
function headOf({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let index = 0; index < rawHeaders.length; index += 2)
    text += `${rawHeaders[index]}: ${rawHeaders[index + 1]}\r\n`;
  return Buffer.from(`${text}\r\n`, "latin1");
}
