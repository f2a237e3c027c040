/** Listens for channels on a Unix socket. The process that may be taken over has one server. */
import { once } from "node:events";
import { lstatSync, renameSync, rmSync, statSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { type PeerProcess, peerOf } from "../native/pass-descriptors.ts";
import { builtins } from "../node-internals/builtins.ts";
import { descriptorOf } from "../node-internals/net.ts";
import { DescriptorChannel } from "./descriptor-channel.ts";
import { CONNECT_TIMEOUT_MS, DESCRIPTORS, MESSAGES, readExactly, TOKEN_BYTES } from "./first-bytes.ts";

/** Connections that haven't become channels. More are closed at once. */
const MAX_WAITING = 8;

/** A connection for messages that waits for its other half. */
interface Half {
  readonly socket: Socket;
  readonly peer: PeerProcess;
}

export class ChannelServer {
  readonly #path: string;
  readonly #server: Server;
  readonly #accepted: (channel: DescriptorChannel) => void;
  /** Halves of channels by token, in hexadecimal. */
  readonly #halves = new Map<string, Half>();
  /** Connections that aren't channels yet, with the timers that end them. */
  readonly #waiting = new Map<Socket, NodeJS.Timeout>();
  /** Number of the file at the path. */
  #inode = 0n;

  private constructor(path: string, accepted: (channel: DescriptorChannel) => void) {
    this.#path = path;
    this.#accepted = accepted;
    this.#server = createServer({ pauseOnConnect: true }, (socket) => void this.#admit(socket));
  }

  /**
   * Listens at a path. A socket that is there already, of this or another process, is replaced in one step. Processes
   * of other users get nothing. Rejects as `net.Server` does, and if the path is that of a folder.
   */
  static async listen(path: string, accepted: (channel: DescriptorChannel) => void): Promise<ChannelServer> {
    const server = new ChannelServer(path, accepted);
    // Node removes the file at the end, but by the name that it was bound with: never that of a successor.
    const own = `${path}.${process.pid}`;
    // An earlier process with the same id has left its socket.
    if (lstatSync(own, { throwIfNoEntry: false })?.isSocket()) rmSync(own, { force: true });
    server.#server.listen(own);
    await once(server.#server, "listening");
    // Channels keep no process alive.
    server.#server.unref();
    try {
      renameSync(own, path);
      server.#inode = statSync(path, { bigint: true }).ino;
    } catch (error) {
      server.#server.close();
      throw error;
    }
    return server;
  }

  /** Stops listening. Channels stay open. */
  close(): void {
    this.#server.close();
    for (const socket of this.#waiting.keys()) socket.destroy();
    const found = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    if (found?.ino === this.#inode) rmSync(this.#path, { force: true });
  }

  async #admit(socket: Socket): Promise<void> {
    socket.on("error", () => {});
    const peer = peerOf(descriptorOf(socket));
    if (peer.uid !== process.geteuid?.() || this.#waiting.size >= MAX_WAITING) {
      socket.destroy();
      return;
    }
    const giveUp = (): void => void socket.destroy();
    this.#waiting.set(socket, setTimeout(giveUp, CONNECT_TIMEOUT_MS));
    socket.once("close", () => this.#settle(socket));
    try {
      const kind = (await readExactly(socket, 1)).toString("latin1");
      if (kind === MESSAGES) {
        this.#addHalf(socket, peer);
        return;
      }
      const half = kind === DESCRIPTORS ? this.#takeHalf(await readExactly(socket, TOKEN_BYTES), peer) : undefined;
      if (half === undefined) {
        socket.destroy();
        return;
      }
      for (const own of [socket, half.socket]) this.#settle(own);
      this.#accepted(new DescriptorChannel(half.socket, socket, peer));
    } catch {
      socket.destroy();
    }
  }

  #addHalf(socket: Socket, peer: PeerProcess): void {
    const token = builtins.crypto.randomBytes(TOKEN_BYTES);
    const name = token.toString("hex");
    this.#halves.set(name, { socket, peer });
    socket.once("close", () => this.#halves.delete(name));
    socket.write(token);
  }

  #takeHalf(token: Buffer, { pid }: PeerProcess): Half | undefined {
    const name = token.toString("hex");
    const half = this.#halves.get(name);
    this.#halves.delete(name);
    return half?.peer.pid === pid ? half : undefined;
  }

  /** The socket is half of a channel, or closed. */
  #settle(socket: Socket): void {
    clearTimeout(this.#waiting.get(socket));
    this.#waiting.delete(socket);
  }
}
