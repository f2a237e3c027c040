/** Limits of what one message of a client may hold. Both codecs check them before they spend memory. */

/** Number of commands in one WebSocket message. A client sends its `connect` and all `subscribe` at once. */
export const MAX_COMMANDS = 8_192;

/** Depth of objects and arrays in one JSON command, the payload included. */
export const MAX_JSON_DEPTH = 256;

// Limits of tag filters: a message with a filter over a limit is malformed. `checkFilter` has lower limits of its own.

/** Depth of a tag filter. */
export const MAX_FILTER_DEPTH = 16;

/** Number of nodes in a tag filter. */
export const MAX_FILTER_NODES = 256;

/** Number of values in all nodes of a tag filter. */
export const MAX_FILTER_VALUES = 4_096;

/** Largest offset that the server knows. A larger one of a client is read as this one: no stream can recover it. */
export const MAX_OFFSET = Number.MAX_SAFE_INTEGER;
