/** The bodies of questions: JSON, with the field names of Centrifugo's proxies. Payloads stand in it raw. */
import type { ClientFacts } from "../client/backend.ts";
import type { EndpointConfig } from "../config/config.ts";
import { isJson } from "../protocol/json/validate.ts";

/** Writes one JSON object, member by member. Empty strings and undefined are left out. */
export class JsonObject {
  #text = "";

  text(name: string, value: string): this {
    return value === "" ? this : this.value(name, value);
  }

  value(name: string, value: string | number | boolean | readonly string[]): this {
    return this.raw(name, JSON.stringify(value));
  }

  /** @param value the text of a JSON value */
  raw(name: string, value: string): this {
    this.#text += `${this.#text === "" ? "" : ","}${JSON.stringify(name)}:${value}`;
    return this;
  }

  toString(): string {
    return `{${this.#text}}`;
  }
}

/** The payload of a client that isn't JSON, where JSON is needed. */
export const NOT_JSON = Symbol("not JSON");

/** The fields and the payload of a question, apart from the facts about the client. */
export interface Asked {
  readonly fields: Readonly<Record<string, string | readonly string[]>>;
  readonly data?: Buffer | undefined;
}

/**
 * The body of a question, or `NOT_JSON` if the client's payload is no JSON and the endpoint doesn't take Base64.
 *
 * @param known true if the user is known already: the question has `user` and `meta`
 */
export function questionBody(
  config: EndpointConfig,
  facts: ClientFacts,
  { fields, data }: Asked,
  known: boolean,
): Buffer | typeof NOT_JSON {
  const body = new JsonObject()
    .value("client", facts.client)
    .value("transport", facts.transport)
    .value("protocol", protocolOf(facts))
    .value("encoding", config.binaryEncoding ? "binary" : "json");
  if (known) body.value("user", facts.user);
  for (const [name, value] of Object.entries(fields)) if (value.length > 0) body.value(name, value);
  if (known) addMeta(body, config, facts);
  if (data !== undefined && data.length > 0) {
    if (config.binaryEncoding) body.value("b64data", data.toString("base64"));
    else {
      // A Protobuf client may send anything. Unchecked, it could write members of this object.
      if (!isJson(data)) return NOT_JSON;
      body.raw("data", data.toString());
    }
  }
  return Buffer.from(body.toString());
}

/** Name of the client protocol's codec, as Centrifugo tells it. */
export function protocolOf(facts: ClientFacts): "json" | "protobuf" {
  return facts.encoding === "binary" ? "protobuf" : "json";
}

/** Adds what the application gave for the connection, where the endpoint wants it. */
export function addMeta(body: JsonObject, config: EndpointConfig, { meta }: ClientFacts): void {
  if (!config.includeConnectionMeta || meta === undefined || meta.length === 0) return;
  if (isJson(meta)) body.raw("meta", meta.toString());
}
