/** The methods `publish` and `broadcast`. */
import { type ChannelOptions, hasHistory } from "../channels/channel-options.ts";
import { isJson } from "../protocol/json/validate.ts";
import { encodeStored } from "../protocol/stored-publication.ts";
import { apiErrorOf, badRequest, errorText, notAvailable } from "./api-error.ts";
import type { ApiContext } from "./board.ts";
import { optionsOf } from "./known-channel.ts";
import { fitKey, PublishMemory } from "./publish-memory.ts";
import type { RequestFields } from "./request-fields.ts";

/** JSON of a result. Publications to channels without history are done at once. */
type ResultText = string | Promise<string>;

const DONE = "{}";

/** A publication with its options, apart from the channel. */
interface Payload {
  readonly data: Buffer;
  readonly isJson: boolean;
  readonly tags: Readonly<Record<string, string>> | undefined;
  readonly delta: boolean;
  readonly skipHistory: boolean;
  /** "": none. */
  readonly idempotencyKey: string;
  /** 0: none. */
  readonly version: bigint;
  readonly versionEpoch: string;
  /** The stored forms without and with the wish for deltas: a broadcast encodes each once. */
  readonly stored: [plain: Buffer | undefined, delta: Buffer | undefined];
}

export class Publisher {
  readonly #context: ApiContext;
  readonly #memory: PublishMemory;

  constructor(context: ApiContext) {
    this.#context = context;
    this.#memory = context.publishMemory ?? new PublishMemory();
  }

  publish(fields: RequestFields): ResultText {
    return this.#publish(fields.needed("channel"), payloadOf(fields));
  }

  async broadcast(fields: RequestFields): Promise<string> {
    const channels = fields.texts("channels");
    if (channels.length === 0) throw badRequest("channels is missing or empty");
    const payload = payloadOf(fields);
    // All publishes begin in the order of the channels, before the first of them is awaited.
    const responses = channels.map((channel) => {
      try {
        return this.#publish(channel, payload);
      } catch (error) {
        return Promise.reject(error);
      }
    });
    const texts = await Promise.allSettled(responses);
    const written = texts.map((one) =>
      one.status === "fulfilled" ? `{"result":${one.value}}` : `{"error":${errorText(apiErrorOf(one.reason))}}`,
    );
    return `{"responses":[${written.join()}]}`;
  }

  #publish(channel: string, payload: Payload): ResultText {
    const options = optionsOf(this.#context.channels, channel);
    if (payload.version === 0n) return this.#store(channel, options, payload);
    if (!this.#context.versions) throw notAvailable("version isn't available with an engine that nodes share");
    return this.#memory.versions.publish(channel, payload.version, payload.versionEpoch, () =>
      this.#store(channel, options, payload),
    );
  }

  #store(channel: string, options: ChannelOptions, payload: Payload): ResultText {
    const stored = storedOf(payload, payload.delta || options.deltaPublish);
    const { idempotencyKey } = payload;
    const { board } = this.#context;
    if (!hasHistory(options)) {
      if (idempotencyKey !== "" && this.#memory.isKnown(channel, idempotencyKey)) return DONE;
      board.publish(channel, stored);
      return DONE;
    }
    if (payload.skipHistory) {
      if (idempotencyKey !== "" && this.#memory.isKnown(channel, idempotencyKey)) return DONE;
      return board.publish(channel, stored, { store: false }).stored?.then(() => DONE) ?? DONE;
    }
    const key = idempotencyKey === "" ? undefined : { idempotencyKey: fitKey(idempotencyKey) };
    const result = board.publish(channel, stored, key).stored;
    if (result === undefined) return DONE;
    return result.then(({ position }) => `{"offset":${position.offset},"epoch":${JSON.stringify(position.epoch)}}`);
  }
}

function payloadOf(fields: RequestFields): Payload {
  const binary = fields.base64("b64data");
  const data = binary ?? fields.raw("data");
  if (data === undefined) throw badRequest("data or b64data is missing");
  return {
    data,
    // The parser has accepted `data` with the body around it.
    isJson: binary === undefined || isJson(binary),
    tags: fields.record("tags"),
    delta: fields.flag("delta"),
    skipHistory: fields.flag("skip_history"),
    idempotencyKey: fields.text("idempotency_key"),
    version: fields.uint64("version"),
    versionEpoch: fields.text("version_epoch"),
    stored: [undefined, undefined],
  };
}

function storedOf(payload: Payload, delta: boolean): Buffer {
  const form = delta ? 1 : 0;
  const known = payload.stored[form];
  if (known !== undefined) return known;
  const { data, tags } = payload;
  const stored = encodeStored({ data, tags, delta, isJson: payload.isJson, time: Date.now() });
  payload.stored[form] = stored;
  return stored;
}
