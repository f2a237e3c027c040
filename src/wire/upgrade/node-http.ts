/**
 * The module `node:http`, for all code that needs more of it than types. An `import` of a built-in module reads all of
 * its exports, and to read `WebSocket` is to load undici: 20 ms of CPU time and 2.6 MB of memory for each thread (Node
 * 26.10). `getBuiltinModule` reads no export.
 */
export const http = process.getBuiltinModule("node:http");
