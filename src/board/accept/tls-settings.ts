import { createSecureContext, type SecureContext, type SecureContextOptions, type SecureVersion } from "node:tls";

/** PEM text or bytes, one or several. */
export type Pem = string | Uint8Array | readonly (string | Uint8Array)[];

/** A private key and its certificate chain. */
export interface TlsIdentity {
  readonly key: Pem;
  readonly cert: Pem;
  /** Of the key, when it is encrypted. */
  readonly passphrase?: string;
}

/** TLS of a port, done by the shards. Names and meanings are those of `node:tls`. */
export interface TlsOptions extends TlsIdentity {
  /** Authorities that client certificates are checked against. Default: those that Node trusts. */
  readonly ca?: Pem;
  /** Default: Node's, TLSv1.2. */
  readonly minVersion?: SecureVersion;
  readonly maxVersion?: SecureVersion;
  readonly ciphers?: string;
  /** Ask clients for a certificate. Default: false. */
  readonly requestCert?: boolean;
  /** Close clients whose certificate is missing or not signed by `ca`, when one is asked for. Default: true. */
  readonly rejectUnauthorized?: boolean;
  /**
   * Other identities by server name (SNI): `chat.example.com`, or `*.example.com` for one label more. Default: none.
   */
  readonly servers?: Readonly<Record<string, TlsIdentity>>;
}

/** As it goes to the shards, all of which can resume each other's sessions. */
export interface TlsSettings extends TlsOptions {
  readonly ticketKeys: Uint8Array;
}

/** The TLS state of a port: made once for each change of its certificates. */
export interface TlsContexts {
  readonly main: SecureContextOptions;
  /** The context for a server name; undefined for the main one. */
  find(serverName: string): SecureContext | undefined;
}

/** Throws what `createSecureContext` does, for a key or certificate that is none or doesn't fit. */
export function createContexts(settings: TlsSettings): TlsContexts {
  const { servers = {}, key, cert, passphrase, ca, minVersion, maxVersion, ciphers, ticketKeys } = settings;
  const common = { ca, minVersion, maxVersion, ciphers, ticketKeys };
  const main = toNode({ ...common, key, cert, passphrase });
  createSecureContext(main);
  const byName = new Map<string, SecureContext>();
  for (const [name, identity] of Object.entries(servers)) {
    byName.set(name.toLowerCase(), createSecureContext(toNode({ ...common, ...identity })));
  }
  const find = (serverName: string): SecureContext | undefined => {
    const name = serverName.toLowerCase();
    return byName.get(name) ?? byName.get(name.replace(/^[^.]+/, "*"));
  };
  return { main, find };
}

/** Node takes typed arrays where its types say Buffer, and doesn't take undefined where an option isn't given. */
function toNode(options: Record<string, unknown>): SecureContextOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
