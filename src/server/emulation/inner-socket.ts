/**
 * A WebSocket from the server to its own board, in memory. The board relays its bytes to a shard, where the client's
 * actor can't tell it from the WebSocket of a client.
 */
import type { IncomingMessage } from "node:http";
import type { IncomingHttpHeaders } from "node:http2";
import type { Socket } from "node:net";
import { type Duplex, duplexPair } from "node:stream";
import type { AttachOptions } from "../../board/switchboard/options/listen-options.ts";
import type { Switchboard } from "../../board/switchboard/switchboard.ts";
import { SwitchboardError } from "../../errors.ts";
import { beginHandshake, checkHandshakeResponse } from "../../wire/handshake/client.ts";
import { builtins } from "../../wire/node-internals/builtins.ts";
import { webSocketSettings } from "../../wire/websocket/options.ts";
import { WebSocket } from "../../wire/websocket/websocket.ts";
import type { EmulationSession } from "../protocol/emulation.ts";

/** The request of the client, as far as its connection keeps it. */
export interface ClientRequest {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly remoteAddress: string | undefined;
}

/** A refusal of the board, for the client. */
export interface Refused {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface InnerSocketOptions {
  /** Options of the board's route: the same object for each call. */
  readonly route: AttachOptions<EmulationSession>;
  /** Subprotocols to ask for. */
  readonly protocols: readonly string[];
  /** Milliseconds that a close handshake may take. */
  readonly closeTimeoutMs: number;
  /** Ends the attempt. */
  readonly signal: AbortSignal;
}

/** Messages that wait for a client that reads slowly. The actor's own limit of waiting bytes counts those behind. */
const MAX_WAITING_MESSAGES = 64;
const MAX_WAITING_BYTES = 64 * 1024;
/** Longest message of our own actors. */
const MAX_MESSAGE_BYTES = 2 ** 31 - 1;
/** Bytes of an answer to an upgrade. */
const MAX_ANSWER_BYTES = 64 * 1024;

/** The refusal in place of one that the board couldn't give: its shard died, or the handshake took too long. */
const NO_ANSWER: Answer = { status: 503, headers: { "retry-after": "1" }, rest: Buffer.from("Service Unavailable\n") };

/**
 * Opens a WebSocket to an actor of the board. Resolves with a refusal if the board refuses, or gives no answer within
 * the `handshakeTimeoutMs` of the route. Rejects with the signal's reason.
 */
export async function openInnerSocket(
  board: Pick<Switchboard, "handleUpgrade">,
  request: ClientRequest,
  { route, protocols, closeTimeoutMs, signal }: InnerSocketOptions,
): Promise<WebSocket | Refused> {
  const [ours, theirs] = linkedPair();
  const handshake = beginHandshake({ protocols });
  const close = (): void => void ours.destroy();
  signal.addEventListener("abort", close);
  try {
    const upgrade = upgradeRequest(request, handshake.headers, theirs);
    board.handleUpgrade(upgrade, theirs, Buffer.alloc(0), route);
    const { status, headers, rest } = await readAnswer(ours);
    signal.throwIfAborted();
    if (status !== 101) {
      ours.destroy();
      return { status, headers: withoutOwnHeaders(headers), body: rest.toString() };
    }
    const checked = checkHandshakeResponse({ statusCode: status, headers }, handshake);
    if (!checked.ok) throw new SwitchboardError(checked.code, checked.reason);
    const { protocol, extensions, deflate } = checked;
    const settings = webSocketSettings({
      maxPayloadBytes: MAX_MESSAGE_BYTES,
      maxInboxMessages: MAX_WAITING_MESSAGES,
      maxInboxBytes: MAX_WAITING_BYTES,
      closeTimeoutMs,
    });
    return new WebSocket(
      { socket: ours, readBuffer: rest },
      { role: "client", protocol, extensions, deflate },
      settings,
    );
  } catch (error) {
    ours.destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", close);
  }
}

/** Returns both ends of a stream in memory. When one of them closes, the other closes as well. */
function linkedPair(): [Duplex, Duplex] {
  const [one, other] = duplexPair();
  one.once("close", () => other.destroy());
  other.once("close", () => one.destroy());
  return [one, other];
}

/** Headers of one exchange alone: of its connection, of its body, and of a WebSocket. */
const OWN_HEADERS =
  /^(?::.*|connection|upgrade|keep-alive|proxy-connection|te|trailer|transfer-encoding|content-.*|expect|sec-websocket-.*)$/;
/** Parameters of the URL that are for us: the connect command, with its token, must not be kept or listed. */
const OWN_PARAMETERS = /^(?:cf_.*|format)$/;

/** Makes the upgrade that a client with a WebSocket would have sent. */
function upgradeRequest(
  { url, headers, remoteAddress }: ClientRequest,
  handshake: Readonly<Record<string, string>>,
  stream: Duplex,
): IncomingMessage {
  // The board asks the socket of a request for nothing but its address.
  const socket = Object.assign(stream, { remoteAddress }) as unknown as Socket;
  const upgrade = new builtins.http.IncomingMessage(socket);
  Object.assign(upgrade, { httpVersion: "1.1", httpVersionMajor: 1, httpVersionMinor: 1, method: "GET" });
  upgrade.url = withoutOwnParameters(url);
  const added = Object.entries(handshake).map(([name, value]) => [name.toLowerCase(), value]);
  upgrade.headers = {
    // In HTTP/2, `:authority` is the host.
    ...(headers[":authority"] !== undefined && { host: headers[":authority"] }),
    ...withoutOwnHeaders(headers),
    ...Object.fromEntries(added),
    connection: "upgrade",
    upgrade: "websocket",
  };
  upgrade.complete = true;
  upgrade.push(null);
  return upgrade;
}

function withoutOwnHeaders<Value>(headers: Readonly<Record<string, Value>>): Record<string, Value> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !OWN_HEADERS.test(name)));
}

function withoutOwnParameters(url: string): string {
  const mark = url.indexOf("?");
  if (mark === -1) return url;
  const query = new URLSearchParams(url.slice(mark));
  for (const name of [...query.keys()]) if (OWN_PARAMETERS.test(name)) query.delete(name);
  return query.size === 0 ? url.slice(0, mark) : `${url.slice(0, mark)}?${query}`;
}

interface Answer {
  readonly status: number;
  /** Names in lower case. Of repeated headers, the last. */
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes behind the head: of a 101 the first ones of the WebSocket, of a refusal its whole body. */
  readonly rest: Buffer;
}

/** Reads the board's answer to an upgrade. Never rejects. Leaves the stream paused after a 101. */
function readAnswer(stream: Duplex): Promise<Answer> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0);
    const end = (): void => {
      stream.off("data", take).off("end", end).off("close", end).pause();
      resolve(parseAnswer(bytes) ?? NO_ANSWER);
    };
    const take = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      if (parseAnswer(bytes)?.status === 101 || bytes.length > MAX_ANSWER_BYTES) end();
    };
    // The close that follows an error tells the same.
    stream.on("error", () => {});
    stream.on("data", take).on("end", end).on("close", end);
  });
}

/** Undefined while the head isn't complete. Only the board writes here, so the head is known to be well-formed. */
function parseAnswer(bytes: Buffer): Answer | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const [statusLine = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { status: Number(statusLine.split(" ")[1]), headers, rest: bytes.subarray(end + 4) };
}
