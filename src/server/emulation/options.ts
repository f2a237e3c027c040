/** The options of `createEmulation`, with their defaults. */
import { normalizeOrigins, type Origins } from "../../wire/handshake/origins.ts";
import { noop } from "../../wire/protocol/empty.ts";

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

/** The options with all defaults filled in. */
export interface EmulationSettings extends Required<Omit<EmulationOptions, "actor" | "origins">> {
  readonly actor: string | undefined;
  readonly origins: Origins | undefined;
}

export function emulationSettings({ actor, origins, ...options }: EmulationOptions): EmulationSettings {
  return {
    ssePath: "/connection/sse",
    httpStreamPath: "/connection/http_stream",
    emulationPath: "/emulation",
    maxBodyBytes: 65_536,
    maxPendingRequests: 1_000,
    requestTimeoutMs: 10_000,
    closeTimeoutMs: 5_000,
    onError: noop,
    ...options,
    actor,
    origins: origins && normalizeOrigins(origins),
  };
}
