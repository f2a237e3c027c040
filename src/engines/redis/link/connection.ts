/**
 * One TCP connection to one server, used by a line. It never reconnects: a connection that has failed is replaced, so
 * that no command is sent twice, and each knows which server it talks to.
 */
import { full, messageOf, nameOf, unavailable } from "../failures.ts";
import type { Access, Address } from "../options.ts";
import type { Script } from "../scripts/scripts.ts";

/** The package `@redis/client`, an optional peer. */
export type RedisClientPackage = typeof import("@redis/client");

/** An answer of Redis. Strings are buffers where the caller asked for them. */
export type Reply = string | number | Buffer | null | undefined | readonly Reply[];

/** Number of commands that may wait for their answer. */
const MAX_PENDING = 100_000;
/** Bytes of the commands that may wait for their answer. */
const MAX_PENDING_BYTES = 64 * 1024 * 1024;
/** Number of times, in the time of an answer, that a connection looks whether an answer is overdue. */
const LOOKS_PER_TIMEOUT = 4;

export interface ConnectionOptions {
  readonly address: Address;
  readonly access: Access;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
  /** Called once, when the connection has failed or was closed. */
  readonly lost: (reason: string) => void;
  readonly received: (channel: Buffer, bytes: Buffer) => void;
}

type Client = ReturnType<RedisClientPackage["createClient"]>;

export class Connection {
  readonly #client: Client;
  readonly #options: ConnectionOptions;
  readonly #buffers: { readonly typeMapping: Record<number, BufferConstructor> };
  readonly #listener: (bytes: Buffer, channel: Buffer) => void;
  #isClosed = false;
  #sent = 0;
  #settled = 0;
  #pendingBytes = 0;
  /** The number of commands sent at each look, while some wait. */
  #marks: { readonly sent: number; readonly at: number }[] = [];
  #looked = performance.now();
  readonly #watch: NodeJS.Timeout;

  /** Opens a connection. Rejects with a sentence that names the server; the caller retries. */
  static async open(redis: RedisClientPackage, options: ConnectionOptions): Promise<Connection> {
    const connection = new Connection(redis, options);
    const { connectTimeoutMs, address } = options;
    // The time of the client ends when TCP is connected. A server may accept and never answer.
    const timer = setTimeout(
      () => connection.close(`${nameOf(address)} didn't answer within ${connectTimeoutMs} ms`),
      connectTimeoutMs,
    );
    try {
      await connection.#client.connect();
      if (connection.#isClosed) throw unavailable(`${nameOf(address)} closed the connection`);
      return connection;
    } catch (error) {
      const reason = connection.#reason ?? `${nameOf(address)}: ${messageOf(error)}`;
      connection.close(reason);
      throw unavailable(reason, error);
    } finally {
      clearTimeout(timer);
    }
  }

  #reason: string | undefined;

  private constructor(redis: RedisClientPackage, options: ConnectionOptions) {
    const { address, access, connectTimeoutMs, commandTimeoutMs } = options;
    this.#options = options;
    const { username, password, database, tls } = access;
    this.#client = redis.createClient({
      // RESP 3 decodes what is published to binary channels as text while a command waits.
      RESP: 2,
      socket: {
        ...(tls === undefined ? {} : { ...tls, tls: true as const }),
        host: address.host,
        port: address.port,
        connectTimeout: connectTimeoutMs,
        reconnectStrategy: false,
      },
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      database,
      disableOfflineQueue: true,
      disableClientInfo: true,
      maintNotifications: "disabled",
      // The client makes a timer for each command that has one. This class watches the oldest command instead.
      commandOptions: { timeout: 0 },
    }) as Client;
    this.#buffers = { typeMapping: { [redis.RESP_TYPES.BLOB_STRING]: Buffer } };
    this.#listener = (bytes, channel) => options.received(channel, bytes);
    this.#client.on("error", (error: unknown) => this.close(`${nameOf(address)}: ${messageOf(error)}`));
    this.#client.on("end", () => this.close(`${nameOf(address)} closed the connection`));
    this.#client.on("sharded-channel-moved", () => this.close(`${nameOf(address)} gave hash slots away`));
    this.#watch = setInterval(() => this.#look(), commandTimeoutMs / LOOKS_PER_TIMEOUT);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Number of commands that wait for their answer. */
  get pending(): number {
    return this.#sent - this.#settled;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Sends a command. Rejects with the error of Redis, or `ERR_ENGINE_UNAVAILABLE` or `ERR_ENGINE_FULL`. */
  send(args: readonly (string | Buffer)[], inBuffers = false, bytes = 0): Promise<Reply> {
    if (this.#isClosed) return Promise.reject(unavailable(this.#reason ?? "the connection is closed"));
    if (this.pending >= MAX_PENDING || this.#pendingBytes + bytes > MAX_PENDING_BYTES) {
      return Promise.reject(full(`${this.pending} commands wait for the answer of Redis: publish more slowly`));
    }
    const options = inBuffers ? this.#buffers : undefined;
    return this.#track(this.#client.sendCommand(args as (string | Buffer)[], options) as Promise<Reply>, bytes);
  }

  /** Runs a script that was loaded. */
  run(script: Script, args: readonly (string | Buffer)[], inBuffers = false, bytes = 0): Promise<Reply> {
    return this.send(["EVALSHA", script.sha, ...args], inBuffers, bytes);
  }

  /** Subscribes to channels. With `isSharded` all of them lie in one hash slot. */
  subscribe(channels: string[], isSharded: boolean): Promise<unknown> {
    const name = isSharded ? "SSUBSCRIBE" : "SUBSCRIBE";
    return this.#track(this.#client[name](channels, this.#listener, true), 0);
  }

  unsubscribe(channels: string[], isSharded: boolean): Promise<unknown> {
    const name = isSharded ? "SUNSUBSCRIBE" : "UNSUBSCRIBE";
    return this.#track(this.#client[name](channels), 0);
  }

  /** Closes the connection: commands that wait are rejected. A second call is harmless. */
  close(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#reason = reason;
    clearInterval(this.#watch);
    this.#client.destroy();
    this.#options.lost(reason);
  }

  #track<Value>(answer: Promise<Value>, bytes: number): Promise<Value> {
    this.#sent++;
    this.#pendingBytes += bytes;
    return answer.then(
      (value) => {
        this.#settled++;
        this.#pendingBytes -= bytes;
        return value;
      },
      (error: unknown) => {
        this.#settled++;
        this.#pendingBytes -= bytes;
        throw this.#isClosed ? unavailable(this.#reason ?? messageOf(error)) : error;
      },
    );
  }

  /** Closes the connection when the oldest command has waited for too long. */
  #look(): void {
    const now = performance.now();
    const { commandTimeoutMs, address } = this.#options;
    // This thread may have stood still, with answers unread: time counts only while it could have read them.
    const late = now - this.#looked - commandTimeoutMs / LOOKS_PER_TIMEOUT;
    this.#looked = now;
    const waiting = this.#marks.filter(({ sent }) => sent > this.#settled);
    this.#marks = late > 1 ? waiting.map(({ sent, at }) => ({ sent, at: at + late })) : waiting;
    const oldest = this.#marks[0];
    if (oldest !== undefined && now - oldest.at >= commandTimeoutMs) {
      this.close(`${nameOf(address)} didn't answer within ${commandTimeoutMs} ms`);
    } else if (this.pending > 0) {
      this.#marks.push({ sent: this.#sent, at: now });
    }
  }
}

/** Error codes of a server of a cluster when another server has the hash slot. */
export const MISROUTED: readonly string[] = ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"];

/** True for the errors after which a command may be sent again, because Redis hasn't run it. */
export function wasNotRun(error: unknown, codes: readonly string[]): boolean {
  const message = error instanceof Error ? error.message : "";
  return codes.some((code) => message.startsWith(code));
}
