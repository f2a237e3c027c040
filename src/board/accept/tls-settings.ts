/** The option `tls` of `listen`: its settings, and the TLS contexts that the shards make of them. */
import type { SecureContext, SecureContextOptions, SecureVersion } from "node:tls";
import { SwitchboardError } from "../../errors.ts";
import { builtins } from "../../wire/node-internals/builtins.ts";

/** One or several PEM texts, as strings or bytes. */
export type Pem = string | Uint8Array | readonly (string | Uint8Array)[];

/** A private key and its certificate chain. */
export interface TlsIdentity {
  readonly key: Pem;
  readonly cert: Pem;
  /** Passphrase of the key, if that is encrypted. */
  readonly passphrase?: string;
}

/** TLS of a port, which the shards do. Names and meanings are those of `node:tls`. */
export interface TlsOptions extends TlsIdentity {
  /** Authorities that client certificates are checked against. Default: those that Node trusts. */
  readonly ca?: Pem;
  /** Lowest version that is accepted. Default: Node's, TLSv1.2. */
  readonly minVersion?: SecureVersion;
  readonly maxVersion?: SecureVersion;
  readonly ciphers?: string;
  /** Ask clients for a certificate. Default: false. */
  readonly requestCert?: boolean;
  /** With `requestCert`: close clients whose certificate is missing, or not signed by `ca`. Default: true. */
  readonly rejectUnauthorized?: boolean;
  /**
   * Other identities by server name (SNI): `chat.example.com`, or `*.example.com` for one label more. Default: none.
   */
  readonly servers?: Readonly<Record<string, TlsIdentity>>;
}

/** The settings as they are sent to the shards. With them, each shard can resume the sessions of the others. */
export interface TlsSettings extends TlsOptions {
  readonly ticketKeys: Uint8Array;
}

/** The TLS contexts of a port, made anew with each change of its certificates. */
export interface TlsContexts {
  readonly main: SecureContextOptions;
  /** The context for a server name; undefined for the main one. */
  find(serverName: string): SecureContext | undefined;
}

/**
 * Throws `ERR_TLS` for a key or certificate that is invalid, or a pair that doesn't match. The message says which pair;
 * `cause` is Node's error.
 */
export function createContexts(settings: TlsSettings): TlsContexts {
  const { servers = {}, key, cert, passphrase, ca, minVersion, maxVersion, ciphers, ticketKeys } = settings;
  const common = { ca, minVersion, maxVersion, ciphers, ticketKeys };
  const main = toNode({ ...common, key, cert, passphrase });
  createContext("tls", main);
  const byName = new Map<string, SecureContext>();
  for (const [name, identity] of Object.entries(servers)) {
    byName.set(name.toLowerCase(), createContext(`tls.servers["${name}"]`, toNode({ ...common, ...identity })));
  }
  const find = (serverName: string): SecureContext | undefined => {
    const name = serverName.toLowerCase();
    return byName.get(name) ?? byName.get(name.replace(/^[^.]+/, "*"));
  };
  return { main, find };
}

function createContext(what: string, options: SecureContextOptions): SecureContext {
  try {
    return builtins.tls.createSecureContext(options);
  } catch (cause) {
    throw new SwitchboardError("ERR_TLS", `${what} can't be used: ${(cause as Error).message}`, { cause });
  }
}

/** Leaves out undefined, which Node refuses. Node takes typed arrays, though its types say Buffer. */
function toNode(options: Record<string, unknown>): SecureContextOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
