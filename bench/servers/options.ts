/** The options of the servers in this folder. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { workOf } from "../targets/work.ts";

/** Options of a server under test. */
export interface ServerOptions {
  readonly port: number;
  readonly mode: "echo" | "fanout";
  readonly compress: boolean;
  readonly maxPayloadBytes: number;
  /** Contents and paths of the two PEM files. undefined: no TLS. */
  readonly tls:
    | { readonly key: Buffer; readonly cert: Buffer; readonly keyPath: string; readonly certPath: string }
    | undefined;
  /** Work to do before each echo. undefined: none. */
  readonly work: (() => void) | undefined;
}

/**
 * Parses the command line that all servers under test take: `--port P --mode echo|fanout [--compress] [--tls KEY CERT]
 * [--busy MICROS] [--max-payload BYTES]`. `echo` returns each message, with `--busy` after that many µs of work.
 * `fanout` sends each message to all other connections of its URL path. A server prints `listening on PORT`. SIGTERM
 * ends it. Throws a RangeError for an invalid option.
 */
export function serverOptions(): ServerOptions {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      port: { type: "string", default: "9001" },
      mode: { type: "string", default: "echo" },
      compress: { type: "boolean", default: false },
      tls: { type: "string" },
      busy: { type: "string" },
      "max-payload": { type: "string", default: String(1024 * 1024) },
    },
  });
  const { mode, tls: keyPath } = values;
  if (mode !== "echo" && mode !== "fanout") throw new RangeError(`--mode takes echo or fanout, got ${mode}`);
  const [certPath] = positionals;
  if (keyPath !== undefined && certPath === undefined) throw new RangeError("--tls takes two paths: KEY CERT");
  return {
    port: Number(values.port),
    mode,
    compress: values.compress,
    maxPayloadBytes: Number(values["max-payload"]),
    tls:
      keyPath && certPath ? { key: readFileSync(keyPath), cert: readFileSync(certPath), keyPath, certPath } : undefined,
    work: values.busy === undefined ? undefined : workOf(Number(values.busy)),
  };
}
