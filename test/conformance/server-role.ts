/** A board as the end under test, in several ways to accept. Used by the `*-server.test.ts` files. */
import { once } from "node:events";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { connect as tlsConnect } from "node:tls";
import { type ListenOptions, type StartOptions, Switchboard } from "../../src/index.ts";
import { actorUrl } from "../support/board.ts";
import { selfSigned } from "../support/certificate.ts";
import { upgradeRequest } from "../support/raw-client.ts";
import { COMPRESSION, type CompressionSetup, type DeflateParameters, type DeflateTerms } from "./case.ts";
import type { DeflateTermsAgreed } from "./deflate.ts";
import { Peer } from "./peer.ts";
import { acceptFor, formatDeflate, headerOf, MAX_PAYLOAD_BYTES, parseDeflate, type Role, readHead } from "./role.ts";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

export interface ServerRoleOptions {
  readonly sockets?: StartOptions["sockets"];
  readonly handshake?: ListenOptions["handshake"];
  /** True to use TLS, in the shard. Default: false. */
  readonly tls?: boolean;
}

/** Boards that echo, one for each compression setup. Each board starts when the first case needs it. */
export class ServerRole implements Role {
  readonly name: string;
  readonly #options: ServerRoleOptions;
  readonly #boards = new Map<CompressionSetup | "none", Promise<{ board: Switchboard; port: number }>>();

  constructor(name: string, options: ServerRoleOptions = {}) {
    this.name = name;
    this.#options = options;
  }

  open(deflate?: DeflateTerms): Promise<Peer> {
    if (deflate === undefined) return this.openOffering("none", undefined, undefined);
    return this.openOffering(deflate.setup, formatDeflate(deflate.parameters), deflate.parameters);
  }

  /**
   * Opens a connection with this exact offer. `taken` are the parameters that the server must accept; undefined if
   * none. Throws if the server chooses otherwise.
   */
  async openOffering(
    setup: CompressionSetup | "none",
    offer: string | undefined,
    taken: DeflateParameters | undefined,
  ): Promise<Peer> {
    const { socket, answer, head } = await this.#ask(setup, offer);
    if ((answer === undefined) !== (taken === undefined)) {
      socket.destroy();
      throw new Error(`the offer ${offer} was answered with ${answer}`);
    }
    if (answer === undefined || taken === undefined) return new Peer(socket, { role: "client", head });
    return new Peer(socket, { role: "client", head, deflate: agreedAsClient(taken, parseDeflate(answer)) });
  }

  /** The opening handshake. `answer` is the server's choice of the offered extensions. */
  async #ask(
    setup: CompressionSetup | "none",
    offer: string | undefined,
  ): Promise<{ socket: Duplex; answer: string | undefined; head: Buffer }> {
    const { port } = await this.#board(setup);
    const socket = await this.#dial(port);
    const headers = { "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Extensions": offer };
    socket.write(upgradeRequest({ headers }));
    const { lines, rest } = await readHead(socket);
    const [status] = lines;
    if (!status?.startsWith("HTTP/1.1 101 ")) throw new Error(`the handshake was answered with ${status}`);
    if (headerOf(lines, "Sec-WebSocket-Accept") !== acceptFor(KEY)) throw new Error("the accept key is wrong");
    return { socket, answer: headerOf(lines, "Sec-WebSocket-Extensions"), head: rest };
  }

  async close(): Promise<void> {
    for (const { board } of await Promise.all(this.#boards.values())) await board.close({ timeoutMs: 0 });
  }

  #board(setup: CompressionSetup | "none"): Promise<{ board: Switchboard; port: number }> {
    let started = this.#boards.get(setup);
    if (started === undefined) {
      started = this.#start(setup);
      this.#boards.set(setup, started);
    }
    return started;
  }

  async #start(setup: CompressionSetup | "none"): Promise<{ board: Switchboard; port: number }> {
    const { sockets, handshake, tls = false } = this.#options;
    const board = await Switchboard.start({
      actor: actorUrl("echo"),
      shards: 1,
      maxPayloadBytes: MAX_PAYLOAD_BYTES,
      // Large enough that the messages of a case aren't taken for a peer that doesn't read.
      maxBufferedBytes: 2 * MAX_PAYLOAD_BYTES,
      ...(sockets && { sockets }),
      ...(setup !== "none" && { compression: COMPRESSION[setup] }),
    });
    const { port } = await board.listen({
      port: 0,
      host: "127.0.0.1",
      ...(handshake && { handshake }),
      ...(tls && { tls: selfSigned() }),
    });
    return { board, port };
  }

  async #dial(port: number): Promise<Duplex> {
    const options = { port, host: "127.0.0.1", allowHalfOpen: true };
    if (!this.#options.tls) {
      const socket = connect(options);
      await once(socket, "connect");
      return socket.setNoDelay(true);
    }
    const socket = tlsConnect({ ...options, ca: selfSigned().cert, servername: "localhost" });
    await once(socket, "secureConnect");
    return socket.setNoDelay(true);
  }
}

/**
 * The client's view of an answer to an offer. Throws for an answer that doesn't follow from the offer. Source: RFC 7692
 * section 7.1.
 */
function agreedAsClient(offer: DeflateParameters, answer: DeflateParameters): DeflateTermsAgreed {
  const { serverMaxWindowBits = 15, clientMaxWindowBits = 15 } = answer;
  if (offer.serverNoContextTakeover && !answer.serverNoContextTakeover) throw new Error("the server keeps its context");
  if (serverMaxWindowBits > (offer.serverMaxWindowBits ?? 15)) throw new Error("the server's window is too large");
  if (clientMaxWindowBits === true) throw new Error("an answer names the client's window");
  if (answer.clientMaxWindowBits !== undefined && offer.clientMaxWindowBits === undefined) {
    throw new Error("the client didn't say that it takes a limit");
  }
  const limit = offer.clientMaxWindowBits ?? 15;
  // The client also keeps to its own limit in the offer.
  const sendWindowBits = Math.min(clientMaxWindowBits, limit === true ? 15 : limit);
  const sendTakeover = !answer.clientNoContextTakeover && !offer.clientNoContextTakeover;
  return { sendWindowBits, sendTakeover, receiveWindowBits: serverMaxWindowBits };
}
