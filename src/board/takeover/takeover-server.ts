/** Waits at a path for the process that takes over. A board with the option `takeover` has one. */
import { ChannelServer } from "../../wire/passing/channel-server.ts";
import type { DescriptorChannel } from "../../wire/passing/descriptor-channel.ts";
import {
  type HandOverResult,
  type HandOverSettings,
  handOver,
  refuseTakeover,
  type TakeoverSource,
} from "./predecessor.ts";
import { checkTakeoverPath } from "./takeover-directory.ts";

export interface TakeoverServerOwner {
  readonly source: TakeoverSource;
  readonly settings?: HandOverSettings;
  /** A process has connected that wants to take over. */
  begun?(): void;
  /** A process has taken over, was refused, or failed. */
  ended(result: HandOverResult): void;
}

export class TakeoverServer {
  readonly #owner: TakeoverServerOwner;
  #channels: ChannelServer | undefined;
  /** True during a takeover, and after one that succeeded. */
  #busy = false;

  private constructor(owner: TakeoverServerOwner) {
    this.#owner = owner;
  }

  /** Rejects with `ERR_TAKEOVER_DIRECTORY` for an unsafe folder, and as `net.Server` does. */
  static async listen(path: string, owner: TakeoverServerOwner): Promise<TakeoverServer> {
    checkTakeoverPath(path);
    const server = new TakeoverServer(owner);
    server.#channels = await ChannelServer.listen(path, (channel) => void server.#accept(channel));
    return server;
  }

  /** Waits no longer. A takeover that is under way goes on. */
  close(): void {
    this.#channels?.close();
  }

  async #accept(channel: DescriptorChannel): Promise<void> {
    if (this.#busy) {
      refuseTakeover(channel, "another process is taking over, or has taken over");
      return;
    }
    this.#busy = true;
    const { source, settings } = this.#owner;
    this.#owner.begun?.();
    const result = await handOver(channel, source, settings);
    this.#busy = result.outcome === "handedOver";
    this.#owner.ended(result);
  }
}
