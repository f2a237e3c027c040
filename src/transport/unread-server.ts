import { createServer, type Server, type Socket } from "node:net";

const OPTIONS = { noDelay: true, allowHalfOpen: true };

/** A TCP server that accepts sockets and reads nothing of them: such a socket moves to another thread as it is. */
export function createUnreadServer(accepted: (socket: Socket) => void): Server {
  return createServer({ ...OPTIONS, pauseOnConnect: true }, accepted);
}

/** A TCP server that is to move to another thread before it accepts anything. */
export function createMovableServer(): Server {
  return createServer();
}

/** Begins to accept with a server that was moved here. Of its options only the handle came along. */
export function acceptWith(server: Server, accepted: (socket: Socket) => void): void {
  Object.assign(server, OPTIONS);
  server.on("connection", accepted);
}
