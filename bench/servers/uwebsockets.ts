/**
 * uWebSockets.js as a server under test, if installed (`npm install --no-save uNetworking/uWebSockets.js#v20.x`), with
 * the options of `options.ts`.
 */
import { serverOptions } from "./options.ts";

interface UwsSocket {
  getUserData(): { readonly topic: string };
  send(message: ArrayBuffer, binary: boolean, compress: boolean): number;
  publish(topic: string, message: ArrayBuffer, binary: boolean, compress: boolean): boolean;
  subscribe(topic: string): boolean;
}

interface UwsApp {
  ws(pattern: string, behavior: Record<string, unknown>): UwsApp;
  listen(host: string, port: number, done: (token: unknown) => void): UwsApp;
}

interface Uws {
  readonly SHARED_COMPRESSOR: number;
  readonly SHARED_DECOMPRESSOR: number;
  readonly DISABLED: number;
  App(): UwsApp;
  SSLApp(options: { key_file_name: string; cert_file_name: string }): UwsApp;
  us_socket_local_port(token: unknown): number;
}

interface UwsResponse {
  upgrade(data: { topic: string }, key: string, protocol: string, extensions: string, context: unknown): void;
}

interface UwsRequest {
  getUrl(): string;
  getHeader(name: string): string;
}

const { port, mode, compress, maxPayloadBytes, tls, work } = serverOptions();
const packageName = "uWebSockets.js";
const uws: Uws = (await import(packageName)).default;
const app = tls === undefined ? uws.App() : uws.SSLApp({ key_file_name: tls.keyPath, cert_file_name: tls.certPath });

app.ws("/*", {
  compression: compress ? uws.SHARED_COMPRESSOR | uws.SHARED_DECOMPRESSOR : uws.DISABLED,
  maxPayloadLength: maxPayloadBytes,
  maxBackpressure: 64 * 1024 * 1024,
  upgrade(response: UwsResponse, request: UwsRequest, context: unknown) {
    response.upgrade(
      { topic: request.getUrl() },
      request.getHeader("sec-websocket-key"),
      request.getHeader("sec-websocket-protocol"),
      request.getHeader("sec-websocket-extensions"),
      context,
    );
  },
  open(socket: UwsSocket) {
    if (mode === "fanout") socket.subscribe(socket.getUserData().topic);
  },
  message(socket: UwsSocket, message: ArrayBuffer, binary: boolean) {
    if (mode === "fanout") return void socket.publish(socket.getUserData().topic, message, binary, compress);
    work?.();
    socket.send(message, binary, compress);
  },
});
app.listen("127.0.0.1", port, (token) => {
  if (!token) throw new Error(`can't listen on port ${port}`);
  console.log(`listening on ${uws.us_socket_local_port(token)}`);
});
process.once("SIGTERM", () => process.exit(0));
