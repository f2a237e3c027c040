/** The client `connect()` as the end under test. Used by `client.test.ts`. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { connect } from "../../src/wire/websocket/index.ts";
import type { WebSocket } from "../../src/wire/websocket/websocket.ts";
import { COMPRESSION, type CompressionSetup, type DeflateParameters, type DeflateTerms } from "./case.ts";
import { Peer } from "./peer.ts";
import { acceptFor, formatDeflate, headerOf, MAX_PAYLOAD_BYTES, parseDeflate, type Role, readHead } from "./role.ts";

/** The role of our `connect()`, which echoes, with a server written for these tests. */
export class ClientRole implements Role {
  readonly name: string;
  #server: Promise<Server> | undefined;
  #dialled = 0;
  readonly #expected = new Map<string, (socket: Socket, lines: string[]) => void>();

  constructor(name: string) {
    this.name = name;
  }

  async open(deflate?: DeflateTerms): Promise<Peer> {
    let parameters: DeflateParameters = {};
    const { websocket, answered } = await this.dial(deflate?.setup ?? "none", (offer) => {
      if (deflate === undefined) return undefined;
      parameters = answerTo(parseDeflate(offer ?? ""), deflate.parameters);
      return formatDeflate(parameters);
    });
    const [client, { socket, offer, head }] = await Promise.all([websocket, answered]);
    void echo(client);
    const verdict = client.closed;
    if (deflate === undefined) {
      if (offer !== undefined) throw new Error(`extensions are offered, though none is wanted: ${offer}`);
      return new Peer(socket, { role: "server", head, verdict });
    }
    const limit = parameters.clientMaxWindowBits ?? parseDeflate(offer ?? "").clientMaxWindowBits ?? 15;
    const agreed = {
      sendWindowBits: parameters.serverMaxWindowBits ?? 15,
      sendTakeover: !parameters.serverNoContextTakeover,
      receiveWindowBits: limit === true ? 15 : limit,
    };
    return new Peer(socket, { role: "server", head, deflate: agreed, verdict });
  }

  /** The opening handshake of a server that answers the offered extensions with its own choice. */
  async dial(setup: CompressionSetup | "none", choose: (offer: string | undefined) => string | undefined) {
    this.#server ??= this.#listen();
    const { port } = (await this.#server).address() as AddressInfo;
    const path = `/${this.#dialled++}`;
    const answered = new Promise<{ socket: Socket; offer: string | undefined; head: Buffer }>((resolve) => {
      this.#expected.set(path, (socket, lines) => {
        const accept = acceptFor(headerOf(lines, "Sec-WebSocket-Key") ?? "");
        const offer = headerOf(lines, "Sec-WebSocket-Extensions");
        const extension = choose(offer);
        const answer = [
          "HTTP/1.1 101 Switching Protocols",
          "Upgrade: websocket",
          "Connection: Upgrade",
          `Sec-WebSocket-Accept: ${accept}`,
          ...(extension === undefined ? [] : [`Sec-WebSocket-Extensions: ${extension}`]),
        ];
        socket.write(`${answer.join("\r\n")}\r\n\r\n`);
        resolve({ socket, offer, head: Buffer.alloc(0) });
      });
    });
    const websocket: Promise<WebSocket> = connect(`ws://127.0.0.1:${port}${path}`, {
      proxy: false,
      maxPayloadBytes: MAX_PAYLOAD_BYTES,
      // Large enough that the messages of a case aren't taken for a peer that doesn't read.
      maxBufferedBytes: 2 * MAX_PAYLOAD_BYTES,
      ...(setup !== "none" && { compression: COMPRESSION[setup] }),
    });
    return { websocket, answered };
  }

  async close(): Promise<void> {
    (await this.#server)?.close();
  }

  async #listen(): Promise<Server> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      socket.on("error", () => {});
      void readHead(socket).then(({ lines }) => {
        const path = lines[0]?.split(" ")[1] ?? "";
        this.#expected.get(path)?.(socket, lines);
        this.#expected.delete(path);
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return server;
  }
}

async function echo(socket: WebSocket): Promise<void> {
  for await (const message of socket) await socket.send(message);
}

/**
 * Compression parameters of the server's answer: those of the case, within the client's offer. Source: RFC 7692 section
 * 7.1.
 */
function answerTo(offer: DeflateParameters, wanted: DeflateParameters): DeflateParameters {
  const { serverMaxWindowBits = 15, clientMaxWindowBits = true } = wanted;
  const server = Math.min(serverMaxWindowBits, offer.serverMaxWindowBits ?? 15);
  const limit = offer.clientMaxWindowBits === true ? 15 : offer.clientMaxWindowBits;
  return {
    serverNoContextTakeover: (wanted.serverNoContextTakeover || offer.serverNoContextTakeover) ?? false,
    clientNoContextTakeover: wanted.clientNoContextTakeover ?? false,
    ...((wanted.serverMaxWindowBits !== undefined || server < 15) && { serverMaxWindowBits: server }),
    ...(clientMaxWindowBits !== true &&
      limit !== undefined && { clientMaxWindowBits: Math.min(clientMaxWindowBits, limit) }),
  };
}
