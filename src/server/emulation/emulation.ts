/**
 * The HTTP endpoints for clients whose network blocks WebSockets: SSE and HTTP streams for what the server sends,
 * `POST /emulation` for what the client sends. `serve` gives it each request first.
 */
import { isUtf8 } from "node:buffer";
import type { AttachOptions } from "../../board/switchboard/options/listen-options.ts";
import type { Switchboard } from "../../board/switchboard/switchboard.ts";
import { isAddress } from "../../runtime/actor/address.ts";
import type { WebSocket } from "../../wire/websocket/websocket.ts";
import type { EmulatedCommands, EmulatedTransport, EmulationSession } from "../protocol/emulation.ts";
import { jsonCodec } from "../protocol/json/codec.ts";
import { protobufCodec } from "../protocol/protobuf/codec.ts";
import { corsHeaders, preflightHeaders } from "./cors.ts";
import { type Endpoint, Exchange } from "./exchange.ts";
import { type Answer, beginStream, cut, type HttpRequest, type HttpResponse } from "./http.ts";
import { openInnerSocket } from "./inner-socket.ts";
import { STREAM_HEADERS, streamFormat } from "./messages.ts";
import { type EmulationOptions, type EmulationSettings, emulationSettings } from "./options.ts";
import type { BodyLimits } from "./read-body.ts";
import { streamMessages } from "./stream.ts";

export type { EmulationOptions };

/** Numbers since the start, except for the first two. */
export interface EmulationStats {
  /** Streams that are open now. */
  readonly streams: number;
  /** Requests that are being read, or wait for their actor, now. */
  readonly pendingRequests: number;
  readonly streamsOpened: number;
  /** Requests for a stream that got another answer. */
  readonly streamsRefused: number;
  /** Requests with commands that reached their actor. */
  readonly commandsDelivered: number;
  /** Requests with commands that reached no actor. */
  readonly commandsRefused: number;
}

export interface Emulation {
  /** Takes a request for one of the endpoints. Returns false, and does nothing, for any other request. */
  handle(request: HttpRequest, response: HttpResponse): boolean;
  stats(): EmulationStats;
}

/** The calls of a board that emulation needs. */
type Board = Pick<Switchboard, "handleUpgrade" | "tell">;

const METHODS: Readonly<Record<Endpoint, readonly string[]>> = {
  sse: ["GET", "POST"],
  http_stream: ["POST"],
  commands: ["POST"],
};

/** Parameter of an SSE request with the connect command: an EventSource can't send a body. */
const CONNECT_PARAMETER = "cf_connect";
const PROTOBUF_SUBPROTOCOL = "centrifuge-protobuf";

const BUSY: Answer = { status: 503, headers: { "Retry-After": "1" } };

/** Makes the endpoints. Each stream becomes a connection of the board, whose actor gets an `EmulationSession`. */
export function createEmulation(board: Board, options: EmulationOptions = {}): Emulation {
  return new HttpEmulation(board, emulationSettings(options));
}

class HttpEmulation implements Emulation {
  readonly #board: Board;
  readonly #settings: EmulationSettings;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #routes: Readonly<Record<EmulatedTransport, AttachOptions<EmulationSession>>>;
  readonly #bodyLimits: BodyLimits;
  #streams = 0;
  #pendingRequests = 0;
  #streamsOpened = 0;
  #streamsRefused = 0;
  #commandsDelivered = 0;
  #commandsRefused = 0;

  constructor(board: Board, settings: EmulationSettings) {
    const { ssePath, httpStreamPath, emulationPath, actor, maxBodyBytes, requestTimeoutMs } = settings;
    this.#board = board;
    this.#settings = settings;
    this.#bodyLimits = { maxBytes: maxBodyBytes, timeoutMs: requestTimeoutMs };
    this.#endpoints.set(emulationPath, "commands");
    if (ssePath !== false) this.#endpoints.set(ssePath, "sse");
    if (httpStreamPath !== false) this.#endpoints.set(httpStreamPath, "http_stream");
    const route = (transport: EmulatedTransport): AttachOptions<EmulationSession> => ({
      authorize: () => ({ session: { transport } }),
      protocols: [PROTOBUF_SUBPROTOCOL],
      handshakeTimeoutMs: requestTimeoutMs,
      ...(actor !== undefined && { actor }),
    });
    this.#routes = { sse: route("sse"), http_stream: route("http_stream") };
  }

  handle(request: HttpRequest, response: HttpResponse): boolean {
    const endpoint = this.#endpoints.get(pathOf(request));
    if (endpoint === undefined) return false;
    // The close that follows an error tells the same.
    response.on("error", () => {});
    const exchange = new Exchange(endpoint, request, response, this.#refused);
    this.#serve(exchange).catch((thrown: unknown) => {
      if (response.headersSent) cut(response);
      else exchange.refuse({ status: 500 });
      this.#settings.onError(thrown instanceof Error ? thrown : new Error(String(thrown)));
    });
    return true;
  }

  stats(): EmulationStats {
    return {
      streams: this.#streams,
      pendingRequests: this.#pendingRequests,
      streamsOpened: this.#streamsOpened,
      streamsRefused: this.#streamsRefused,
      commandsDelivered: this.#commandsDelivered,
      commandsRefused: this.#commandsRefused,
    };
  }

  readonly #refused = (endpoint: Endpoint): void => {
    if (endpoint === "commands") this.#commandsRefused++;
    else this.#streamsRefused++;
  };

  async #serve(exchange: Exchange): Promise<void> {
    const { endpoint, request } = exchange;
    const cors = corsHeaders(request, this.#settings.origins);
    if (cors === "denied") return exchange.refuse({ status: 403, body: "Pages of this origin may not connect here." });
    exchange.cors = cors;
    const methods = METHODS[endpoint];
    const allowed = [...methods, "OPTIONS"].join(", ");
    if (request.method === "OPTIONS") {
      return exchange.answer({ status: 204, headers: preflightHeaders(request, allowed) });
    }
    if (!methods.includes(request.method ?? "")) return exchange.refuse({ status: 405, headers: { Allow: allowed } });
    if (this.#pendingRequests >= this.#settings.maxPendingRequests) return exchange.refuse(BUSY);
    if (endpoint === "commands") return this.#withSlot(() => this.#passOn(exchange));
    const socket = await this.#withSlot(() => this.#open(exchange, endpoint));
    if (socket !== undefined) await this.#stream(exchange, endpoint, socket);
  }

  async #withSlot<Result>(call: () => Promise<Result>): Promise<Result> {
    this.#pendingRequests++;
    try {
      return await call();
    } finally {
      this.#pendingRequests--;
    }
  }

  // ── from the client ────────────────────────────────────────────────────────────────────────────────────

  /** Passes the commands of a `POST /emulation` on to the actor of the client, on whichever node. */
  async #passOn(exchange: Exchange): Promise<void> {
    const body = await exchange.body(this.#bodyLimits);
    if (body === undefined) return;
    const codec = exchange.encoding === "binary" ? protobufCodec : jsonCodec;
    const parsed = codec.decodeEmulation(body);
    if (parsed === undefined) return exchange.refuse({ status: 400, body: "This is no emulation request." });
    const { node, session, data } = parsed;
    // Clients take 404 for the loss of their node, and connect again.
    if (!isAddress(node)) return exchange.refuse({ status: 404 });
    // A copy of the bytes: a clone of a view would take the whole body along.
    const mail: EmulatedCommands = { kind: "emulated", session, data: new Uint8Array(data) };
    const { status } = await this.#board.tell(node, mail);
    if (status === "gone") return exchange.refuse({ status: 404 });
    if (status === "full") return exchange.refuse(BUSY);
    this.#commandsDelivered++;
    exchange.answer({ status: 204 });
  }

  // ── to the client ──────────────────────────────────────────────────────────────────────────────────────

  /** Opens the connection of a stream, and sends its first commands. Resolves with undefined if there will be none. */
  async #open(exchange: Exchange, transport: EmulatedTransport): Promise<WebSocket | undefined> {
    const commands = await this.#firstCommands(exchange);
    if (commands === undefined) return undefined;
    const { request, response } = exchange;
    const { url = "", headers, socket } = request;
    const left = new AbortController();
    const leave = (): void => left.abort();
    response.once("close", leave);
    try {
      const client = { url, headers, remoteAddress: socket.remoteAddress };
      const opened = await openInnerSocket(this.#board, client, {
        route: this.#routes[transport],
        protocols: exchange.encoding === "binary" ? [PROTOBUF_SUBPROTOCOL] : [],
        closeTimeoutMs: this.#settings.closeTimeoutMs,
        signal: left.signal,
      });
      if ("status" in opened) return exchange.refuse(opened);
      void opened.send(commands);
      return opened;
    } catch (error) {
      if (!left.signal.aborted) throw error;
      exchange.abandon();
      return undefined;
    } finally {
      response.off("close", leave);
    }
  }

  async #stream(
    { encoding, response, cors }: Exchange,
    transport: EmulatedTransport,
    socket: WebSocket,
  ): Promise<void> {
    const format = streamFormat(transport, encoding);
    this.#streams++;
    this.#streamsOpened++;
    try {
      beginStream(response, { ...STREAM_HEADERS, "Content-Type": format.contentType, ...cors });
      await streamMessages(socket, response, format, this.#settings.closeTimeoutMs);
    } finally {
      socket.close();
      this.#streams--;
    }
  }

  /** Resolves with the commands that come with the request for a stream; with undefined if the request was refused. */
  async #firstCommands(exchange: Exchange): Promise<string | Buffer | undefined> {
    if (exchange.request.method === "GET") {
      const text = exchange.query.get(CONNECT_PARAMETER) ?? "";
      if (text === "") return exchange.refuse({ status: 400, body: `The parameter ${CONNECT_PARAMETER} is missing.` });
      return Buffer.byteLength(text) > this.#settings.maxBodyBytes ? exchange.refuse({ status: 413 }) : text;
    }
    const body = await exchange.body(this.#bodyLimits);
    if (body === undefined) return undefined;
    if (body.length === 0) return exchange.refuse({ status: 400, body: "The connect command is missing." });
    if (exchange.encoding === "binary") return body;
    return isUtf8(body) ? body.toString() : exchange.refuse({ status: 400, body: "This is no text in UTF-8." });
  }
}

function pathOf({ url = "" }: HttpRequest): string {
  const mark = url.indexOf("?");
  return mark === -1 ? url : url.slice(0, mark);
}
