import type { Server } from "node:http";
import type { pathMatcher } from "../handshake/path.ts";
import type { ServerHandshakeOptions } from "../handshake/server.ts";
import type { HandshakeSettings } from "./acceptor.ts";

/** A port whose handshakes are done in the shard. */
export interface Listener {
  /** Speaks HTTP, and TLS where that is on, with the sockets that it is given. */
  readonly server: Server;
  readonly settings: HandshakeSettings;
  /** What requests are held to, in full. */
  readonly checks: ServerHandshakeOptions;
  readonly isSecure: boolean;
  readonly matches: ReturnType<typeof pathMatcher>;
}
