/** A port whose handshakes a shard does: the settings that the main thread sends, and what the shard makes of them. */
import type { Server } from "node:http";
import type { pathMatcher } from "../../wire/handshake/path.ts";
import type { ServerHandshakeOptions } from "../../wire/handshake/server.ts";
import type { HandshakeSettings } from "./acceptor.ts";
import type { TlsSettings } from "./tls-settings.ts";

/**
 * What a shard must know to do the handshakes of one port. It is sent as data: `authorize` comes from the actor module.
 */
export interface ShardPortSettings {
  readonly route: Omit<HandshakeSettings, "authorize"> & { readonly path?: string };
  readonly tls?: TlsSettings;
}

/** A port whose handshakes are done in the shard. */
export interface ShardPort {
  /** Reads HTTP, and TLS where that is on, from the sockets that it is given. */
  readonly server: Server;
  readonly settings: HandshakeSettings;
  /** The checks of its requests, complete with `authorize`. */
  readonly checks: ServerHandshakeOptions;
  readonly isSecure: boolean;
  readonly matches: ReturnType<typeof pathMatcher>;
}
