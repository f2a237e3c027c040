/** A port whose handshakes a shard does: the settings that the main thread sends, and what the shard makes of them. */
import type { Server } from "node:http";
import type { pathMatcher } from "../../wire/handshake/path.ts";
import type { ServerHandshakeOptions } from "../../wire/handshake/server.ts";
import type { HandshakeSettings } from "./acceptor-owner.ts";
import type { RouteSettings } from "./routes/route.ts";
import type { TlsSettings } from "./tls-settings.ts";

/**
 * Settings of a port whose handshakes the shards do. The main thread sends the settings to the shards as data:
 * `authorize`, a function, comes from the actor module of the route.
 */
export interface ShardPortSettings {
  readonly route: Omit<RouteSettings, "authorize">;
  readonly tls?: TlsSettings;
}

/** A port whose handshakes the shard does. */
export interface ShardPort {
  readonly listenerId: number;
  /** Server that reads HTTP, or TLS and HTTP, from the sockets that it is given. */
  readonly server: Server;
  readonly settings: HandshakeSettings;
  /** Checks of the requests on the port, complete with `authorize`. */
  readonly checks: ServerHandshakeOptions;
  readonly isSecure: boolean;
  /** Settings that the port was made from. */
  readonly origin: ShardPortSettings;
  readonly matches: ReturnType<typeof pathMatcher>;
}
