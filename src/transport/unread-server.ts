import { createServer, type Server, type Socket } from "node:net";

/** A TCP server that accepts sockets and reads nothing of them: such a socket moves to another thread as it is. */
export function createUnreadServer(accepted: (socket: Socket) => void): Server {
  return createServer({ pauseOnConnect: true, noDelay: true, allowHalfOpen: true }, accepted);
}
