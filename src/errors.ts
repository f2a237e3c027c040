/** The errors of the package: one class, one table of codes and kinds, and how an error crosses threads. */

/**
 * The kind of an error: what went wrong, in one word.
 *
 * - `protocol`: the peer broke a protocol.
 * - `capacity`: a queue or a limit is full.
 * - `transport`: a connection, a shard or an answer was lost.
 * - `closed`: the thing that was asked is closed.
 * - `refused`: the other end answered and said no.
 * - `misuse`: a call was made in a wrong way or at a wrong time.
 * - `configuration`: an option, a module or the machine doesn't fit.
 */
export type ErrorKind = "protocol" | "capacity" | "transport" | "closed" | "refused" | "misuse" | "configuration";

/** Every error code and its kind. */
export const ERROR_KINDS = {
  ERR_CLOSE_PAYLOAD: "protocol",
  ERR_CONTROL_TOO_LONG: "protocol",
  ERR_EXPECTED_CONTINUATION: "protocol",
  ERR_FRAGMENTED_CONTROL: "protocol",
  ERR_HANDSHAKE_ACCEPT: "protocol",
  ERR_HANDSHAKE_CONNECTION: "protocol",
  ERR_HANDSHAKE_EXTENSION: "protocol",
  ERR_HANDSHAKE_PROTOCOL: "protocol",
  ERR_HANDSHAKE_STATUS: "protocol",
  ERR_HANDSHAKE_UPGRADE: "protocol",
  ERR_INVALID_CLOSE_CODE: "protocol",
  ERR_INVALID_DEFLATE: "protocol",
  ERR_INVALID_UTF8: "protocol",
  ERR_LENGTH_NOT_MINIMAL: "protocol",
  ERR_LENGTH_TOP_BIT: "protocol",
  ERR_MASKED_FRAME: "protocol",
  ERR_MESSAGE_TOO_BIG: "protocol",
  ERR_RESERVED_BITS: "protocol",
  ERR_RESERVED_OPCODE: "protocol",
  ERR_TOO_MANY_FRAGMENTS: "protocol",
  ERR_TOO_MANY_STREAMS: "protocol",
  ERR_UNEXPECTED_CONTINUATION: "protocol",
  ERR_UNMASKED_FRAME: "protocol",
  ERR_UPGRADE_MISMATCH: "protocol",
  ERR_ASK_FULL: "capacity",
  ERR_BUFFER_FULL: "capacity",
  ERR_ENGINE_FULL: "capacity",
  ERR_OUT_OF_DESCRIPTORS: "capacity",
  ERR_SOCKET_STAYED: "capacity",
  ERR_TOO_MANY_PINGS: "capacity",
  ERR_TOO_MANY_SUBSCRIPTIONS: "capacity",
  ERR_ASK_TIMEOUT: "transport",
  ERR_CONNECTION_LOST: "transport",
  ERR_ENGINE_UNAVAILABLE: "transport",
  ERR_ENGINE_UNREACHABLE: "transport",
  ERR_HANDLER_TIMEOUT: "transport",
  ERR_HANDOFF_TIMEOUT: "transport",
  ERR_HANDSHAKE_TIMEOUT: "transport",
  ERR_MOVE_CALLED_OFF: "transport",
  ERR_MOVE_FAILED: "transport",
  ERR_NODE_UNRESPONSIVE: "transport",
  ERR_PEER_GONE: "transport",
  ERR_SHARD_EXITED: "transport",
  ERR_SHARD_LOST: "transport",
  ERR_SHARD_TERMINATED: "transport",
  ERR_SYSTEM_CALL: "transport",
  ERR_TAKEOVER_LOST: "transport",
  ERR_TAKEOVER_TIMEOUT: "transport",
  ERR_SHARD_UNRESPONSIVE: "transport",
  ERR_START_TIMEOUT: "transport",
  ERR_ABORTED: "closed",
  ERR_ASK_FAILED: "closed",
  ERR_ASK_GONE: "closed",
  ERR_CLOSED: "closed",
  ERR_NODE_GONE: "closed",
  ERR_NO_LISTENER: "closed",
  ERR_UPGRADE_ABANDONED: "closed",
  ERR_HANDSHAKE_REFUSED: "refused",
  ERR_STREAM_EPOCH: "refused",
  ERR_PROXY_REFUSED: "refused",
  ERR_REDIRECT: "refused",
  ERR_TAKEOVER_REFUSED: "refused",
  ERR_UPGRADE_REFUSED: "refused",
  ERR_ACTOR_CONSTRUCTED: "misuse",
  ERR_ADDRESS: "misuse",
  ERR_ARGUMENT: "misuse",
  ERR_AUTHORIZE: "misuse",
  ERR_CLOSE_CODE: "misuse",
  ERR_CLOSE_REASON: "misuse",
  ERR_DATA: "misuse",
  ERR_DOWNCAST: "misuse",
  ERR_DOWNCAST_ENCODING: "misuse",
  ERR_MAIL_NOT_CLONEABLE: "misuse",
  ERR_MAIL_TOO_LARGE: "misuse",
  ERR_NO_SHARD: "misuse",
  ERR_NO_SURVEYED: "misuse",
  ERR_NOT_AN_UPGRADE: "misuse",
  ERR_NO_HISTORY: "misuse",
  ERR_NO_PRESENCE: "misuse",
  ERR_NOT_RESUMED: "misuse",
  ERR_NO_TLS_PORT: "misuse",
  ERR_ORIGINS: "misuse",
  ERR_PLACEMENT: "misuse",
  ERR_POSITION: "misuse",
  ERR_SESSION_NOT_CLONEABLE: "misuse",
  ERR_SLOW_CONSUMER_POLICY: "misuse",
  ERR_RELOADING: "misuse",
  ERR_STATE_NOT_CLONEABLE: "misuse",
  ERR_STATE_TOO_LARGE: "misuse",
  ERR_TIMER: "misuse",
  ERR_TOPIC: "misuse",
  ERR_UPGRADE_ANSWER: "misuse",
  ERR_UPGRADE_TAKEN: "misuse",
  ERR_ACCEPT_IN_SHARDS: "configuration",
  ERR_ACTOR_COPY: "configuration",
  ERR_AUTHORIZE_EXPORT: "configuration",
  ERR_AUTHORIZE_IGNORED: "configuration",
  ERR_BUNDLED: "configuration",
  ERR_ENGINE_PACKAGE: "configuration",
  ERR_NEEDS_REQUEST: "configuration",
  ERR_NODE_INTERNALS: "configuration",
  ERR_NODE_VERSION: "configuration",
  ERR_NO_FFI: "configuration",
  ERR_NO_URING: "configuration",
  ERR_NO_ACTOR_CLASS: "configuration",
  ERR_OPTION: "configuration",
  ERR_PROXY: "configuration",
  ERR_REQUEST_HEADERS: "configuration",
  ERR_SLOW_CONSUMER_CLOSE: "configuration",
  ERR_MESSAGES: "configuration",
  ERR_MESSAGE_RETURNED: "misuse",
  ERR_SOCKETS_STAY: "configuration",
  ERR_SUPERVISION: "configuration",
  ERR_MOVES: "configuration",
  ERR_SURVEYED_EXPORT: "configuration",
  ERR_TAKEOVER_DIRECTORY: "configuration",
  ERR_TLS: "configuration",
  ERR_TUNNEL_AUTHORITY: "configuration",
  ERR_URL: "configuration",
  ERR_URL_SCHEME: "configuration",
} as const satisfies Record<`ERR_${string}`, ErrorKind>;

/** A stable name for one thing that can go wrong. */
export type ErrorCode = keyof typeof ERROR_KINDS;

/** An error that Switchboard throws or reports. `code` is stable and may be matched on; the message says what to do. */
export class SwitchboardError extends Error {
  override readonly name = "SwitchboardError";
  readonly kind: ErrorKind;
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = ERROR_KINDS[code];
    this.code = code;
  }
}

/** An error in the form that crosses threads. Structured clone drops `code` and the name of a custom error class. */
export interface ErrorReport {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | undefined;
  /** Cause of a `SwitchboardError`, if there is one. */
  readonly cause?: ErrorReport | undefined;
}

/** Converts any thrown value to a report, which can be cloned. Never throws. */
export function reportError(thrown: unknown): ErrorReport {
  try {
    const cause = thrown instanceof SwitchboardError ? thrown.cause : undefined;
    const report = describeError(thrown);
    return cause === undefined ? report : { ...report, cause: reportError(cause) };
  } catch {
    // The value is hostile or broken: one of its getters or its toString threw.
    const message = "a value that isn't an Error was thrown, and it can't be converted to a string";
    return { name: "Error", message, stack: undefined, code: undefined };
  }
}

function describeError(thrown: unknown): ErrorReport {
  if (!(thrown instanceof Error)) {
    return {
      name: "Error",
      message: `a value that isn't an Error was thrown: ${String(thrown)}`,
      stack: undefined,
      code: undefined,
    };
  }
  const stack = typeof thrown.stack === "string" ? thrown.stack : undefined;
  const code = "code" in thrown && typeof thrown.code === "string" ? thrown.code : undefined;
  return { name: String(thrown.name), message: String(thrown.message), stack, code };
}

/**
 * Makes an error from a report: with its name, message, code and cause, and the stack of the thread that threw it. An
 * error of ours is a `SwitchboardError` again, with its kind.
 */
export function reviveError(report: ErrorReport): Error {
  const error = isOurs(report) ? new SwitchboardError(report.code, report.message, causeOf(report)) : foreign(report);
  if (report.stack !== undefined) error.stack = report.stack;
  return error;
}

/**
 * As `reviveError`, but every error with a code of ours is a `SwitchboardError`, also one of an engine's own class.
 * Its stack is that of this thread.
 */
export function reviveOurError(report: ErrorReport): Error {
  const isOurCode = Object.hasOwn(ERROR_KINDS, report.code ?? "");
  return reviveError(isOurCode ? { ...report, name: "SwitchboardError", stack: undefined } : report);
}

/** True for the report of a `SwitchboardError` with a code that this version knows. */
function isOurs(report: ErrorReport): report is ErrorReport & { readonly code: ErrorCode } {
  return report.name === "SwitchboardError" && Object.hasOwn(ERROR_KINDS, report.code ?? "");
}

function foreign(report: ErrorReport): Error {
  const { name, message, code } = report;
  const error = new Error(message, causeOf(report));
  error.name = name;
  return code === undefined ? error : Object.assign(error, { code });
}

function causeOf({ cause }: ErrorReport): ErrorOptions | undefined {
  return cause && { cause: reviveError(cause) };
}
