/** A listening server of the main thread that another process can take over. `ListeningSockets` has one for each. */
import { renameSync } from "node:fs";
import type { AddressInfo, Server, Socket } from "node:net";
import { duplicate } from "../../../wire/native/pass-descriptors.ts";
import { idleSocketsOf } from "../../../wire/node-internals/http.ts";
import { descriptorOf, handleOf, takeHandle } from "../../../wire/node-internals/net.ts";
import { closePassed, holdsByNumber, keepHandle, takeHandleAt } from "../../../wire/passing/passed-sockets.ts";
import { EMPTY } from "../../../wire/protocol/empty.ts";
import { atRest } from "../../../wire/transport/at-rest.ts";
import { type ClosingServer, stopListening } from "../../../wire/transport/close-when-answered.ts";
import { createServerFor } from "../../../wire/transport/raw-socket-server.ts";
import { type TakenSocket, takeSocket } from "../../../wire/transport/taken-socket.ts";
import type { AskedSocket, SocketsOfCall } from "./inheritance.ts";
import { openServer } from "./open-server.ts";

export class PassableServer implements SocketsOfCall {
  readonly asked: AskedSocket;
  readonly address: AddressInfo | string;
  readonly #server: Server;
  /** Servers of further sockets of the same port, which had a socket for each shard. */
  #others: Server[] = [];
  /** Descriptors of the sockets while the server is closed. */
  #kept: number[] = [];
  /** Set while the server is closed. */
  #closing: ClosingServer | undefined;

  private constructor(server: Server, { asked, address, descriptors }: SocketsOfCall) {
    this.#server = server;
    this.asked = asked;
    this.address = address;
    this.#kept = [...descriptors];
  }

  /** Opens a server. Rejects as `openServer` does. */
  static async open(server: Server, asked: AskedSocket, signal: AbortSignal | undefined): Promise<PassableServer> {
    const { path } = asked;
    if (path === undefined) {
      const address = await openServer(server, asked, signal);
      return new PassableServer(server, { asked, address, descriptors: [] });
    }
    // Node removes the file when the server closes, but by the name that it was bound with: never that of a successor.
    const own = `${path}.${process.pid}`;
    await openServer(server, { path: own }, signal);
    renameSync(own, path);
    return new PassableServer(server, { asked, address: path, descriptors: [] });
  }

  /** Prepares a server for sockets that came from another process. `goOn` opens them. */
  static inherit(server: Server, inherited: SocketsOfCall): PassableServer {
    return new PassableServer(server, inherited);
  }

  get descriptors(): readonly number[] {
    if (this.#kept.length > 0) return this.#kept;
    return [this.#server, ...this.#others].map(numberOf).filter((descriptor) => descriptor >= 0);
  }

  /** Stops accepting. New connections wait in the sockets, which stay open. */
  pause(): void {
    const servers = [this.#server, ...this.#others];
    this.#kept = holdsByNumber() ? this.descriptors.map(duplicate) : servers.flatMap(keepAtRest);
    for (const server of this.#others.splice(0)) server.close();
    // The answers to requests from now on close their connections: the clients come back to the other process.
    this.#closing = stopListening(this.#server);
  }

  /** Accepts with the sockets that were kept. */
  async goOn(): Promise<void> {
    const [first, ...others] = this.#kept.splice(0);
    if (first === undefined) return;
    await openServer(this.#server, takeHandleAt(first) ?? { fd: first }, undefined);
    for (const descriptor of others) this.#others.push(await this.#openAnother(descriptor));
  }

  adopt(socket: Socket): void {
    this.#server.emit("connection", socket);
  }

  passIdleOn(pass: (taken: TakenSocket) => void): void {
    const passOn = (): void => {
      for (const socket of idleSocketsOf(this.#server)) {
        const taken = takeSocket(socket, EMPTY);
        if (taken !== undefined) pass(taken);
      }
    };
    passOn();
    this.#closing?.closeIdle(passOn);
  }

  /** Closes all sockets, but not the server itself. */
  close(): void {
    for (const descriptor of this.#kept.splice(0)) closePassed(descriptor);
    for (const server of this.#others.splice(0)) server.close();
  }

  async #openAnother(descriptor: number): Promise<Server> {
    const server = createServerFor(this.#server);
    await openServer(server, takeHandleAt(descriptor) ?? { fd: descriptor }, undefined);
    return server;
  }
}

/** Returns the number of a server's socket; -1 if it is closed. */
function numberOf(server: Server): number {
  const descriptor = descriptorOf(server);
  const handle = handleOf(server);
  if (descriptor >= 0 && handle !== null && !holdsByNumber()) keepHandle(handle);
  return descriptor;
}

/** Takes a server's socket out of the server, which accepts no more. The socket stays open under the number. */
function keepAtRest(server: Server): number[] {
  const handle = handleOf(server);
  if (handle === null) return [];
  const resting = atRest(handle);
  takeHandle(server);
  return [keepHandle(resting)];
}
