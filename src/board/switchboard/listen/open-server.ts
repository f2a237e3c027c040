/** Opens the port of a server. All listeners of this folder use it. */
import type { AddressInfo, ListenOptions, Server } from "node:net";
import { SwitchboardError } from "../../../errors.ts";
import type { TcpHandle } from "../../../wire/node-internals/net.ts";
import { throwIfAbandoned } from "../abandoned.ts";

/**
 * Opens the port of a server, and resolves with its address. Rejects as `net.Server` does (`EADDRINUSE`); with
 * `ERR_CLOSED` when the server is closed meanwhile; and as `throwIfAbandoned` does when the signal is aborted. After a
 * rejection the port isn't bound.
 */
export async function openServer(
  server: Server,
  options: ListenOptions | { readonly fd: number } | TcpHandle,
  signal: AbortSignal | undefined,
): Promise<AddressInfo> {
  throwIfAbandoned(signal);
  const settled = Promise.withResolvers<void>();
  const closed = (): void => settled.reject(new SwitchboardError("ERR_CLOSED", "the server was closed"));
  const aborted = (): void => settled.reject(signal?.reason);
  server.once("listening", settled.resolve).once("error", settled.reject).once("close", closed);
  signal?.addEventListener("abort", aborted);
  try {
    server.listen(options);
    await settled.promise;
    throwIfAbandoned(signal);
    return server.address() as AddressInfo;
  } catch (error) {
    // A host name may still be looked up: only after that there is a port to close.
    server.once("listening", () => server.close()).once("error", () => {});
    server.close();
    throwIfAbandoned(signal);
    throw error;
  } finally {
    server.off("listening", settled.resolve).off("error", settled.reject).off("close", closed);
    signal?.removeEventListener("abort", aborted);
  }
}
