/** The HTTP API for backends: a handler for requests of `node:http`. `serve` puts it on its server. */
import { isUtf8 } from "node:buffer";
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { SwitchboardError } from "../../errors.ts";
import { isDeeperThan, memberSpan, valueSpans } from "../protocol/json/scan.ts";
import { MAX_JSON_DEPTH } from "../protocol/limits.ts";
import { ApiError, apiErrorOf, badRequest, errorText, notFound, statusOf } from "./api-error.ts";
import { ApiKey } from "./api-key.ts";
import type { ApiContext } from "./board.ts";
import { dropBody, readBody } from "./body.ts";
import { Methods } from "./methods.ts";
import type { JsonObject } from "./request-fields.ts";

export interface ApiOptions extends ApiContext {
  /** Key that every request needs. "" with `insecure` only. */
  readonly key: string;
  /** True: no request needs a key. */
  readonly insecure: boolean;
  /** Beginning of the paths, without a slash at its end: `/api`. */
  readonly handlerPrefix: string;
  /** Number of bytes that the body of a request may have. */
  readonly maxBodyBytes: number;
  /**
   * Asked before a command begins whether another process is to answer the request, whose body has come by now. Returns
   * true if it takes the request; it may call `here` later, to have the request answered here.
   */
  readonly elsewhere?: (request: IncomingMessage, response: ServerResponse, body: Buffer, here: () => void) => boolean;
  /** "transport": errors are told by the HTTP status. "": status 200, and the error in the body. */
  readonly errorMode: "" | "transport";
  /**
   * Called for each command that was answered, for metrics and logs. `error` is what the caller got, `cause` what was
   * thrown: the caller isn't told the text of an internal error. Commands in a batch are told as one `batch`.
   */
  readonly answered?: (method: string, error: ApiError | undefined, cause: unknown) => void;
}

/** Depth of objects around the payload of a publish in a batch. */
const DEPTH_AROUND = 8;
const JSON_TYPE = "application/json";
const WHOLE = Symbol("the old form: the method is in the body");

/**
 * Returns a handler of requests. It returns false, and does nothing, for requests on other paths. Throws `ERR_OPTION`
 * for an empty key without `insecure`.
 */
export function createApi(options: ApiOptions): (request: IncomingMessage, response: ServerResponse) => boolean {
  const { key, insecure, handlerPrefix } = options;
  if (key === "" && !insecure) {
    throw new SwitchboardError("ERR_OPTION", "http_api.key is empty: set a key, or http_api.insecure for development");
  }
  const api = new Api(options);
  return (request, response) => {
    const { url = "" } = request;
    const mark = url.indexOf("?");
    const path = mark === -1 ? url : url.slice(0, mark);
    if (!path.startsWith(handlerPrefix)) return false;
    const rest = path.slice(handlerPrefix.length);
    if (rest !== "" && !rest.startsWith("/")) return false;
    const query = mark === -1 ? "" : url.slice(mark + 1);
    void api.handle(request, response, rest === "" || rest === "/" ? WHOLE : rest.slice(1), query);
    return true;
  };
}

class Api {
  readonly #options: ApiOptions;
  readonly #methods: Methods;
  readonly #key: ApiKey | undefined;

  constructor(options: ApiOptions) {
    this.#options = options;
    this.#methods = new Methods(options);
    this.#key = options.insecure ? undefined : new ApiKey(options.key);
  }

  /** Answers one request. Never rejects. */
  async handle(
    request: IncomingMessage,
    response: ServerResponse,
    method: string | typeof WHOLE,
    query: string,
  ): Promise<void> {
    if (request.method !== "POST") return refuse(response, 405, "the API takes POST requests", { Allow: "POST" });
    if (this.#key?.accepts(request.headers, query) === false)
      return refuse(response, 401, "the API key is wrong or missing");
    if (method !== WHOLE && !this.#methods.has(method))
      return this.#send(response, 404, `{"error":${errorText(notFound())}}`);
    const body = await readBody(request, this.#options.maxBodyBytes);
    if (body === "gone") return;
    if (body === "tooLarge") {
      refuse(response, 413, `the body has more than ${this.#options.maxBodyBytes} bytes`);
      return dropBody(request);
    }
    const fault = faultOf(body);
    if (fault !== undefined) return refuse(response, 400, fault);
    const here = (): Promise<void> => this.#run(request, response, method, body);
    if (this.#options.elsewhere?.(request, response, body, () => void here()) !== true) await here();
  }

  /** Runs what a body says, and answers. */
  async #run(
    request: IncomingMessage,
    response: ServerResponse,
    method: string | typeof WHOLE,
    body: Buffer,
  ): Promise<void> {
    if (method === WHOLE) return this.#handleOldForm(response, body);
    const object = body.length === 0 ? {} : parse(body, 0, body.length);
    if (object === undefined) return refuse(response, 400, "the body is no JSON");
    try {
      const result = this.#methods.run(method, object, { bytes: body, span: { start: 0, end: body.length } });
      const text = typeof result === "string" ? result : await result;
      this.#options.answered?.(method, undefined, undefined);
      // The answer to a batch is its result as it is.
      this.#send(response, 200, method === "batch" ? text : `{"result":${text}}`);
    } catch (thrown) {
      const error = apiErrorOf(thrown);
      this.#options.answered?.(method, error, thrown);
      if (this.#usesTransportErrors(request)) this.#send(response, statusOf(error), errorText(error));
      else this.#send(response, 200, `{"error":${errorText(error)}}`);
    }
  }

  /** Answers the old form: `{"method":…,"params":{…}}`, or several of them, one after the other. */
  async #handleOldForm(response: ServerResponse, body: Buffer): Promise<void> {
    const replies: string[] = [];
    for (const { start, end } of valueSpans(body)) {
      const command = parse(body, start, end);
      if (typeof command !== "object" || command === null) return refuse(response, 400, "the body is no JSON");
      replies.push(await this.#replyInOldForm(command as JsonObject, body.subarray(start, end)));
    }
    if (replies.length === 0) return refuse(response, 400, "the body is empty");
    this.#send(response, 200, replies.join("\n"));
  }

  async #replyInOldForm(command: JsonObject, bytes: Buffer): Promise<string> {
    const { id, method = "publish", params = {} } = command;
    const head = typeof id === "number" && id !== 0 ? `"id":${id},` : "";
    const name = typeof method === "string" ? method.toLowerCase() : "";
    try {
      if (name === "batch") throw notFound();
      const whole = { start: 0, end: bytes.length };
      const span = memberSpan(bytes, whole, "params") ?? whole;
      const text = await this.#methods.run(name, params, { bytes, span });
      this.#options.answered?.(name, undefined, undefined);
      return `{${head}"result":${text}}`;
    } catch (thrown) {
      const error = apiErrorOf(thrown);
      this.#options.answered?.(name, error, thrown);
      return `{${head}"error":${errorText(error)}}`;
    }
  }

  #usesTransportErrors({ headers }: IncomingMessage): boolean {
    return (
      this.#options.errorMode === "transport" ||
      headers["x-switchboard-error-mode"] === "transport" ||
      headers["x-centrifugo-error-mode"] === "transport"
    );
  }

  #send(response: ServerResponse, status: number, text: string): void {
    response.writeHead(status, { "Content-Type": JSON_TYPE, "Content-Length": Buffer.byteLength(text) });
    response.end(text);
  }
}

/** Answers a request that no method gets. */
function refuse(response: ServerResponse, status: number, message: string, headers: OutgoingHttpHeaders = {}): void {
  const error = status === 401 ? new ApiError(101, `unauthorized: ${message}`) : badRequest(message);
  const text = `{"error":${errorText(error)}}`;
  response.writeHead(status, { ...headers, "Content-Type": JSON_TYPE, "Content-Length": Buffer.byteLength(text) });
  response.end(text);
}

/** Returns what is wrong with a body before it is parsed; undefined if nothing is. */
function faultOf(body: Buffer): string | undefined {
  if (isDeeperThan(body, 0, body.length, MAX_JSON_DEPTH + DEPTH_AROUND)) {
    return `the body is nested deeper than ${MAX_JSON_DEPTH} levels`;
  }
  return isUtf8(body) ? undefined : "the body is no UTF-8";
}

/** Returns undefined for malformed text: no JSON text has this value. */
function parse(bytes: Buffer, start: number, end: number): unknown {
  try {
    return JSON.parse(bytes.toString("utf8", start, end));
  } catch {
    return undefined;
  }
}
