/** All ports of a board on which the main thread does the handshakes. `UpgradeIntake` has one. */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { descriptorRoom, outOfDescriptors } from "../../../wire/transport/descriptors.ts";
import type { Acceptor } from "../../accept/acceptor.ts";
import { createHandshakeServer } from "../../accept/handshake-server.ts";
import type { UpgradeRoutes } from "../../accept/routes/upgrade-routes.ts";
import type { ListenSettings } from "../options/listen-options.ts";
import type { ListeningSockets } from "./listening-sockets.ts";

export interface MainListenersOwner {
  readonly acceptor: Acceptor;
  readonly routes: UpgradeRoutes;
  /** Reports a socket that was closed because few descriptors are left, or an error of a port. */
  readonly acceptFailed: (error: Error) => void;
  readonly sockets: ListeningSockets;
}

/** Ports with a server of `node:http` each, to which the board is attached. */
export class MainListeners {
  readonly #owner: MainListenersOwner;
  readonly #servers: Server[] = [];

  constructor(owner: MainListenersOwner) {
    this.#owner = owner;
  }

  /** Opens a port with one route. Rejects as `openServer` does. */
  async listen({ port, host, route }: ListenSettings, signal: AbortSignal): Promise<AddressInfo> {
    const { acceptor, routes, acceptFailed, sockets } = this.#owner;
    const server = createHandshakeServer(route);
    server.on("clientError", (error, socket) => acceptor.refuseUnparsed(socket, error));
    server.on("connection", (socket) => {
      // A socket that takes one of the last descriptors is closed before its request.
      if (descriptorRoom(socket) !== "none") return;
      socket.destroy();
      acceptFailed(outOfDescriptors());
    });
    routes.addRoute(server, route);
    try {
      const asked = host === undefined ? { port } : { port, host };
      const address = (await sockets.open(server, asked, signal)) as AddressInfo;
      this.#servers.push(server);
      server.on("error", acceptFailed);
      return address;
    } catch (error) {
      routes.removeRoutes(server);
      throw error;
    }
  }

  /** Closes the ports. Sockets that were accepted before stay open. */
  close(): void {
    for (const server of this.#servers) server.close();
  }

  /** Closes the sockets on which no connection was made. */
  closeAllConnections(): void {
    for (const server of this.#servers) server.closeAllConnections();
  }
}
