/**
 * The way of `connect` through an HTTP proxy.
 */
import type { Duplex } from "node:stream";
import type { ConnectionOptions as TlsConnectionOptions } from "node:tls";
import { SwitchboardError } from "../../errors.ts";
import { builtins } from "../node-internals/builtins.ts";
import { openTunnel, type UpgradeRequestOptions } from "../upgrade/request.ts";
import type { TlsOptions } from "./connect-options.ts";
import { portOf } from "./proxy.ts";

/**
 * Opens a tunnel to the target by CONNECT. Returns request options that use the tunnel. Throws `ERR_PROXY_REFUSED` when
 * the proxy refuses.
 */
export async function throughProxy(
  proxy: URL,
  target: URL,
  tls: TlsOptions,
  proxyCa: TlsOptions["ca"],
  signal: AbortSignal,
): Promise<UpgradeRequestOptions> {
  const authority = `${target.hostname}:${portOf(target)}`;
  const options = { signal, ...(proxyCa !== undefined && { ca: proxyCa }) };
  const { response, upgraded } = await openTunnel(proxy, authority, options);
  const status = response.statusCode ?? 0;
  if (status < 200 || status > 299) {
    response.destroy();
    const cause = { status, headers: response.headers };
    const message = `the proxy answered CONNECT with ${status}`;
    throw new SwitchboardError("ERR_PROXY_REFUSED", message, { cause });
  }
  const { socket, readBuffer } = (await upgraded).downcast();
  if (signal.aborted) {
    socket.destroy();
    throw signal.reason;
  }
  if (readBuffer.length > 0) socket.unshift(readBuffer);
  const createConnection = (): Duplex => {
    if (target.protocol === "https:")
      return builtins.tls.connect({ ...peerName(target), ...tls, socket, ALPNProtocols: ["http/1.1"] });
    // The downcast left the socket paused; node:http only adds a listener, on the next tick.
    process.nextTick(() => socket.resume());
    return socket;
  };
  // Without an agent, node:http uses the connection of `createConnection`.
  return { agent: undefined, createConnection };
}

/** The name that the certificate must have. An address is no server name (RFC 6066 section 3). */
function peerName({ hostname }: URL): TlsConnectionOptions {
  const host = hostname.replace(/^\[|\]$/g, "");
  return host.includes(":") || /^[\d.]+$/.test(host) ? { host } : { host, servername: host };
}
