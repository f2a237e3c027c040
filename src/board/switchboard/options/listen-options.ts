/** The options of `board.attach`, `handleUpgrade` and `listen`: types, defaults and checks. */
import { SwitchboardError } from "../../../errors.ts";
import type { OptionCheck } from "../../../wire/handshake/option-check.ts";
import { normalizeOrigins, type Origins } from "../../../wire/handshake/origins.ts";
import type { Authorize } from "../../accept/authorize.ts";
import type { RouteSettings } from "../../accept/routes/route.ts";
import type { ShardPortSettings } from "../../accept/shard-port.ts";
import type { TlsOptions } from "../../accept/tls-settings.ts";
import { check, withoutUndefined } from "./option-validation.ts";
import { checkTlsOptions } from "./tls-options.ts";

/** Options of a route: the upgrades that the board takes, and its demands on them. */
export interface AttachOptions<Session = unknown> {
  /** Path with parameters, in the syntax of `URLPattern`: `/chat/:room`. Default: every path. */
  readonly path?: string;
  /**
   * Function that lets a connection in with a session, or refuses it. Default: every connection gets in, without a
   * session.
   */
  readonly authorize?: Authorize<Session>;
  /**
   * Origins whose pages may connect: a list such as `["https://example.com", "https://*.example.com"]`, or a function,
   * which needs the handshake in the main thread. Other pages get 403. Requests without an Origin header (from
   * programs, not browsers) are always allowed. Default: all origins.
   */
  readonly origins?: Origins;
  /** Subprotocols that the actor supports. Default: none. */
  readonly protocols?: readonly string[];
  /** Time for the whole handshake, `authorize` included. Default: 10 s. */
  readonly handshakeTimeoutMs?: number;
  /**
   * Name of the actor module that serves the connections, of the option `actors` of `start`. Default: the module
   * `actor`.
   */
  readonly actor?: string;
}

export interface ListenOptions<Session = unknown> extends AttachOptions<Session> {
  /** TCP port. 0: the operating system chooses. */
  readonly port: number;
  /** Address to listen on. Default: all addresses. */
  readonly host?: string;
  /**
   * Thread that does the opening handshake. "shard" spreads handshakes over the cores; `authorize` is then an export of
   * the route's actor module, not an option. Default: "shard", unless something needs the request in the main thread: a
   * function as `authorize` or `origins`, a limit of connections or upgrades, a placement by the request, or sockets
   * that don't move.
   */
  readonly handshake?: "main" | "shard";
  /**
   * Thread that accepts connections. "shard": each shard accepts by itself and does the handshake, and the operating
   * system spreads connections (SO_REUSEPORT, on Linux and FreeBSD; with one shard on any system). The main thread is
   * then no bottleneck, but nothing chooses the shard of a connection. Default: "main".
   */
  readonly accept?: "main" | "shard";
  /** TLS options. The shards do TLS and the handshake. Default: no TLS. */
  readonly tls?: TlsOptions;
  /**
   * Signal that aborts the call: `listen` rejects with `ERR_ABORTED`, whose `cause` is the reason of the signal, and
   * the port isn't bound. After the port is open the signal has no effect.
   */
  readonly signal?: AbortSignal;
}

/** Options of `board.listen(server, options)`: a port, or the path of a Unix socket. */
export interface ServerListenOptions {
  /** TCP port. 0: the operating system chooses. */
  readonly port?: number;
  /** Address to listen on. Default: all addresses. */
  readonly host?: string;
  /** Path of a Unix socket. A socket that is there already is replaced. */
  readonly path?: string;
  /** Signal that aborts the call, as in `ListenOptions`. */
  readonly signal?: AbortSignal;
}

/** Checks the options of `listen` for a server of the user. Throws `ERR_OPTION`. */
export function checkServerListenOptions(options: ServerListenOptions): ServerListenOptions {
  const isText = (value: unknown): boolean => typeof value === "string" && value !== "";
  check("listen", options, ["port", "host", "path", "signal"], options.path === undefined ? ["port"] : [], {
    path: { takes: "the path of a Unix socket", accepts: isText },
  });
  if (options.path === undefined || options.port === undefined) return withoutUndefined(options);
  throw listenError("port and path exclude each other");
}

const attachOptions = ["path", "authorize", "origins", "protocols", "handshakeTimeoutMs", "actor"] as const;

/**
 * Checks the options of a route and fills in the defaults. Throws `ERR_OPTION`.
 *
 * @param actors names of the board's actor modules
 */
export function checkAttachOptions(
  options: AttachOptions,
  actors: readonly string[] = [],
  call = "attach",
): RouteSettings {
  check(call, options, attachOptions, [], { actor: actorName(actors) });
  return routeSettings(options);
}

/** The checked options of `listen`. */
export interface ListenSettings {
  readonly port: number;
  readonly host?: string;
  readonly signal: AbortSignal | undefined;
  readonly route: RouteSettings;
  /** Thread that does the handshake. "any": the shards if they can, else the main thread. */
  readonly handshake: "main" | "shard" | "any";
  /** Settings for handshakes in the shards; undefined if the shards can't do them. */
  readonly shard?: ShardPortSettings;
  readonly accept: "main" | "shard";
}

/**
 * Checks the options of `listen` and fills in the defaults. Throws `ERR_OPTION`, and `ERR_TLS` for wrong files.
 *
 * @param actors names of the board's actor modules
 */
export function checkListenOptions(options: ListenOptions, actors: readonly string[] = []): ListenSettings {
  const known = ["port", "host", "accept", "handshake", "tls", "signal", ...attachOptions] as const;
  check("listen", options, known, ["port"], { actor: actorName(actors) });
  const { port, host, tls, signal, accept = "main", handshake: wanted, ...others } = options;
  const route = routeSettings(others);
  const { authorize, ...plain } = route;
  const inShards = accept === "shard" || tls !== undefined;
  if (wanted === "main" && accept === "shard")
    throw listenError('the thread that accepts also does the handshake: leave handshake out, or make it "shard"');
  if (wanted === "main" && inShards)
    throw listenError('the shards do TLS and the handshake: leave handshake out, or make it "shard"');
  const asksOrigins = typeof route.origins === "function";
  if (inShards || wanted === "shard") {
    const unsendable = "the shards do this handshake, and functions can't be sent to them";
    if (authorize !== undefined) throw listenError(`${unsendable}: export authorize from the actor module`);
    if (asksOrigins) {
      throw listenError(
        `${unsendable}: make origins a list, or check request.headers.origin in the actor module's export authorize`,
      );
    }
  }
  const needsMain = authorize !== undefined || asksOrigins;
  const handshake: ListenSettings["handshake"] = wanted ?? (inShards ? "shard" : needsMain ? "main" : "any");
  const shard = { route: plain, ...(tls && { tls: checkTlsOptions("listen", tls) }) };
  const settings = { port, ...(host !== undefined && { host }), signal, route, accept, handshake };
  return handshake === "main" ? settings : { ...settings, shard };
}

/** The check of the name of an actor module. Its message lists the names that there are. */
export function actorName(actors: readonly string[]): OptionCheck {
  const names = actors.length === 0 ? "none" : actors.join(", ");
  const accepts = (value: unknown): boolean => typeof value === "string" && actors.includes(value);
  return { takes: `a name of the option actors of Switchboard.start, which has ${names}`, accepts };
}

function listenError(what: string): SwitchboardError {
  return new SwitchboardError("ERR_OPTION", `listen: ${what}`);
}

function routeSettings(options: AttachOptions): RouteSettings {
  const { origins, ...rest } = withoutUndefined(options);
  return {
    handshakeTimeoutMs: 10_000,
    ...rest,
    ...(origins && { origins: normalizeOrigins(origins) }),
  };
}
