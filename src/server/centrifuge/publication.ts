/**
 * Publications with tags or deltas, made by a program of one's own. A publication with neither is JSON text as it
 * stands.
 */
import { SwitchboardError } from "../../errors.ts";
import { isJson } from "../protocol/json/validate.ts";
import { encodeStored } from "../protocol/stored-publication.ts";

export interface PublicationOptions {
  /** Texts by which clients filter. Default: none. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** True: clients that agreed to deltas may get the difference to the publication before. Default: false. */
  readonly delta?: boolean | undefined;
}

/**
 * Returns what `board.publish` and `this.publish` take for a channel.
 *
 * @param data a value for `JSON.stringify`, or bytes. Clients that speak JSON get bytes only if they are JSON, and are
 *   closed with 3504 otherwise.
 *
 * Throws `ERR_ARGUMENT` for data that has no JSON, such as undefined, and for tags that aren't text.
 */
export function publication(data: unknown, { tags, delta }: PublicationOptions = {}): Buffer {
  for (const [name, value] of Object.entries(tags ?? {})) {
    if (typeof value !== "string") throw new SwitchboardError("ERR_ARGUMENT", `the tag ${name} takes text`);
  }
  const bytes = bytesOf(data);
  return encodeStored({ data: bytes, isJson: isJson(bytes), tags, delta, time: Date.now() });
}

function bytesOf(data: unknown): Buffer {
  if (data instanceof Uint8Array) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const text = JSON.stringify(data) as string | undefined;
  if (text === undefined)
    throw new SwitchboardError("ERR_ARGUMENT", `a publication takes JSON or bytes, not ${typeof data}`);
  return Buffer.from(text);
}
