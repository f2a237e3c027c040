/**
 * The codecs of the official JavaScript client, JSON and Protobuf: what the codecs of the server are checked against.
 */
import { Centrifuge as JsonClient } from "centrifuge";
import { Centrifuge as ProtobufClient } from "centrifuge/build/protobuf";

interface ClientCodec<Data> {
  encodeCommands(commands: readonly object[]): Data;
  decodeReplies(data: Data): readonly object[];
}

function codecOf<Data>(Client: typeof JsonClient | typeof ProtobufClient): ClientCodec<Data> {
  // A client that isn't told to connect opens nothing. The codec is a private field of the client.
  return Reflect.get(new Client("ws://localhost", { websocket: class {} }), "_codec");
}

interface ClientProtobufCodec extends ClientCodec<Uint8Array> {
  encodeEmulationRequest(request: { session: string; node: string; data: Uint8Array }): Uint8Array;
}

export const clientJson = codecOf<string>(JsonClient);
export const clientProtobuf = codecOf<Uint8Array>(ProtobufClient) as ClientProtobufCodec;
