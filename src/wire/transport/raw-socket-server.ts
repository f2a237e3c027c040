/** TCP servers whose sockets move to a shard before anything is read, and servers that a shard accepts with. */
import { createServer, Server, type Socket } from "node:net";
import { acceptOptionsOf, listeningHandleOf, ownerOf, setAcceptOptions } from "../node-internals/net.ts";
import { type DescriptorRoom, descriptorRoom } from "./descriptors.ts";
import { TcpTransport } from "./tcp-transport.ts";

const NOTHING = Buffer.alloc(0);
const OPTIONS = { noDelay: true, allowHalfOpen: true };

/**
 * Creates a TCP server that accepts sockets without reading from them: such a socket moves to another thread as it is.
 */
export function createRawSocketServer(accepted: (socket: Socket) => void): Server {
  return createServer({ ...OPTIONS, pauseOnConnect: true }, accepted);
}

/** Creates a TCP server that moves to another thread before it accepts anything. */
export function createMovableServer(): Server {
  return createServer();
}

/** Creates a server that accepts for another one: the sockets come as if the other server had accepted them. */
export function createServerFor(other: Server): Server {
  const server = createServer((socket) => void other.emit("connection", socket));
  setAcceptOptions(server, acceptOptionsOf(other));
  return server;
}

/** True for a server of `node:net`, and for the servers of `node:http` and others that stand on it. */
export function isServer(value: object): value is Server {
  return value instanceof Server;
}

/** Starts to accept with a server that has moved here. Of its options only the handle came along. */
export function acceptWith(server: Server, accepted: (socket: Socket) => void): void {
  setAcceptOptions(server, OPTIONS);
  server.on("connection", accepted);
}

/**
 * Starts to accept connections that become transports at once. They are taken below the server's own sockets if this
 * Node allows it: creating a socket and its stream, only to take its handle, is a fifth of the CPU that a connection
 * costs from accept to close.
 */
export function acceptTransportsWith(
  server: Server,
  accepted: (transport: TcpTransport, room: DescriptorRoom) => void,
): void {
  const handle = listeningHandleOf(server);
  if (handle === undefined) {
    setAcceptOptions(server, { pauseOnConnect: true });
    acceptWith(server, (socket) => {
      const room = descriptorRoom(socket);
      accepted(new TcpTransport(socket, NOTHING), room);
    });
    return;
  }
  // On Linux an accepted socket inherits the option from the listening socket: a system call less for each connection.
  const undelayed = process.platform === "linux" && handle.setNoDelay?.(true) === 0;
  const fail = handle.onconnection;
  handle.onconnection = function (error, client) {
    if (error !== 0 || client == null) {
      fail.call(this, error, client);
      return;
    }
    const owner = ownerOf(client);
    const room = descriptorRoom(owner);
    accepted(new TcpTransport(owner, NOTHING, undelayed), room);
  };
}
