/** `Bun.serve` as a server under test. Runs in Bun, with the options of `options.ts`. */
import { serverOptions } from "./options.ts";

interface BunSocket {
  readonly data: { readonly topic: string };
  send(data: string | Uint8Array, compress?: boolean): number;
  publish(topic: string, data: string | Uint8Array, compress?: boolean): number;
  subscribe(topic: string): void;
}

interface BunServer {
  readonly port: number;
  upgrade(request: Request, options: { readonly data: BunSocket["data"] }): boolean;
}

declare const Bun: {
  file(path: string): unknown;
  serve(options: {
    readonly port: number;
    readonly hostname: string;
    readonly tls?: { readonly key: unknown; readonly cert: unknown };
    fetch(request: Request, server: BunServer): Response | undefined;
    readonly websocket: {
      readonly perMessageDeflate: boolean;
      readonly maxPayloadLength: number;
      readonly backpressureLimit: number;
      open(socket: BunSocket): void;
      message(socket: BunSocket, message: string | Uint8Array): void;
    };
  }): BunServer;
};

const { port, mode, compress, maxPayloadBytes, tls, work } = serverOptions();
const server = Bun.serve({
  port,
  hostname: "127.0.0.1",
  ...(tls && { tls: { key: Bun.file(tls.keyPath), cert: Bun.file(tls.certPath) } }),
  fetch(request, self) {
    // An echo needs no path, so it doesn't pay for parsing the URL.
    const topic = mode === "fanout" ? new URL(request.url).pathname : "";
    return self.upgrade(request, { data: { topic } }) ? undefined : new Response("", { status: 426 });
  },
  websocket: {
    perMessageDeflate: compress,
    maxPayloadLength: maxPayloadBytes,
    // As in `targets/switchboard.ts`: a load with many messages in flight must not pass for a slow consumer.
    backpressureLimit: 64 * 1024 * 1024,
    open(socket) {
      if (mode === "fanout") socket.subscribe(socket.data.topic);
    },
    message(socket, message) {
      if (mode === "fanout") return void socket.publish(socket.data.topic, message, compress);
      work?.();
      socket.send(message, compress);
    },
  },
});
console.log(`listening on ${server.port}`);
process.once("SIGTERM", () => process.exit(0));
