/** A port of the board that accepts in the main thread and forwards raw sockets to the shards. */
import type { AddressInfo, Server, Socket } from "node:net";
import { createRawSocketServer } from "../../../wire/transport/raw-socket-server.ts";
import type { ShardPortSettings } from "../../accept/shard-port.ts";
import type { ListeningSockets } from "./listening-sockets.ts";
import { RawSocketForwarder, type RawSocketForwarderOwner } from "./raw-socket-forwarder.ts";

export interface ForwardingListenerOwner extends RawSocketForwarderOwner {
  readonly sockets: ListeningSockets;
}

/** A port whose sockets go to the shards as they were accepted. The shards do TLS and the opening handshake. */
export class ForwardingListener {
  /** Number of the port for the shards. */
  readonly listenerId: number;
  readonly #owner: ForwardingListenerOwner;
  readonly #server: Server;
  settings: ShardPortSettings;

  constructor(listenerId: number, settings: ShardPortSettings, owner: ForwardingListenerOwner) {
    this.listenerId = listenerId;
    this.settings = settings;
    this.#owner = owner;
    const forwarder = new RawSocketForwarder(owner);
    this.#server = createRawSocketServer((socket) => void forwarder.forward(socket, this.settings.tls !== undefined));
  }

  /** Rejects as `openServer` does. */
  async listen(port: number, host: string | undefined, signal: AbortSignal): Promise<AddressInfo> {
    const asked = host === undefined ? { port } : { port, host };
    const address = (await this.#owner.sockets.open(this.#server, asked, signal)) as AddressInfo;
    // An error such as running out of descriptors: open sockets are not concerned.
    this.#server.on("error", (error) => this.#owner.acceptFailed(error));
    return address;
  }

  get port(): number | undefined {
    return (this.#server.address() as AddressInfo | null)?.port;
  }

  /** Name of the listening socket for another process; undefined if nobody can take it over. */
  get name(): string | undefined {
    return this.#owner.sockets.nameOf(this.#server);
  }

  /** Takes a socket that a thread before has accepted. */
  adopt(socket: Socket): void {
    this.#server.emit("connection", socket);
  }

  /** A shard that was replaced gets sockets from here, as before. */
  async reopen(): Promise<void> {}

  /** The other shards get the sockets. */
  shardFailed(): void {}

  close(): void {
    this.#server.close();
  }
}
