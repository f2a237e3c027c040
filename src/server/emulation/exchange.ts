/** One request at an endpoint of emulation, with its response. */
import type { OutgoingHttpHeaders } from "node:http";
import type { EmulatedTransport } from "../protocol/emulation.ts";
import { type Answer, answer, answerUnread, type HttpRequest, type HttpResponse } from "./http.ts";
import type { Encoding } from "./messages.ts";
import { type BodyLimits, readBody } from "./read-body.ts";

export type Endpoint = EmulatedTransport | "commands";

export class Exchange {
  readonly endpoint: Endpoint;
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  /** Headers of any answer that lets a page read the answer. */
  cors: OutgoingHttpHeaders = {};
  readonly #refused: (endpoint: Endpoint) => void;

  /** @param refused called when the request gets something else than its client wants */
  constructor(endpoint: Endpoint, request: HttpRequest, response: HttpResponse, refused: (endpoint: Endpoint) => void) {
    this.endpoint = endpoint;
    this.request = request;
    this.response = response;
    this.#refused = refused;
  }

  /** Encoding of what goes both ways: Protobuf for bodies of bytes, but SSE carries only text. */
  get encoding(): Encoding {
    if (this.endpoint === "sse") return "json";
    const [type = ""] = (this.request.headers["content-type"] ?? "").split(";");
    return type.trim().toLowerCase() === "application/octet-stream" ? "binary" : "json";
  }

  get query(): URLSearchParams {
    const { url = "" } = this.request;
    const mark = url.indexOf("?");
    return new URLSearchParams(mark === -1 ? "" : url.slice(mark));
  }

  answer(given: Answer): void {
    answer(this.response, this.#withCors(given));
  }

  /** Answers with a refusal, and counts it. */
  refuse(refusal: Answer): undefined {
    this.#refused(this.endpoint);
    this.answer(refusal);
  }

  /** Counts a request whose client left before its answer. */
  abandon(): void {
    this.#refused(this.endpoint);
  }

  /** Resolves with the body; with undefined if the request was refused, or if the client has gone. */
  async body(limits: BodyLimits): Promise<Buffer | undefined> {
    const body = await readBody(this.request, limits);
    if (typeof body !== "string") return body;
    this.#refused(this.endpoint);
    if (body === "gone") return undefined;
    answerUnread(this.request, this.response, this.#withCors({ status: body === "tooLong" ? 413 : 408 }));
    return undefined;
  }

  #withCors(given: Answer): Answer {
    return { ...given, headers: { ...given.headers, ...this.cors } };
  }
}
