/** The methods of the HTTP API by name, and `batch` over them. */
import { elementSpans, memberSpan } from "../protocol/json/scan.ts";
import { apiErrorOf, badRequest, errorText, notAvailable, notFound } from "./api-error.ts";
import type { ApiContext } from "./board.ts";
import * as controlling from "./controlling.ts";
import { Publisher } from "./publishing.ts";
import * as reading from "./reading.ts";
import { type JsonObject, type JsonSource, RequestFields } from "./request-fields.ts";

/** Runs one command. Returns the JSON of the result. Throws, or rejects with, an `ApiError` or the board's error. */
type Method = (fields: RequestFields) => string | Promise<string>;

/** Methods of Centrifugo for features that this server doesn't have. */
const OTHERS = [
  "map_publish",
  "map_remove",
  "map_read_state",
  "map_read_stream",
  "map_stats",
  "map_clear",
  "shared_poll_publish",
] as const;

/** Number of commands of a parallel batch that are under way at a time. */
const MAX_PARALLEL = 128;

export class Methods {
  readonly #methods: ReadonlyMap<string, Method>;

  constructor(context: ApiContext) {
    const publisher = new Publisher(context);
    const methods: Record<string, Method> = {
      publish: (fields) => publisher.publish(fields),
      broadcast: (fields) => publisher.broadcast(fields),
      subscribe: (fields) => controlling.subscribe(fields, context),
      unsubscribe: (fields) => controlling.unsubscribe(fields, context),
      disconnect: (fields) => controlling.disconnect(fields, context),
      presence: (fields) => reading.presence(fields, context),
      presence_stats: (fields) => reading.presenceStats(fields, context),
      history: (fields) => reading.history(fields, context),
      history_remove: (fields) => reading.historyRemove(fields, context),
      info: () => controlling.info(context),
      rpc: (fields) => rpc(fields, context),
      refresh: (fields) => controlling.refresh(fields, context),
      channels: (fields) => controlling.channels(fields, context),
      connections: (fields) => controlling.connections(fields, context),
    };
    for (const name of OTHERS) {
      methods[name] = () => {
        throw notAvailable();
      };
    }
    this.#methods = new Map(Object.entries(methods));
  }

  /** True for the name of a method, `batch` included. */
  has(name: string): boolean {
    return name === "batch" || this.#methods.has(name);
  }

  /**
   * Runs one command. Returns the JSON of the result. Throws, or rejects with, an `ApiError` or the board's error.
   *
   * @param object the command, parsed from `source`
   */
  run(name: string, object: unknown, source: JsonSource): string | Promise<string> {
    const fields = new RequestFields(object, source);
    if (name === "batch") return this.#batch(object as JsonObject, fields, source);
    const method = this.#methods.get(name);
    if (method === undefined) throw notFound();
    return method(fields);
  }

  async #batch(object: JsonObject, fields: RequestFields, source: JsonSource): Promise<string> {
    const { commands = [] } = object;
    if (!Array.isArray(commands)) throw badRequest("commands takes an array of commands");
    const isParallel = fields.flag("parallel");
    const { bytes, span } = source;
    const list = memberSpan(bytes, span, "commands");
    const spans = list === undefined ? [] : elementSpans(bytes, list);
    const replies = new Array<string>(commands.length);
    const underWay = new Set<Promise<void>>();
    for (let index = 0; index < commands.length; index++) {
      const command: unknown = commands[index];
      const name = this.#nameOf(command);
      // Publishes keep their order without being awaited. Any other command runs after all commands before it and
      // before all commands behind it.
      const isPublish = name === "publish" || name === "broadcast";
      if (!isParallel && !isPublish) await Promise.all(underWay);
      else if (!isPublish && underWay.size >= MAX_PARALLEL) await Promise.race(underWay);
      const reply = this.#reply(name, command, { bytes, span: spans[index] ?? span });
      if (typeof reply === "string") {
        replies[index] = reply;
        continue;
      }
      const settled = reply.then((text) => {
        replies[index] = text;
        underWay.delete(settled);
      });
      underWay.add(settled);
      if (!isParallel && !isPublish) await settled;
    }
    await Promise.all(underWay);
    return `{"replies":[${replies.join()}]}`;
  }

  /** Returns the name of the method that a command of a batch asks for; undefined for none. */
  #nameOf(command: unknown): string | undefined {
    if (typeof command !== "object" || command === null || Array.isArray(command)) return undefined;
    for (const key in command) {
      if ((command as JsonObject)[key] !== null && this.#methods.has(key)) return key;
    }
    return undefined;
  }

  /** Returns, or resolves with, the reply to one command of a batch. Never throws. */
  #reply(name: string | undefined, command: unknown, { bytes, span }: JsonSource): string | Promise<string> {
    try {
      if (name === undefined)
        throw typeof command === "object" && command !== null ? notFound() : badRequest("a command takes an object");
      const own = memberSpan(bytes, span, name) ?? span;
      const result = this.run(name, (command as JsonObject)[name], { bytes, span: own });
      if (typeof result === "string") return `{"${name}":${result}}`;
      return result.then((text) => `{"${name}":${text}}`, errorReply);
    } catch (error) {
      return errorReply(error);
    }
  }
}

function errorReply(error: unknown): string {
  return `{"error":${errorText(apiErrorOf(error))}}`;
}

async function rpc(fields: RequestFields, context: ApiContext): Promise<string> {
  const name = fields.needed("method");
  if (context.rpc === undefined) throw notAvailable();
  const method = context.rpc.get(name);
  if (method === undefined) throw notFound();
  const data = JSON.stringify(await method(fields.has("params") ? fields.raw("params") : undefined));
  return data === undefined ? "{}" : `{"data":${data}}`;
}
