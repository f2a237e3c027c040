/**
 * The process that has taken over from this server. Callers of the API, probes and scrapers may still send requests on
 * connections of this process: the other one answers them, because it has the clients. `server.ts` has one.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream";
import type { Switchboard } from "../../../board/switchboard/switchboard.ts";
import { builtins } from "../../../wire/node-internals/builtins.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import { type Handler, pathOf } from "./http-servers.ts";

/** The socket that this process has passed on. */
export interface PassedSocket {
  readonly address: AddressInfo;
  readonly isTls: boolean;
}

/** Longest wait for an answer, in ms. */
const ANSWER_LIMIT_MS = 30_000;
/** Number of requests that wait while all clients are stopped. More are told to try again. */
const MAX_WAITING = 1_000;

export class Successor {
  #socket: PassedSocket | undefined;
  #hasTakenOver = false;
  /** Requests that came while all clients are stopped, and are on their way to neither process. Undefined otherwise. */
  #waiting: (() => void)[] | undefined;

  constructor(board: Switchboard) {
    board.on("handingOver", () => {
      this.#waiting = [];
    });
    board.on("successorFailed", () => this.#goOn());
    board.once("handedOver", () => {
      this.#hasTakenOver = true;
      this.#goOn();
    });
  }

  #goOn(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const answer of waiting) answer();
  }

  /** Sets where the requests come in. */
  listens(socket: PassedSocket): void {
    this.#socket = socket;
  }

  /**
   * Returns a handler that answers requests here, and once another process has taken over passes those of its path on.
   * While all clients are stopped the requests wait: neither process knows the clients.
   */
  first(prefix: string, here: Handler): Handler {
    const handle: Handler = (request, response) => {
      if (this.#waiting === undefined && !this.#hasTakenOver) return here(request, response);
      const path = pathOf(request);
      if (path !== prefix && !path.startsWith(`${prefix}/`)) return false;
      if (this.#waiting === undefined) passOn(request, response, this.#socket);
      else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(() => void handle(request, response));
      else response.writeHead(503, { "Retry-After": "1" }).end();
      return true;
    };
    return handle;
  }

  /**
   * Takes a request whose body has come meanwhile, as `first` does: returns false if this process is to answer it.
   *
   * @param here answers the request here, if the takeover fails
   */
  readonly taken = (request: IncomingMessage, response: ServerResponse, body: Buffer, here: () => void): boolean => {
    if (this.#waiting !== undefined) {
      // No more than the requests that had begun before: each has a connection of its own.
      this.#waiting.push(() => {
        if (!this.taken(request, response, body, here)) here();
      });
      return true;
    }
    if (this.#hasTakenOver) passOn(request, response, this.#socket, body);
    return this.#hasTakenOver;
  };
}

/** @param body the body of the request, if that was read already */
function passOn(
  request: IncomingMessage,
  response: ServerResponse,
  socket: PassedSocket | undefined,
  body?: Buffer,
): void {
  // Without a socket no request could have come.
  if (socket === undefined) return;
  const { address, isTls } = socket;
  const { method, url: path, headers } = request;
  const target = { host: dialable(address), port: address.port, agent: false, method, path, headers } as const;
  const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
  // The certificate names the outside: this connection goes to the socket that this process has passed on.
  const onward = isTls
    ? builtins.https.request({ ...target, signal, rejectUnauthorized: false })
    : builtins.http.request({ ...target, signal });
  onward.on("response", (answer) => {
    response.writeHead(answer.statusCode ?? 502, { ...answer.headers, connection: "close" });
    pipeline(answer, response, noop);
  });
  onward.on("error", () => {
    if (response.headersSent) response.destroy();
    else
      response.writeHead(502, { "Content-Type": "text/plain", Connection: "close" }).end("the next process is gone\n");
  });
  if (body === undefined) pipeline(request, onward, noop);
  else onward.end(body);
}

/** Returns an address that a client can connect to: a server may listen on all addresses. */
function dialable({ address }: AddressInfo): string {
  if (address === "::") return "::1";
  return address === "0.0.0.0" ? "127.0.0.1" : address;
}
