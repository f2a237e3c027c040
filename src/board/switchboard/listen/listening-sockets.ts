/**
 * The listening sockets of a board: opened here, or inherited from the process that the board takes over from, and
 * passed to the process that takes over from the board. `UpgradeIntake` has one.
 */
import { once } from "node:events";
import type { AddressInfo, Server, Socket } from "node:net";
import { SwitchboardError } from "../../../errors.ts";
import { closePassed, holdsByNumber, socketAt } from "../../../wire/passing/passed-sockets.ts";
import type { TakenSocket } from "../../../wire/transport/taken-socket.ts";
import type { MovingListener } from "../../takeover/messages.ts";
import { type AskedSocket, Inheritance, listenersOf, type SocketsOfCall } from "./inheritance.ts";
import { openServer } from "./open-server.ts";
import { PassableServer } from "./passable-server.ts";

/** The sockets of one call of `listen`. */
export interface PassableSockets extends SocketsOfCall {
  /** Stops accepting. The sockets stay open. */
  pause(): void;
  /** Accepts again. */
  goOn(): Promise<void>;
  /** Takes a socket that the process before has accepted, as if it had been accepted here. */
  adopt(socket: Socket): void;
  /**
   * Gives up the sockets in the main thread on which no request is being read or answered: those of now, and each that
   * comes to that until the server has closed. Those that can't be taken are closed, from a second later on.
   */
  passIdleOn(pass: (taken: TakenSocket) => void): void;
  /** Closes what is kept for another process. */
  close(): void;
}

export class ListeningSockets {
  readonly #isPassable: boolean;
  readonly #open = new Set<PassableSockets>();
  /** Names of the sockets of servers. */
  readonly #names = new WeakMap<object, string>();
  /** Servers that listen, or have connections left. */
  readonly #servers = new Set<Server>();
  #inheritance: Inheritance | undefined;
  #unclaimed: readonly string[] = [];

  /** @param isPassable true if another process may take the sockets over */
  constructor(isPassable: boolean) {
    this.#isPassable = isPassable;
  }

  get isPassable(): boolean {
    return this.#isPassable;
  }

  /**
   * Opens a server with an inherited socket, or with a new one. Rejects as `openServer` does, and with `ERR_NO_FFI`.
   */
  async open(server: Server, asked: AskedSocket, signal: AbortSignal | undefined): Promise<AddressInfo | string> {
    server.on("listening", () => this.#servers.add(server));
    server.on("close", () => this.#servers.delete(server));
    if (!this.#isPassable) return openServer(server, asked, signal);
    if (asked.path !== undefined && !holdsByNumber()) {
      throw new SwitchboardError(
        "ERR_NO_FFI",
        "a Unix socket can be taken over only with node:ffi (Node 26.9): listen on a port",
      );
    }
    const inherited = this.claim(asked);
    const sockets =
      inherited === undefined ? await this.#openNew(server, asked, signal) : PassableServer.inherit(server, inherited);
    this.add(sockets);
    this.#names.set(server, nameOf(sockets.address));
    server.on("close", () => this.#forget(sockets));
    if (inherited !== undefined) await this.settled();
    return sockets.address;
  }

  async #openNew(server: Server, asked: AskedSocket, signal: AbortSignal | undefined): Promise<PassableServer> {
    try {
      return await PassableServer.open(server, asked, signal);
    } catch (error) {
      throw this.refused(asked, error as Error);
    }
  }

  /** Returns the error for a call that couldn't open its port: see `Inheritance.refused`. */
  refused(asked: AskedSocket, error: Error): Error {
    return this.#inheritance?.refused(asked, error) ?? error;
  }

  /** Returns sockets that came from another process for such a call. They belong to the caller. */
  claim(asked: AskedSocket): SocketsOfCall | undefined {
    return this.#inheritance?.claim(asked);
  }

  /** Resolves when the servers that don't listen any more have answered their last requests. */
  async answered(): Promise<void> {
    const closing = [...this.#servers].filter(({ listening }) => !listening);
    await Promise.all(closing.map((server) => once(server, "close")));
  }

  /** Adds sockets that can be passed. */
  add(sockets: PassableSockets): void {
    this.#open.add(sockets);
  }

  /**
   * Resolves when the takeover is over, if all sockets of the other process have been asked for. Rejects if it fails.
   */
  async settled(): Promise<void> {
    await this.#inheritance?.settled();
  }

  // ── for the takeover ───────────────────────────────────────────────────────────────────────────────────

  /** Takes the sockets of the process that the board takes over from. Resolves when the program has asked for them. */
  inherit(listeners: readonly MovingListener[]): Promise<void> {
    this.#inheritance = new Inheritance(listeners);
    return this.#inheritance.claimed;
  }

  /** The program won't listen: sockets that it hasn't asked for are given up, and `inherit` rejects. */
  renounce(reason: Error): void {
    this.#inheritance?.renounce(reason);
  }

  /** Accepts with all inherited sockets. */
  async inherited(): Promise<void> {
    await this.goOn();
    this.#unclaimed = this.#inheritance?.closed.map(({ address }) => nameOf(address)) ?? [];
    this.#inheritance?.end();
    this.#inheritance = undefined;
  }

  /** Names of the inherited sockets that the program didn't ask for, and that were closed. */
  get unclaimed(): readonly string[] {
    return this.#unclaimed;
  }

  /** The takeover has failed. */
  disinherited(error: Error): void {
    this.#inheritance?.end(error);
    this.#inheritance = undefined;
  }

  /** Returns the name of the sockets of a server, for the other process; undefined if nobody can take them over. */
  nameOf(server: object): string | undefined {
    return this.#names.get(server);
  }

  /**
   * Takes a socket that the process before has accepted, and whatever has been read of it. The socket belongs to this
   * function. Throws `ERR_NO_LISTENER` if the program doesn't listen for it, and as `socketAt` does; then the socket is
   * closed here.
   *
   * @param listener name of the listening socket (`nameOf`)
   */
  adopt(descriptor: number, listener: string, bytes: Uint8Array): void {
    const found = [...this.#open].find(({ address }) => nameOf(address) === listener);
    if (found === undefined) {
      closePassed(descriptor);
      throw new SwitchboardError("ERR_NO_LISTENER", `nobody listens for sockets of ${listener}`);
    }
    const socket = ownedSocketAt(descriptor);
    if (bytes.length > 0) socket.unshift(bytes);
    try {
      found.adopt(socket);
    } catch (error) {
      // A listener of the program has thrown. The other process answers the peer.
      socket.destroy();
      throw error;
    }
  }

  /**
   * Gives up the sockets in the main thread that wait for a request, now and later, each with the name of its listening
   * socket.
   */
  passIdleOn(pass: (taken: TakenSocket, listener: string) => void): void {
    for (const sockets of this.#open) {
      const listener = nameOf(sockets.address);
      sockets.passIdleOn((taken) => pass(taken, listener));
    }
  }

  listeners(): MovingListener[] {
    return listenersOf([...this.#open]);
  }

  pause(): void {
    for (const sockets of this.#open) sockets.pause();
  }

  async goOn(): Promise<void> {
    for (const sockets of this.#open) await sockets.goOn();
  }

  /** Closes what is kept for other processes. */
  close(): void {
    for (const sockets of this.#open) sockets.close();
    this.#open.clear();
  }

  /** A server was closed, but not by `pause`. */
  #forget(sockets: PassableSockets): void {
    if (sockets.descriptors.length === 0) this.#open.delete(sockets);
  }
}

/** Returns the socket of a number. Throws as `socketAt` does, and closes the number then. */
export function ownedSocketAt(descriptor: number): Socket {
  try {
    return socketAt(descriptor);
  } catch (error) {
    closePassed(descriptor);
    throw error;
  }
}

/** Returns the name of a listening socket by its address, which both processes know. */
export function nameOf(address: AddressInfo | string): string {
  return typeof address === "string" ? address : `${address.address}:${address.port}`;
}
