/** The check of `tls` options, for `listen` and `updateTls`. */
import { SwitchboardError } from "../../../errors.ts";
import { checkNames } from "../../../wire/handshake/option-check.ts";
import { builtins } from "../../../wire/node-internals/builtins.ts";
import { createContexts, type TlsIdentity, type TlsOptions, type TlsSettings } from "../../accept/tls-settings.ts";

const identityOptions = ["key", "cert", "passphrase"];
const tlsOptions = [
  ...identityOptions,
  "ca",
  "minVersion",
  "maxVersion",
  "ciphers",
  "requestCert",
  "rejectUnauthorized",
  "servers",
];

/**
 * Checks TLS options, keys and certificates included, and converts them for the shards. Throws `ERR_OPTION` for an
 * option that doesn't exist, and `ERR_TLS` for keys and certificates that Node refuses: see `createContexts`.
 */
export function checkTlsOptions(call: string, options: TlsOptions): TlsSettings {
  checkIdentity(`${call}: tls`, options, tlsOptions);
  const servers: Record<string, TlsIdentity> = {};
  for (const [name, identity] of Object.entries(options.servers ?? {})) {
    checkIdentity(`${call}: tls.servers["${name}"]`, identity, identityOptions);
    servers[name] = toCloneable(identity);
  }
  const settings = { ...toCloneable(options), servers, ticketKeys: new Uint8Array(builtins.crypto.randomBytes(48)) };
  try {
    createContexts(settings);
  } catch (error) {
    const { message, cause } = error as Error;
    throw new SwitchboardError("ERR_TLS", `${call}: ${message}`, { cause });
  }
  return settings;
}

function checkIdentity(what: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== "object" || options === null) fail(`${what} must be an object with key and cert`);
  checkNames(what, options, known);
  for (const name of ["key", "cert"] as const) {
    if ((options as Partial<TlsIdentity>)[name] === undefined) fail(`${what}: ${name} is missing`);
  }
}

/** Copies bytes out of the memory around them: the copy is cloned to every shard. */
function toCloneable<Options extends object>(options: Options): Options {
  const copy = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(copy);
    return value instanceof Uint8Array ? new Uint8Array(value) : value;
  };
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [name, copy(value)])) as Options;
}

function fail(message: string): never {
  throw new SwitchboardError("ERR_OPTION", message);
}
