/** One opening handshake, as the acceptor sees it in any version of HTTP, and the handshake over HTTP/1.1. */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { switchingAnswer, switchingHeaders } from "../../wire/handshake/answer.ts";
import {
  type Accepted,
  checkHandshake,
  type Refusal,
  type ServerHandshakeOptions,
} from "../../wire/handshake/server.ts";
import {
  type AnswerHeaders,
  refuseUpgrade,
  switchingProtocols,
  type UpgradeRefusal,
} from "../../wire/upgrade/response.ts";
import type { SocketWatch } from "./routes/socket-watch.ts";

/** One opening handshake, in the way of its version of HTTP. */
export interface OpeningHandshake {
  readonly request: IncomingMessage;
  /** The stream that will carry the WebSocket's bytes. */
  readonly socket: Duplex;
  /** Bytes of it that were read with the request. */
  readonly head: Buffer;
  /** Resolves when the answer's turn has come; undefined when it has. */
  readonly turn: Promise<void> | undefined;
  /**
   * True if other code answered the request or reads the socket: nothing may be written to it. False once the peer was
   * let in.
   */
  readonly isTaken: boolean;
  check(options: ServerHandshakeOptions): Accepted | Refusal;
  /**
   * Lets the peer in. Returns the bytes to write before the first frame, as latin1.
   *
   * @param headers added to those of the handshake
   */
  accept(accepted: Accepted, headers?: AnswerHeaders): string;
  /** Refuses, and closes the socket when the peer has had time to read the answer. */
  refuse(refusal: UpgradeRefusal): void;
  /**
   * Refuses after `accept`. When a part of the answer has left already, the socket is closed instead. Returns true when
   * it refused.
   *
   * @param socket to answer on: a handoff that failed may have replaced the handshake's own
   */
  withdraw(refusal: UpgradeRefusal, socket: Duplex): boolean;
}

/** Returns the 101 of an accepted handshake, to be written as latin1. */
export function switchingToWebSocket(accepted: Accepted, headers?: AnswerHeaders): string {
  // Most answers have no other headers, and need no check of their names and values.
  if (headers === undefined) return switchingAnswer(accepted);
  return switchingProtocols({ ...switchingHeaders(accepted), ...headers });
}

/** An upgrade. Source: RFC 6455 section 4.2. */
export class Http1OpeningHandshake implements OpeningHandshake {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly #watch: SocketWatch;
  /** True once the board reads and writes the socket. */
  #accepted = false;

  constructor(request: IncomingMessage, socket: Duplex, head: Buffer, watch: SocketWatch) {
    this.request = request;
    this.socket = socket;
    this.head = head;
    this.#watch = watch;
    watch.claim();
  }

  get turn(): Promise<void> | undefined {
    return this.#watch.earlierResponses;
  }

  get isTaken(): boolean {
    return !this.#accepted && this.#watch.isTaken;
  }

  check(options: ServerHandshakeOptions): Accepted | Refusal {
    return checkHandshake(this.request, options);
  }

  accept(accepted: Accepted, headers?: AnswerHeaders): string {
    this.#accepted = true;
    return switchingToWebSocket(accepted, headers);
  }

  refuse(refusal: UpgradeRefusal): void {
    refuseUpgrade(this.socket, refusal);
  }

  /** The shard writes the 101, with its first bytes. */
  withdraw(refusal: UpgradeRefusal, socket: Duplex): boolean {
    refuseUpgrade(socket, refusal);
    return true;
  }
}
