/** The protocol as Protobuf: each message with its length before it. */
import type { Codec } from "../messages.ts";
import { decodeCommands } from "./decode.ts";
import { decodeEmulation } from "./emulation.ts";
import { encodePush, encodeReply } from "./encode.ts";
import { encodePublicationPush } from "./publication-push.ts";

export const protobufCodec: Codec = {
  name: "protobuf",
  decode: decodeCommands,
  decodeEmulation,
  canEncodeReply: () => true,
  canEncodePush: () => true,
  encodeReply,
  encodePush,
  ping: Buffer.of(0),
  join: (parts) => (parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts as readonly Buffer[])),
  encodePublication: encodePublicationPush,
};
