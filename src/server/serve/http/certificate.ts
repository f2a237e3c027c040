/** The certificate of the port of clients, from the files that the config names. */
import { readFile } from "node:fs/promises";
import { SwitchboardError } from "../../../errors.ts";
import { builtins } from "../../../wire/node-internals/builtins.ts";
import type { ServerConfig } from "../../config/config.ts";

type TlsFiles = NonNullable<ServerConfig["httpServer"]["tls"]>;

/** Reads the certificate and its key. Throws `ERR_OPTION` that names the key of the config. */
export async function certificateOf({ certFile, keyFile }: TlsFiles): Promise<{ cert: Buffer; key: Buffer }> {
  const [cert, key] = [await readTlsFile("cert_pem", certFile), await readTlsFile("key_pem", keyFile)];
  try {
    builtins.tls.createSecureContext({ cert, key });
  } catch (cause) {
    const reason = `${certFile} and ${keyFile} aren't a certificate and its key: ${messageOf(cause)}`;
    throw new SwitchboardError("ERR_OPTION", `http_server.tls: ${reason}`, { cause });
  }
  return { cert, key };
}

async function readTlsFile(name: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new SwitchboardError("ERR_OPTION", `http_server.tls.${name}: ${messageOf(cause)}`, { cause });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
