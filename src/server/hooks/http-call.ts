/**
 * One HTTP POST to the application, over sockets that are kept alive. `Endpoint` asks questions with it, `HookQueue`
 * sends notifications.
 *
 * `node:http` took 31 µs of CPU for a call, and `fetch` 131 µs (Node 26.10, 64 calls under way, 150-byte bodies): hence
 * `node:http`.
 */
import type { Agent, ClientRequest, IncomingMessage } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { SwitchboardError } from "../../errors.ts";
import { builtins } from "../../wire/node-internals/builtins.ts";

/** Bytes of an answer's body at most. */
export const MAX_ANSWER_BYTES = 1024 * 1024;

/** Bytes of the body of a failure that are read at most, to keep its socket. */
const MAX_DRAINED_BYTES = 64 * 1024;

/**
 * Time in ms after which an idle socket is closed. It is shorter than that of common servers (Node and Apache: 5 s), so
 * that a server rarely closes a socket just when a call uses it.
 */
const IDLE_SOCKET_MS = 4_000;

/** Pause in ms before a call is made once more when nobody listened: an application that restarts is back by then. */
const REFUSED_PAUSE_MS = 100;

export type FailureKind =
  /** No connection. */
  | "unreachable"
  /** A connection, but no TLS: the certificate isn't trusted, or the other end speaks no TLS. */
  | "tls"
  /** No whole answer in time. */
  | "timeout"
  /** The connection broke before the answer was whole, or the answer wasn't HTTP. */
  | "cut"
  /** A status other than 2xx. */
  | "status"
  /** The body is larger than `MAX_ANSWER_BYTES`. */
  | "tooLarge"
  /** The body isn't what was asked for. */
  | "nonsense";

export interface CallFailure {
  readonly kind: FailureKind;
  /** Description of the failure, for the log. Holds no secret. */
  readonly detail: string;
  /** HTTP status of the answer, if one came. */
  readonly status?: number | undefined;
}

export type CallOutcome =
  | { readonly kind: "answered"; readonly body: Buffer }
  | { readonly kind: "failed"; readonly failure: CallFailure };

export interface Call {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  /** Time in ms for connecting, the head and the body together. */
  readonly timeoutMs: number;
  /**
   * True if the application may get this call twice without harm. Such a call is made once more if its kept-alive
   * socket broke before an answer. Other calls are made once more only if not a byte of theirs was sent.
   */
  readonly repeatable: boolean;
}

/** How far a try has come. */
type Stage = "connecting" | "securing" | "waiting" | "reading";

/** Kinds of failure that an error means, by stage. */
const failureIn: Readonly<Record<Stage, FailureKind>> = {
  connecting: "unreachable",
  securing: "tls",
  waiting: "cut",
  reading: "cut",
};

/** The end of one try. */
interface Try {
  readonly outcome: CallOutcome;
  /**
   * How much of the call the application may have. "nowhere": nobody listens. "nothing": a kept-alive socket was
   * closed, and not a byte was sent. "perhaps": a kept-alive socket broke after that.
   */
  readonly arrived: "nowhere" | "nothing" | "perhaps" | "yes";
}

const failed = (kind: FailureKind, detail: string, status?: number): CallOutcome => {
  return { kind: "failed", failure: { kind, detail, status } };
};

/** Checks the address of an endpoint. `name` is its key in the config. Throws `ERR_OPTION`. */
export function endpointUrl(endpoint: string, name: string): URL {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url;
  const grpc = url?.protocol === "grpc:" ? "; gRPC isn't supported" : "";
  throw new SwitchboardError("ERR_OPTION", `${name}.endpoint has to be an http:// or https:// address${grpc}`);
}

/** The address without password and query, for the log. */
export function describeUrl(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

export class HttpCaller {
  readonly #secure: boolean;
  readonly #agent: Agent;
  readonly #request: typeof builtins.http.request;
  readonly #options: Record<string, unknown>;

  /** @param maxSockets number of sockets at most; calls beyond it wait, within their timeout */
  constructor(url: URL, maxSockets: number) {
    this.#secure = url.protocol === "https:";
    const agentOptions = {
      keepAlive: true,
      maxSockets,
      maxFreeSockets: maxSockets,
      timeout: IDLE_SOCKET_MS,
      // The socket used last is the one least likely to be closed by the server.
      scheduling: "lifo",
    } as const;
    this.#agent = this.#secure ? new builtins.https.Agent(agentOptions) : new builtins.http.Agent(agentOptions);
    this.#request = this.#secure ? builtins.https.request : builtins.http.request;
    const auth = url.username === "" ? undefined : decodeURIComponent(`${url.username}:${url.password}`);
    this.#options = {
      agent: this.#agent,
      method: "POST",
      hostname: url.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: url.port === "" ? undefined : url.port,
      path: `${url.pathname}${url.search}`,
      auth,
    };
  }

  /** Makes the call. Never rejects. */
  async post(call: Call): Promise<CallOutcome> {
    const deadline = performance.now() + call.timeoutMs;
    const first = await this.#try(call, call.timeoutMs);
    const safe =
      first.arrived === "nowhere" || first.arrived === "nothing" || (first.arrived === "perhaps" && call.repeatable);
    if (first.outcome.kind === "answered" || !safe) return first.outcome;
    if (first.arrived === "nowhere") await pause(Math.min(REFUSED_PAUSE_MS, call.timeoutMs));
    const left = deadline - performance.now();
    return left <= 0 ? first.outcome : (await this.#try(call, left)).outcome;
  }

  /** Closes the idle sockets, and those of calls that are under way. */
  close(): void {
    this.#agent.destroy();
  }

  #try({ body, headers }: Call, timeoutMs: number): Promise<Try> {
    return new Promise((resolve) => {
      let stage: Stage = "connecting";
      const request = this.#request({
        ...this.#options,
        headers: { ...headers, "content-length": body.length },
      });
      const settle = (outcome: CallOutcome): void => resolve({ outcome, arrived: "yes" });
      const timer = setTimeout(() => {
        settle(failed("timeout", describeTimeout(stage, timeoutMs)));
        request.destroy();
      }, timeoutMs);
      request.once("close", () => {
        // The timer also ends the draining of a failure's body, after the outcome is known.
        clearTimeout(timer);
        if (stage !== "reading") settle(failed("cut", "the connection ended without an answer"));
      });
      request.once("socket", (socket) => {
        if (request.reusedSocket) stage = "waiting";
        else {
          socket.once("connect", () => (stage = this.#secure ? "securing" : "waiting"));
          socket.once("secureConnect", () => (stage = "waiting"));
        }
      });
      request.on("error", (error: NodeJS.ErrnoException) => {
        resolve({
          outcome: failed(failureIn[stage], describeError(error)),
          arrived: arrivedBefore(error, stage, request),
        });
      });
      request.once("response", (response) => {
        stage = "reading";
        readAnswer(request, response, settle);
      });
      request.end(body);
    });
  }
}

/** Tells how much of a call may have arrived at the application when this error ended it. */
function arrivedBefore(error: NodeJS.ErrnoException, stage: Stage, request: ClientRequest): Try["arrived"] {
  if (stage === "connecting") return error.code === "ECONNREFUSED" ? "nowhere" : "yes";
  if (stage === "reading" || !request.reusedSocket) return "yes";
  if (error.code !== "ECONNRESET" && error.code !== "EPIPE") return "yes";
  // The kernel refused the bytes: the server had closed the socket before.
  return error.syscall === "write" ? "nothing" : "perhaps";
}

function readAnswer(request: ClientRequest, response: IncomingMessage, settle: (outcome: CallOutcome) => void): void {
  const { statusCode: status = 0, headers } = response;
  const refusal = refusalOf(status, headers);
  if (refusal !== undefined) settle({ kind: "failed", failure: refusal });
  const limit = refusal === undefined ? MAX_ANSWER_BYTES : MAX_DRAINED_BYTES;
  const tooLarge = (): void => {
    settle(failed("tooLarge", `its body has more than ${MAX_ANSWER_BYTES} bytes`, status));
    request.destroy();
  };
  if (Number(headers["content-length"] ?? 0) > limit) {
    tooLarge();
    return;
  }

  const chunks: Buffer[] = [];
  let bytes = 0;
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > limit) tooLarge();
    else if (refusal === undefined) chunks.push(chunk);
  });
  response.once("end", () => settle({ kind: "answered", body: Buffer.concat(chunks, bytes) }));
  response.on("error", (error) => settle(failed("cut", describeError(error), status)));
  response.once("close", () => settle(failed("cut", "the connection ended within the answer", status)));
}

/** Why an answer with this head is none; undefined if its body counts. */
function refusalOf(status: number, headers: IncomingMessage["headers"]): CallFailure | undefined {
  if (status >= 300 && status < 400) {
    return { kind: "status", status, detail: `it answered ${status}, and redirects aren't followed` };
  }
  if (status < 200 || status >= 300) return { kind: "status", status, detail: `it answered ${status}` };
  const encoding = headers["content-encoding"];
  if (encoding === undefined || encoding === "identity") return undefined;
  return { kind: "nonsense", status, detail: `its body is compressed (${encoding}), which wasn't asked for` };
}

function describeTimeout(stage: Stage, timeoutMs: number): string {
  const ms = Math.ceil(timeoutMs);
  if (stage === "connecting") return `no connection within ${ms} ms`;
  if (stage === "securing") return `no TLS handshake within ${ms} ms`;
  return stage === "waiting" ? `no answer within ${ms} ms` : `its answer didn't end within ${ms} ms`;
}

function describeError(error: NodeJS.ErrnoException): string {
  return error.code === undefined ? error.message : `${error.code} (${error.message})`;
}
