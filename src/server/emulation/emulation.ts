/**
 * The HTTP endpoints for clients whose network blocks WebSockets: SSE and HTTP streams for what the server sends,
 * `POST /emulation` for what the client sends. `serve` gives it each request first.
 */
import { isUtf8 } from "node:buffer";
import type { OutgoingHttpHeaders } from "node:http";
import type { AttachOptions } from "../../board/switchboard/options/listen-options.ts";
import type { Switchboard } from "../../board/switchboard/switchboard.ts";
import { isAddress } from "../../runtime/actor/address.ts";
import { normalizeOrigins, type Origins } from "../../wire/handshake/origins.ts";
import type { WebSocket } from "../../wire/websocket/websocket.ts";
import type { EmulatedCommands, EmulatedTransport, EmulationSession } from "../protocol/emulation.ts";
import { jsonCodec } from "../protocol/json/codec.ts";
import { protobufCodec } from "../protocol/protobuf/codec.ts";
import { corsHeaders, preflightHeaders } from "./cors.ts";
import { type Answer, answer, answerUnread, beginStream, cut, type HttpRequest, type HttpResponse } from "./http.ts";
import { type InnerSocketOptions, openInnerSocket } from "./inner-socket.ts";
import { type Encoding, STREAM_HEADERS, streamFormat } from "./messages.ts";
import { readBody } from "./read-body.ts";
import { streamMessages } from "./stream.ts";

export interface EmulationOptions {
  /** Path of the SSE endpoint; false: there is none. Default: "/connection/sse". */
  readonly ssePath?: string | false;
  /** Path of the endpoint for HTTP streams; false: there is none. Default: "/connection/http_stream". */
  readonly httpStreamPath?: string | false;
  /** Path to which clients send their commands. Default: "/emulation". */
  readonly emulationPath?: string;
  /** Name of the actor module of clients, as in `attach`. Default: the board's module `actor`. */
  readonly actor?: string;
  /** Origins whose pages may connect, as in `attach`. Default: all origins, but without their cookies. */
  readonly origins?: Origins;
  /** Bytes of a request's commands at most; more get 413. Default: 65,536. */
  readonly maxBodyBytes?: number;
  /** Requests that may be read, or wait for their actor, at once; more get 503. Default: 1,000. */
  readonly maxPendingRequests?: number;
  /** Time for the body of a request. Then again as long for the connection to its actor. Default: 10,000 ms. */
  readonly requestTimeoutMs?: number;
  /** Time that a client has to read the rest after its connection was closed. Default: 5,000 ms. */
  readonly closeTimeoutMs?: number;
  /** Hears of failures that are no client's fault. Default: nobody does. */
  readonly onError?: (error: Error) => void;
}

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

type Endpoint = EmulatedTransport | "commands";

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
export function createEmulation(
  board: Pick<Switchboard, "handleUpgrade" | "tell">,
  options: EmulationOptions = {},
): Emulation {
  return new HttpEmulation(board, options);
}

class HttpEmulation implements Emulation {
  readonly #board: Pick<Switchboard, "handleUpgrade" | "tell">;
  readonly #endpoints: ReadonlyMap<string, Endpoint>;
  readonly #routes: Readonly<Record<EmulatedTransport, AttachOptions<EmulationSession>>>;
  readonly #origins: Origins | undefined;
  readonly #maxBodyBytes: number;
  readonly #maxPendingRequests: number;
  readonly #requestTimeoutMs: number;
  readonly #closeTimeoutMs: number;
  readonly #onError: (error: Error) => void;
  #streams = 0;
  #pendingRequests = 0;
  #streamsOpened = 0;
  #streamsRefused = 0;
  #commandsDelivered = 0;
  #commandsRefused = 0;

  constructor(board: Pick<Switchboard, "handleUpgrade" | "tell">, options: EmulationOptions) {
    const { ssePath = "/connection/sse", httpStreamPath = "/connection/http_stream" } = options;
    const { emulationPath = "/emulation", origins, actor } = options;
    this.#board = board;
    const endpoints = new Map<string, Endpoint>([[emulationPath, "commands"]]);
    if (ssePath !== false) endpoints.set(ssePath, "sse");
    if (httpStreamPath !== false) endpoints.set(httpStreamPath, "http_stream");
    this.#endpoints = endpoints;
    this.#maxBodyBytes = options.maxBodyBytes ?? 65_536;
    this.#maxPendingRequests = options.maxPendingRequests ?? 1_000;
    this.#requestTimeoutMs = options.requestTimeoutMs ?? 10_000;
    this.#closeTimeoutMs = options.closeTimeoutMs ?? 5_000;
    this.#onError = options.onError ?? (() => {});
    this.#origins = origins && normalizeOrigins(origins);
    const route = (transport: EmulatedTransport): AttachOptions<EmulationSession> => ({
      authorize: () => ({ session: { transport } }),
      protocols: [PROTOBUF_SUBPROTOCOL],
      handshakeTimeoutMs: this.#requestTimeoutMs,
      ...(actor !== undefined && { actor }),
    });
    this.#routes = { sse: route("sse"), http_stream: route("http_stream") };
  }

  handle(request: HttpRequest, response: HttpResponse): boolean {
    const endpoint = this.#endpoints.get(pathOf(request));
    if (endpoint === undefined) return false;
    // The close that follows an error tells the same.
    response.on("error", () => {});
    this.#serve(endpoint, request, response).catch((thrown: unknown) => {
      this.#onError(thrown instanceof Error ? thrown : new Error(String(thrown)));
      if (response.headersSent) cut(response);
      else this.#refuse(endpoint, response, { status: 500 });
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

  async #serve(endpoint: Endpoint, request: HttpRequest, response: HttpResponse): Promise<void> {
    const methods = METHODS[endpoint];
    const cors = corsHeaders(request, this.#origins);
    if (cors === "denied") {
      return this.#refuse(endpoint, response, { status: 403, body: "Pages of this origin may not connect here." });
    }
    if (request.method === "OPTIONS") {
      const allowed = [...methods, "OPTIONS"].join(", ");
      return answer(response, { status: 204, headers: { ...cors, ...preflightHeaders(request, allowed) } });
    }
    if (!methods.includes(request.method ?? "")) {
      const headers = { ...cors, Allow: [...methods, "OPTIONS"].join(", ") };
      return this.#refuse(endpoint, response, { status: 405, headers });
    }
    if (this.#pendingRequests >= this.#maxPendingRequests)
      return this.#refuse(endpoint, response, withHeaders(BUSY, cors));
    if (endpoint === "commands") return this.#withSlot(() => this.#passOn(request, response, cors));
    const socket = await this.#withSlot(() => this.#open(endpoint, request, response, cors));
    if (socket !== undefined) await this.#stream(endpoint, socket, request, response, cors);
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
  async #passOn(request: HttpRequest, response: HttpResponse, cors: OutgoingHttpHeaders): Promise<void> {
    const refuse = (refusal: Answer): void => this.#refuse("commands", response, withHeaders(refusal, cors));
    const body = await this.#body("commands", request, response, cors);
    if (body === undefined) return;
    const codec = encodingOf(request) === "binary" ? protobufCodec : jsonCodec;
    const parsed = codec.decodeEmulation(body);
    if (parsed === undefined) return refuse({ status: 400, body: "This is no emulation request." });
    const { node, session, data } = parsed;
    // Clients take 404 for the loss of their node, and connect again.
    if (!isAddress(node)) return refuse({ status: 404 });
    // A copy of the bytes: a clone of a view would take the whole body along.
    const mail: EmulatedCommands = { kind: "emulated", session, data: new Uint8Array(data) };
    const { status } = await this.#board.tell(node, mail);
    if (status === "gone") return refuse({ status: 404 });
    if (status === "full") return refuse(BUSY);
    this.#commandsDelivered++;
    answer(response, { status: 204, headers: cors });
  }

  // ── to the client ──────────────────────────────────────────────────────────────────────────────────────

  /** Opens the connection of a stream, and sends its first commands. Returns undefined if it answered the request. */
  async #open(
    transport: EmulatedTransport,
    request: HttpRequest,
    response: HttpResponse,
    cors: OutgoingHttpHeaders,
  ): Promise<WebSocket | undefined> {
    const commands = await this.#firstCommands(transport, request, response, cors);
    if (commands === undefined) return undefined;
    const left = new AbortController();
    const leave = (): void => left.abort();
    response.once("close", leave);
    try {
      const opened = await openInnerSocket(
        this.#board,
        clientRequest(request),
        this.#innerOptions(transport, request, left.signal),
      );
      if ("status" in opened) {
        this.#refuse(transport, response, withHeaders(opened, cors));
        return undefined;
      }
      void opened.send(commands);
      return opened;
    } catch (error) {
      if (left.signal.aborted) {
        this.#streamsRefused++;
        return undefined;
      }
      throw error;
    } finally {
      response.off("close", leave);
    }
  }

  #innerOptions(transport: EmulatedTransport, request: HttpRequest, signal: AbortSignal): InnerSocketOptions {
    const isBinary = transport === "http_stream" && encodingOf(request) === "binary";
    return {
      route: this.#routes[transport],
      protocols: isBinary ? [PROTOBUF_SUBPROTOCOL] : [],
      closeTimeoutMs: this.#closeTimeoutMs,
      signal,
    };
  }

  async #stream(
    transport: EmulatedTransport,
    socket: WebSocket,
    request: HttpRequest,
    response: HttpResponse,
    cors: OutgoingHttpHeaders,
  ): Promise<void> {
    const format = streamFormat(transport, transport === "sse" ? "json" : encodingOf(request));
    this.#streams++;
    this.#streamsOpened++;
    try {
      beginStream(response, { ...STREAM_HEADERS, "Content-Type": format.contentType, ...cors });
      await streamMessages(socket, response, format, this.#closeTimeoutMs);
    } finally {
      socket.close();
      this.#streams--;
    }
  }

  /** Returns the commands that come with the request for a stream; undefined if it answered the request. */
  async #firstCommands(
    transport: EmulatedTransport,
    request: HttpRequest,
    response: HttpResponse,
    cors: OutgoingHttpHeaders,
  ): Promise<string | Buffer | undefined> {
    const refuse = (refusal: Answer): undefined => this.#refuse(transport, response, withHeaders(refusal, cors));
    if (request.method === "GET") {
      const text = queryOf(request).get(CONNECT_PARAMETER) ?? "";
      if (text === "") return refuse({ status: 400, body: `The parameter ${CONNECT_PARAMETER} is missing.` });
      return Buffer.byteLength(text) > this.#maxBodyBytes ? refuse({ status: 413 }) : text;
    }
    const body = await this.#body(transport, request, response, cors);
    if (body === undefined) return undefined;
    if (body.length === 0) return refuse({ status: 400, body: "The connect command is missing." });
    if (transport === "http_stream" && encodingOf(request) === "binary") return body;
    return isUtf8(body) ? body.toString() : refuse({ status: 400, body: "This is no text in UTF-8." });
  }

  /** Returns the body of a request; undefined if it answered the request, or if the client has gone. */
  async #body(
    endpoint: Endpoint,
    request: HttpRequest,
    response: HttpResponse,
    cors: OutgoingHttpHeaders,
  ): Promise<Buffer | undefined> {
    const body = await readBody(request, { maxBytes: this.#maxBodyBytes, timeoutMs: this.#requestTimeoutMs });
    if (typeof body !== "string") return body;
    this.#countRefusal(endpoint);
    if (body !== "gone") answerUnread(request, response, { status: body === "tooLong" ? 413 : 408, headers: cors });
    return undefined;
  }

  #refuse(endpoint: Endpoint, response: HttpResponse, refusal: Answer): undefined {
    this.#countRefusal(endpoint);
    answer(response, refusal);
  }

  #countRefusal(endpoint: Endpoint): void {
    if (endpoint === "commands") this.#commandsRefused++;
    else this.#streamsRefused++;
  }
}

function withHeaders(refusal: Answer, headers: OutgoingHttpHeaders): Answer {
  return { ...refusal, headers: { ...refusal.headers, ...headers } };
}

function clientRequest({ url = "", headers, socket }: HttpRequest): Parameters<typeof openInnerSocket>[1] {
  return { url, headers, remoteAddress: socket.remoteAddress };
}

function encodingOf({ headers }: HttpRequest): Encoding {
  const [type = ""] = (headers["content-type"] ?? "").split(";");
  return type.trim().toLowerCase() === "application/octet-stream" ? "binary" : "json";
}

function pathOf({ url = "" }: HttpRequest): string {
  const mark = url.indexOf("?");
  return mark === -1 ? url : url.slice(0, mark);
}

function queryOf({ url = "" }: HttpRequest): URLSearchParams {
  const mark = url.indexOf("?");
  return new URLSearchParams(mark === -1 ? "" : url.slice(mark));
}
