/** The WebSocket subprotocols of the client protocol: a route for its clients names them as `protocols`. */
export const SUBPROTOCOLS = ["centrifuge-json", "centrifuge-protobuf"] as const;
