/** Connections that can be read after their own end, for tests of half-close. */
import { type Socket, connect as tcpConnect } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { selfSigned } from "./certificate.ts";

/** Opens a TCP connection to a port on this machine. The connection can be read after its `end()`. */
export function dialTcp(port: number): Socket {
  return tcpConnect({ port, host: "127.0.0.1", allowHalfOpen: true });
}

/** Opens the same over TLS. Trusts the certificate of `selfSigned`. */
export function dialTls(port: number): Socket {
  const socket = tlsConnect({ port, host: "127.0.0.1", servername: "localhost", ca: selfSigned().cert });
  socket.allowHalfOpen = true;
  return socket;
}
