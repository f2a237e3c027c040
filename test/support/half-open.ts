import { type Socket, connect as tcpConnect } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { selfSigned } from "./certificate.ts";

/** A TCP connection to a port on this machine that can be read after its `end()`. */
export function dialTcp(port: number): Socket {
  return tcpConnect({ port, host: "127.0.0.1", allowHalfOpen: true });
}

/** The same over TLS; trusts the certificate of `selfSigned`. */
export function dialTls(port: number): Socket {
  const socket = tlsConnect({ port, host: "127.0.0.1", servername: "localhost", ca: selfSigned().cert });
  socket.allowHalfOpen = true;
  return socket;
}
