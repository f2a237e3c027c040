import type { Server } from "node:http";
import type { pathMatcher } from "../../wire/handshake/path.ts";
import type { ServerHandshakeOptions } from "../../wire/handshake/server.ts";
import type { HandshakeSettings } from "./acceptor.ts";
import type { TlsSettings } from "./tls-settings.ts";

/** What a shard must know to do the handshakes of one port. Plain data: `authorize` is the actor module's. */
export interface ShardPortSettings {
  readonly route: Omit<HandshakeSettings, "authorize"> & { readonly path?: string };
  readonly tls?: TlsSettings;
}

/** A port whose handshakes are done in the shard. */
export interface ShardPort {
  /** Speaks HTTP, and TLS where that is on, with the sockets that it is given. */
  readonly server: Server;
  readonly settings: HandshakeSettings;
  /** What requests are held to, in full. */
  readonly checks: ServerHandshakeOptions;
  readonly isSecure: boolean;
  readonly matches: ReturnType<typeof pathMatcher>;
}
